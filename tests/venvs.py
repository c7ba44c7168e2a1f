"""Virtual environments for what a test needs to run beside the project, and never to import."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venvs"


def environment(name: str, *requirements: str, python_version: str | None = None) -> Path:
    """Returns the Python of an environment that holds these requirements; makes it when it is not there.

    An environment appears under its name only when it is whole. Without a network the test is skipped, or fails in CI.

    Args:
        name: What its folder's name begins with.
        requirements: What it holds.
        python_version: The Python that the requirements demand, for packages that contain no Python to run.
    """
    digest = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:12]
    home = ENVIRONMENTS / f"{name}-{digest}"
    python = home / "bin" / "python"
    if python.exists():
        return python
    ENVIRONMENTS.mkdir(exist_ok=True)
    with (ENVIRONMENTS / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not python.exists():
            _make(home, requirements, python_version)
    return python


def missing(reason: str) -> NoReturn:
    """Skips the test on a user's machine, and fails it in CI, where nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _make(home: Path, requirements: tuple[str, ...], python_version: str | None) -> None:
    # Scripts of an environment name its path, so it cannot be moved: what is renamed into place is a link.
    built = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=ENVIRONMENTS))
    python = built / "bin" / "python"
    uv = shutil.which("uv") or _executable(ROOT / ".uv" / "bin" / "uv")
    if uv:
        commands = [
            [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(built)],
            [uv, "pip", "install", "--quiet", "--python", str(python), *requirements]
            + (["--python-version", python_version] if python_version else []),
        ]
    else:
        commands = [
            [sys.executable, "-m", "venv", str(built)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
            + (["--ignore-requires-python"] if python_version else []),
        ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(built, ignore_errors=True)
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            missing(f"cannot make the environment {home.name}: {last}")
    link = built.with_name(f"{built.name}.link")
    link.symlink_to(built.name)
    link.replace(home)


def _executable(path: Path) -> str | None:
    return str(path) if os.access(path, os.X_OK) else None
