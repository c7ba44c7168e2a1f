"""A folder that can be closed: root may write everywhere, so that the test is somebody else meanwhile."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

NOBODY = 65534


@contextmanager
def without_rights() -> Iterator[Path]:
    """Give a folder of a user who is not root, and be that user."""
    with TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        os.chown(folder, user or NOBODY, -1)
        os.setresuid(user or NOBODY, user or NOBODY, user)
        try:
            yield folder
        finally:
            folder.chmod(0o700)
            os.setresuid(user, user, user)
