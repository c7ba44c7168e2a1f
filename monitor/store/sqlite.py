"""Connections to SQLite."""

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine, event

from monitor.store.timeouts import BUSY_TIMEOUT, TRANSACTION_TIMEOUT
from monitor.store.worker import Worker

LARGE_WRITE_WAIT: Final = 0.2
"""Seconds that a poll waits for a transaction of more than `QUICK_ROWS`: what it has seen is written later."""

CHECKPOINT_PAGES: Final = 4000
"""Pages of 4 KiB that SQLite writes ahead before they go into the file: one that was written ten times goes once."""

READER_CACHE: Final = 256
"""KiB of pages that a connection to SQLite keeps which only reads. Each write of another connection empties its cache;
with SQLite's 2 MB, allocated anew by thread after thread, the memory of the process grew by 1 MiB a minute."""

WRITER_CACHE: Final = 2000
"""KiB of pages that the connection to SQLite keeps which writes, and whose cache nobody empties; SQLite's default."""

T = TypeVar("T")


class StoreBusyError(Exception):
    """Another thread is writing something large; the store is well, and can be asked again."""


class KeptConnection:
    """A connection of SQLite that stays open, for one thread at a time: making one ready costs as much as a query.

    Args:
        engine: The database.
        begin: The statement that begins a transaction; empty for none.
        cache: KiB of pages that it keeps.
        on_disk: Whether the database is in a file, whose disk can hang.
    """

    def __init__(self, engine: Engine, begin: str, cache: int = READER_CACHE, *, on_disk: bool) -> None:
        self._engine = engine
        self._begin = begin
        self._cache = cache
        self._worker = Worker("store") if on_disk else None
        self._lock = Lock()
        self._begun = 0.0
        self._timeout = TRANSACTION_TIMEOUT
        self._connection: Connection | None = None

    def run(self, work: Callable[[Connection], T], timeout: float = TRANSACTION_TIMEOUT) -> T:
        """Do something in one transaction; wait for other threads a bounded time, and hardly for a large transaction.

        Args:
            work: What to do.
            timeout: Seconds after which this and other threads regard the transaction as hanging.

        Raises:
            StoreBusyError: Another thread is at it.
            TimeoutError: The disk does not answer, or another thread has been at it for longer than it may.
        """
        is_large = self._timeout > TRANSACTION_TIMEOUT
        if not self._lock.acquire(timeout=LARGE_WRITE_WAIT if is_large else BUSY_TIMEOUT):
            if monotonic() - self._begun < max(self._timeout, TRANSACTION_TIMEOUT):
                raise StoreBusyError("another thread is using the store")
            raise TimeoutError("another thread has been using the store for too long")
        self._begun, self._timeout = monotonic(), timeout
        try:
            if self._worker is None:
                return self._transaction(work)
            return self._worker.run(partial(self._transaction, work), timeout)
        finally:
            self._lock.release()

    @property
    def is_busy(self) -> bool:
        """Whether a transaction uses the disk."""
        return self._worker is not None and self._worker.is_busy

    def check_disk(self) -> None:
        """Raise ``TimeoutError`` while a transaction hangs that is no longer waited for."""
        if self._worker is not None:
            self._worker.check()

    def close(self) -> None:
        """Close the connection, unless a thread hangs on it."""
        if self._lock.acquire(timeout=BUSY_TIMEOUT):
            if self._worker is None or not self._worker.is_hanging:
                self._discard()
            if self._worker is not None:
                self._worker.end()
            self._lock.release()

    def _transaction(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._engine.connect().execution_options(begin=self._begin)
                driver: Any = self._connection.connection.driver_connection
                driver.execute(f"PRAGMA cache_size = -{self._cache}")
            with self._connection.begin():
                return work(self._connection)
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def memory_engine() -> Engine:
    """Return an engine of one connection, which is the database."""
    engine = create_engine(
        "sqlite://", poolclass=StaticPool, paramstyle="named", connect_args={"check_same_thread": False}
    )
    return _prepared(engine)


def file_engine(file: Path, connections: int) -> Engine:
    """Return an engine of a file, for so many threads at a time; nothing is connected yet."""
    engine = create_engine(
        f"sqlite:///{file}",
        paramstyle="named",
        connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
        pool_size=2,
        max_overflow=connections,
        pool_timeout=BUSY_TIMEOUT,
        pool_use_lifo=True,  # what one connection writes, the page caches of the others lose
    )
    return _prepared(engine)


def reading_engine(file: Path) -> Engine:
    """Return an engine of a file that can only be read; nothing is connected yet, and no file made."""
    address = f"file:{quote(str(file))}?mode=ro" + ("&immutable=1" if _is_at_rest(file) else "")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT)
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        return connection

    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _prepared(engine: Engine) -> Engine:
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    """Write ahead, so that readers never wait; what is committed survives the process, if not a power failure."""
    connection.isolation_level = None  # transactions are begun by the engine's event
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # a damaged text is one damaged row
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        f"wal_autocheckpoint = {CHECKPOINT_PAGES}",
        f"cache_size = -{READER_CACHE}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    if statement := connection.get_execution_options().get("begin", "BEGIN"):
        connection.exec_driver_sql(statement)


def _is_at_rest(file: Path) -> bool:
    """Return whether SQLite could not write next to a file, and need not: nothing of it is written ahead."""
    ahead, index = (file.with_name(file.name + ending) for ending in ("-wal", "-shm"))
    if os.access(file.parent, os.W_OK) or (ahead.exists() and index.exists()):
        return False
    return not ahead.exists() or ahead.stat().st_size == 0
