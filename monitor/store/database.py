"""Connections and transactions of the store's database, each wait of which has an end."""

import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Lock, Semaphore
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from monitor.store.listening import Listener
from monitor.store.postgres import BUSY_TIMEOUT, PostgresServer, deadline, postgres_engine
from monitor.store.worker import Worker, Workers

TRANSACTION_TIMEOUT: Final = 5.0
"""Seconds after which we give up a transaction that PostgreSQL does not answer, also when it is frozen."""

POLL_TRANSACTION_TIMEOUT: Final = 2.5
"""The same for a transaction of a poll: what the poll has seen is shown and logged only afterwards. It is more than
`BUSY_TIMEOUT`, so that the message of a lock is that of PostgreSQL."""

QUICK_ROWS: Final = 1000
"""Rows that a transaction of a poll can read or write in that time with ease; with more it has the longer one."""

ROWS_PER_SECOND: Final = 2000
"""Rows that a slow machine writes; a transaction of more than `QUICK_ROWS` has that much more time."""

LARGE_WRITE_WAIT: Final = 0.2
"""Seconds that a poll waits for a transaction of more than `QUICK_ROWS`: what it has seen is written later."""

LOAD_TIMEOUT: Final = 30.0
"""Seconds that SQLite may take to read what is stored of many clusters, or to check a file: much of it is our work."""

KEPT_CONNECTIONS: Final = 5
"""Connections to PostgreSQL that stay open: transactions take milliseconds, so all polls can take turns."""

CONNECTION_WAIT: Final = 1.0
"""Seconds that a transaction waits for one of them before it makes another one, which costs several times as much as a
usual transaction. So those that wait for a lock or a frozen server delay the others only by this."""

CHECKPOINT_PAGES: Final = 4000
"""Pages of 4 KiB that SQLite writes ahead before they go into the file: one that was written ten times goes once."""

READER_CACHE: Final = 256
"""KiB of pages that a connection to SQLite keeps which only reads. Each write of another connection empties its cache;
with SQLite's 2 MB, allocated anew by thread after thread, the memory of the process grew by 1 MiB a minute."""

WRITER_CACHE: Final = 2000
"""KiB of pages that the connection to SQLite keeps which writes, and whose cache nobody empties; SQLite's default."""

