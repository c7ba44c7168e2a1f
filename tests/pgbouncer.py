"""A private PgBouncer in front of a private PostgreSQL, from the machine's binaries."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.postgres import OWNER, Postgres
from tests.venvs import missing

START_TIMEOUT = 30
"""Seconds until it answers."""


class PgBouncer:
    """A pooler on a socket of its own, which can be stopped and started."""

    def __init__(self, folder: Path, program: str) -> None:
        self.url = f"postgresql://{OWNER}@localhost:6432/postgres?host={folder}"
        self._command = [program, str(folder / "pgbouncer.ini")]
        if os.geteuid() == 0:  # it refuses to run as root
            self._command = ["setpriv", "--reuid", OWNER, "--regid", OWNER, "--clear-groups", *self._command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            with suppress(psycopg.OperationalError), psycopg.connect(self.url):
                return
            assert self._process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, with all its connections."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)


@contextmanager
def running_pgbouncer(postgres: Postgres, pool_mode: str, pool_size: int = 20) -> Iterator[PgBouncer]:
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        missing("PgBouncer is not installed")
    folder = postgres.folder / f"pgbouncer-{pool_mode}-{pool_size}"
    folder.mkdir()
    config = folder / "pgbouncer.ini"
    users = folder / "users"
    users.write_text(f'"{OWNER}" ""\n')
    config.write_text(
        f"[databases]\npostgres = host={postgres.folder}\n"
        f"[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\nlogfile = {folder}/log\n"
        f"pool_mode = {pool_mode}\ndefault_pool_size = {pool_size}\nauth_type = trust\nauth_file = {users}\n"
    )
    if os.geteuid() == 0:
        for path in (folder, config, users):
            shutil.chown(path, OWNER, OWNER)
    pooler = PgBouncer(folder, program)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()
