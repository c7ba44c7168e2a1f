"""Connections to the store's database, each wait of which has an end."""

import os
import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Engine, NullPool, create_engine, event, make_url

BUSY_LIMIT: Final = 2.0
"""Seconds to wait for a database that somebody else has locked."""

CONNECT_LIMIT: Final = 3
"""Seconds to wait for a connection to PostgreSQL."""

STATEMENT_LIMIT: Final = 10_000
"""Milliseconds that PostgreSQL may take for a statement."""

CHECKPOINT_PAGES: Final = 4000
"""Pages of 4 KiB that SQLite writes ahead before they go into the file: one that was written ten times goes once."""

_POSTGRES: Final = f"-c statement_timeout={STATEMENT_LIMIT} -c lock_timeout={int(BUSY_LIMIT * 1000)}"


def engine_of(url: str, connections: int) -> Engine:
    """Return an engine; nothing is connected yet.

    Args:
        url: ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
        connections: How many threads may use it at a time.
    """
    if url.startswith("sqlite:"):
        engine = create_engine(
            url,
            isolation_level="AUTOCOMMIT",  # a transaction that writes is begun by hand, as one that writes
            connect_args={"timeout": BUSY_LIMIT, "check_same_thread": False},
            pool_size=2,
            max_overflow=connections,
            pool_use_lifo=True,  # what one connection writes, the others' page caches lose
        )
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args={"connect_timeout": CONNECT_LIMIT, "options": _POSTGRES},
        paramstyle="format",  # by position, as SQLite has it too
        pool_size=min(connections, 5),
        max_overflow=connections,
        pool_timeout=BUSY_LIMIT,
        pool_pre_ping=True,
    )


def reading_engine(url: str) -> Engine:
    """Return an engine that can only read, for one thread; nothing is connected yet. A missing file stays missing."""
    file = sqlite_file(url)
    if file is not None:
        address = f"file:{quote(str(file))}?mode=ro" + ("&immutable=1" if _lies_still(file) else "")
        return create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(address, uri=True, timeout=BUSY_LIMIT), poolclass=NullPool
        )
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        connect_args={
            "connect_timeout": CONNECT_LIMIT,
            "options": f"{_POSTGRES} -c default_transaction_read_only=on",
        },
        poolclass=NullPool,
    )


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite URL, None for another database."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.drivername == "sqlite" and parsed.database else None


def _lies_still(file: Path) -> bool:
    """Say whether a file lies where SQLite could not write beside it, and need not: nothing of it is written ahead."""
    ahead, index = (file.with_name(file.name + ending) for ending in ("-wal", "-shm"))
    if os.access(file.parent, os.W_OK) or (ahead.exists() and index.exists()):
        return False
    return not ahead.exists() or ahead.stat().st_size == 0


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Write ahead, so that readers never wait; what is committed survives the process, if not a power failure."""
    pragmas = (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        f"busy_timeout = {int(BUSY_LIMIT * 1000)}",
    )
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
