"""A private PgBouncer in front of a private PostgreSQL, from the machine's binaries."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.postgres import OWNER, Postgres
from tests.venvs import missing


@contextmanager
def running_pgbouncer(postgres: Postgres, pool_mode: str) -> Iterator[str]:
    """Give the URL of a pooler."""
    program = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        missing("PgBouncer is not installed")
    folder = postgres.folder / f"pgbouncer-{pool_mode}"
    folder.mkdir()
    config = folder / "pgbouncer.ini"
    users = folder / "users"
    users.write_text(f'"{OWNER}" ""\n')
    config.write_text(
        f"[databases]\npostgres = host={postgres.folder}\n"
        f"[pgbouncer]\nlisten_addr =\nunix_socket_dir = {folder}\nlogfile = {folder}/log\n"
        f"pool_mode = {pool_mode}\nauth_type = trust\nauth_file = {users}\n"
    )
    command = [program, str(config)]
    if os.geteuid() == 0:  # it refuses to run as root
        for path in (folder, config, users):
            shutil.chown(path, OWNER, OWNER)
        command = ["setpriv", "--reuid", OWNER, "--regid", OWNER, "--clear-groups", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"postgresql://{OWNER}@localhost:6432/postgres?host={folder}"
    try:
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(psycopg.OperationalError), psycopg.connect(url):
                break
            time.sleep(0.05)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