_CONFLICTS: Final = ("40001", "40P01")
"""What PostgreSQL calls a serialization failure and a deadlock."""

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used at all; the message says why."""


class StoreBusyError(Exception):
    """Another thread is writing something large; the store is well, and can be asked again."""


class Database:
    """A database in SQLite or PostgreSQL.

    Args:
        engine: Its connections.
        file: SQLite's file, None for another database.
        server: Where PostgreSQL is, None where its credentials cannot change.

    Attributes:
        on_close: Called at the end of `close`.
    """

    def __init__(self, engine: Engine, file: Path | None = None, server: PostgresServer | None = None) -> None:
        self.file = file
        self.on_close: Callable[[], None] = lambda: None
        self._server = server
        self.is_postgres = engine.dialect.name == "postgresql"
        self._engine = engine
        self._in_memory = isinstance(engine.pool, StaticPool)
        on_disk = file is not None
        self._writer = _KeptConnection(engine, begin="BEGIN IMMEDIATE", cache=WRITER_CACHE, on_disk=on_disk)
        self._poll_reader = self._writer if self._in_memory else _KeptConnection(engine, begin="", on_disk=on_disk)
        self._readers = Workers("store-read")
        self._inode = self._current_inode()
        self._kept = Semaphore(KEPT_CONNECTIONS)

    def read(self, work: Callable[[Connection], T], timeout: float = TRANSACTION_TIMEOUT) -> T:
        """Return what is read in one transaction."""
        if self.is_postgres:
            return self._run_in_postgres(work, timeout)
        if self._in_memory:
            return self._writer.run(work)
        self._writer.check_disk()
        self._poll_reader.check_disk()
        read = partial(self._read_in_sqlite, work)
        return read() if self.file is None else self._readers.run(read, timeout)  # a command takes the time it needs

    def read_for_page(self, work: Callable[[Connection], T]) -> T:
        """Return what a page asks for; of SQLite it is given up as soon as in a poll, for only a hang takes so long."""
        return self.read(work, TRANSACTION_TIMEOUT if self.is_postgres else POLL_TRANSACTION_TIMEOUT)

    def read_much(self, work: Callable[[Connection], T]) -> T:
        """Return what is read in one transaction of many rows, for which SQLite has more time."""
        return self.read(work, TRANSACTION_TIMEOUT if self.is_postgres else LOAD_TIMEOUT)

    def run_on_disk(self, work: Callable[[], T], timeout: float) -> T:
        """Do something else with the disk of SQLite; raises ``TimeoutError`` if it takes longer."""
        return self._readers.run(work, timeout)

    def read_in_poll(self, work: Callable[[Connection], T], rows: int) -> T:
        """Return what a few quick statements read; of SQLite on a connection of its own, a third of the cost."""
        if self.is_postgres:
            return self.read(work, _poll_timeout(rows))
        return self._poll_reader.run(work, min(_poll_timeout(rows), TRANSACTION_TIMEOUT))

    def write_in_poll(self, work: Callable[[Connection], T], rows: int) -> T:
        """Do something in one transaction that writes so many rows, for a poll that waits for it."""
        return self.write(work, _poll_timeout(rows))

    def write(self, work: Callable[[Connection], T], timeout: float = TRANSACTION_TIMEOUT) -> T:
        """Do something in one transaction; those of SQLite queue, with a bound in time."""
        return self._run_in_postgres(work, timeout) if self.is_postgres else self._writer.run(work, timeout)

    def is_replaced(self) -> bool:
        """Return whether the file of SQLite was deleted, moved or replaced since it was connected."""
        return self._inode != self._current_inode()

    def reconnect(self) -> None:
        """Make the next connections anew, to the file that is there and to whichever host can write by then."""
        if not self._in_memory:
            self.close()

    def change_credentials(self, url: str) -> bool:
        """Connect with the user and the password of a URL from now on; return False where that is not possible."""
        if self._server is None or not self._server.change_credentials(url):
            return False
        self._engine.dispose()  # a connection in use is closed when it is given back
        return True

    def listener(self, channel: str) -> Listener | None:
        """Return what receives the notifications of a channel of PostgreSQL; None for another database."""
        return None if self._server is None else Listener(self._server, channel)

    def remember_file(self) -> None:
        """Note which file it is, so that another one in its place is noticed."""
        self._inode = self._current_inode()

    def close(self) -> None:
        """Close the connections."""
        self._writer.close()
        self._poll_reader.close()
        self._readers.end()
        self._engine.dispose()
        self.on_close()

    @property
    def is_busy(self) -> bool:
        """Whether a thread uses the disk."""
        return self._writer.is_busy or self._poll_reader.is_busy or self._readers.is_busy

    def _read_in_sqlite(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection, connection.begin():
            return work(connection)

    def _current_inode(self) -> tuple[int, int] | None:
        if self.file is None:
            return None
        try:
            status = self.file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _run_in_postgres(self, work: Callable[[Connection], T], timeout: float) -> T:
        """Run a transaction on a connection that stays open, or on another one if it would have to wait for long."""
        in_turn = self._kept.acquire(timeout=CONNECTION_WAIT)
        try:
            return self._run_transaction(work, timeout)
        finally:
            if in_turn:
                self._kept.release()

    def _run_transaction(self, work: Callable[[Connection], T], timeout: float) -> T:
        """Run a transaction; once more after a conflict, and if the server has closed a pooled connection meanwhile."""
        started, begun = monotonic(), False
        for is_last in (False, True):
            try:
                with (
                    self._engine.connect() as connection,
                    deadline(connection.connection.driver_connection, timeout),
                    connection.begin(),
                ):
                    begun = True
                    return work(connection)
            except DBAPIError as error:
                conflict = getattr(error.orig, "sqlstate", None) in _CONFLICTS
                closed_meanwhile = error.connection_invalidated and not begun and monotonic() < started + 0.5
                if is_last or not (conflict or closed_meanwhile):
                    raise
        raise AssertionError  # not reached


def transaction_timeout(rows: int) -> float:
    """Return the seconds that a transaction of so many rows may take."""
    return TRANSACTION_TIMEOUT + (rows / ROWS_PER_SECOND if rows > QUICK_ROWS else 0.0)


def _poll_timeout(rows: int) -> float:
    return POLL_TRANSACTION_TIMEOUT if rows <= QUICK_ROWS else transaction_timeout(rows)


class _KeptConnection:
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
                _set_cache(self._connection.connection.driver_connection, self._cache)
            with self._connection.begin():
                return work(self._connection)
        except BaseException:
            self._discard()
            raise

    def _discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def create_store_database(url: str, connections: int) -> Database:
    """Return a database; nothing is connected yet.

    Args:
        url: ``sqlite:///PATH``, ``postgresql://…`` as libpq understands it, or ``memory://``.
        connections: How many threads may use it at a time.

    Raises:
        StoreError: The URL of PostgreSQL cannot be understood.
    """
    file = sqlite_file(url)
    if url.startswith("memory:"):
        engine = create_engine(
            "sqlite://", poolclass=StaticPool, paramstyle="named", connect_args={"check_same_thread": False}
        )
    elif file is not None:
        engine = create_engine(
            f"sqlite:///{file}",
            paramstyle="named",
            connect_args={"timeout": BUSY_TIMEOUT, "check_same_thread": False},
            pool_size=2,
            max_overflow=connections,
            pool_timeout=BUSY_TIMEOUT,
            pool_use_lifo=True,  # what one connection writes, the page caches of the others lose
        )
    else:
        server = postgres_server(url)
        pool = {"pool_size": KEPT_CONNECTIONS, "max_overflow": connections, "pool_timeout": BUSY_TIMEOUT}
        return Database(postgres_engine(server, **pool), server=server)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine, file)


def create_reading_database(url: str) -> Database:
    """Return a database that can only be read, by one thread; nothing is connected yet, and no file made."""
    file = sqlite_file(url)
    if file is None:
        read_only = {"begin": "SET TRANSACTION READ ONLY; "}
        return Database(postgres_engine(postgres_server(url), execution_options=read_only, poolclass=NullPool))
    address = f"file:{quote(str(file))}?mode=ro" + ("&immutable=1" if _is_at_rest(file) else "")

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, timeout=BUSY_TIMEOUT)
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        return connection

    return Database(create_engine("sqlite://", creator=connect, poolclass=NullPool))


def sqlite_file(url: str) -> Path | None:
    """Return the file of a SQLite URL, None for another database."""
    path = url.removeprefix("sqlite:///")
    return Path(path) if path != url else None


def is_postgres(url: str) -> bool:
    """Return whether a URL is one of PostgreSQL."""
    return sqlite_file(url) is None and not url.startswith("memory:")


def postgres_server(url: str) -> PostgresServer:
    """Return the PostgreSQL of a URL; raises ``StoreError`` where the URL cannot be understood."""
    try:
        return PostgresServer(url)
    except ValueError as error:
        raise StoreError(str(error)) from None


def _begin_sqlite(connection: Connection) -> None:
    if statement := connection.get_execution_options().get("begin", "BEGIN"):
        connection.exec_driver_sql(statement)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Write ahead, so that readers never wait; what is committed survives the process, if not a power failure."""
    connection.isolation_level = None  # transactions are begun by the engine's event
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")  # a damaged text is one damaged row
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", f"wal_autocheckpoint = {CHECKPOINT_PAGES}"):
        connection.execute(f"PRAGMA {pragma}")
    _set_cache(connection, READER_CACHE)


def _set_cache(connection: Any, kib: int) -> None:
    connection.execute(f"PRAGMA cache_size = -{kib}")


def _is_at_rest(file: Path) -> bool:
    """Return whether SQLite could not write next to a file, and need not: nothing of it is written ahead."""
    ahead, index = (file.with_name(file.name + ending) for ending in ("-wal", "-shm"))
    if os.access(file.parent, os.W_OK) or (ahead.exists() and index.exists()):
        return False
    return not ahead.exists() or ahead.stat().st_size == 0
