"""One monitor on one SQLite file: a second one would poll everything twice."""

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from monitor.store.database import StoreError

MAX_HOLDER: Final = 200
"""Bytes of the name of the monitor that holds a lock."""

_HELD: Final = (errno.EWOULDBLOCK, errno.EACCES)


class FileLock:
    """Holds a SQLite file for one monitor, by a lock on a file next to it, until it is closed or the process ends.

    Where the file system knows no locks, nothing is held.

    Args:
        file: The SQLite file; its folder exists and can be written.
        holder: The name of this monitor, for the message of another one.

    Raises:
        StoreError: Another monitor holds the file; the message names it.
    """

    def __init__(self, file: Path, holder: str) -> None:
        self._number = os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                other = os.pread(self._number, MAX_HOLDER, 0).decode("utf-8", "replace").strip()
                os.close(self._number)
                raise StoreError(
                    f"{file} is used by another monitor{f' ({other})' if other else ''}: stop that one, use another"
                    " file (state.url or --state), or let both share a PostgreSQL database"
                ) from None
        os.ftruncate(self._number, 0)
        os.pwrite(self._number, holder.encode("utf-8", "replace")[:MAX_HOLDER], 0)

    def close(self) -> None:
        """Let another monitor use the file."""
        if self._number >= 0:
            os.close(self._number)
            self._number = -1
