"""Connections to the store's database, each wait of which has an end."""

import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine, event

BUSY_TIMEOUT: Final = 2.0
"""Seconds to wait for a lock that somebody else holds, or for a connection."""

CONNECT_TIMEOUT: Final = 2
"""Seconds to wait for a connection to one host of PostgreSQL."""

STATEMENT_TIMEOUT: Final = 4.0
"""Seconds that PostgreSQL may take for a statement."""

TRANSACTION_TIMEOUT: Final = 5.0
"""Seconds after which we give up a transaction that PostgreSQL does not answer, also when it is frozen."""

CHECKPOINT_PAGES: Final = 4000
"""Pages of 4 KiB that SQLite writes ahead before they go into the file: one that was written ten times goes once."""

_LIMITS: Final = f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT:g}s'; SET LOCAL lock_timeout = '{BUSY_TIMEOUT:g}s'"
"""Set for each transaction: PgBouncer refuses them at the start of a connection, where the URL may have its own."""

_POSTGRES_DEFAULTS: Final = {
    "application_name": "milvus-import-monitor",
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""Parameters of libpq by which a lost server is noticed (seconds; the last one milliseconds); the URL's count first."""


def create_store_engine(url: str, connections: int) -> Engine:
    """Return an engine; nothing is connected yet.

    Args:
        url: ``sqlite:///PATH``, ``postgresql://…`` as libpq understands it, or ``memory://``.
        connections: How many threads may use it at a time.

    Raises:
        ValueError: The URL of PostgreSQL cannot be understood.
    """
    if url.startswith("memory:"):
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    elif (file := sqlite_file(url)) is not None:
        engine = create_engine(
            f"sqlite:///{file}",
            connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
            pool_size=2,
            max_overflow=connections,
            pool_timeout=BUSY_TIMEOUT,
            pool_use_lifo=True,  # what one connection writes, the page caches of the others lose
        )
    else:
        return _postgres_engine(url, pool_size=min(connections, 5), max_overflow=connections, pool_timeout=BUSY_TIMEOUT)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def create_reading_engine(url: str) -> Engine:
    """Return an engine that can only read, for one thread; nothing is connected yet. A missing file stays missing."""
    file = sqlite_file(url)
    if file is None:
        return _postgres_engine(url, execution_options={"begin": "SET TRANSACTION READ ONLY"}, poolclass=NullPool)
    address = f"file:{quote(str(file))}?mode=ro" + ("&immutable=1" if _is_at_rest(file) else "")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT)
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite URL, None for another database."""
    path = url.removeprefix("sqlite:///")
    return Path(path) if path != url else None


class Deadlines:
    """Closes connections whose transaction has taken too long: a frozen server sends nothing, not even a reset."""

    def __init__(self) -> None:
        self._running: dict[int, float] = {}
        self._lock = Lock()
        self._closed = Event()
        self._thread: Thread | None = None

    @contextmanager
    def limit(self, connection: Connection, seconds: float) -> Iterator[None]:
        """Give up after so many seconds, with an error of the driver."""
        number: int = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
        with self._lock:
            self._running[number] = monotonic() + seconds
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="store-deadlines", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(number, None)

    def close(self) -> None:
        """End the thread that watches."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(0.25):
            with self._lock:  # a number is not given to another connection before it was taken out
                late = [number for number, end in self._running.items() if end < monotonic()]
                for number in late:
                    del self._running[number]
                    with suppress(OSError), socket.socket(fileno=os.dup(number)) as its:
                        its.shutdown(socket.SHUT_RDWR)


def _postgres_engine(url: str, **options: Any) -> Engine:
    """Return an engine for a URL of libpq: it knows several hosts, sockets, and ``target_session_attrs``."""
    import psycopg  # noqa: PLC0415 - 40 ms and 8 MB that a store in SQLite does not need
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        parameters: dict[str, Any] = {**_POSTGRES_DEFAULTS, **conninfo_to_dict(url), "client_encoding": "utf8"}
    except psycopg.Error:  # its message can hold the password
        raise ValueError("the URL of PostgreSQL cannot be understood: write special characters as %XX") from None
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect("", prepare_threshold=None, **parameters),  # PgBouncer knows no prepared ones
        isolation_level="READ COMMITTED",
        **options,
    )
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(connection: Connection) -> None:
    extra = connection.get_execution_options().get("begin", "")
    connection.exec_driver_sql(f"{extra}; {_LIMITS}" if extra.startswith("SET") else _LIMITS)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Write ahead, so that readers never wait; what is committed survives the process, if not a power failure."""
    connection.isolation_level = None  # transactions are begun by the engine's event
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # a damaged text is one damaged row
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", f"wal_autocheckpoint = {CHECKPOINT_PAGES}"):
        connection.execute(f"PRAGMA {pragma}")


def _is_at_rest(file: Path) -> bool:
    """Say whether a file is where SQLite could not write next to it, and need not: nothing of it is written ahead."""
    ahead, index = (file.with_name(file.name + ending) for ending in ("-wal", "-shm"))
    if os.access(file.parent, os.W_OK) or (ahead.exists() and index.exists()):
        return False
    return not ahead.exists() or ahead.stat().st_size == 0
