"""Transactions of the store's database, each wait of which has an end."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Semaphore
from time import monotonic
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, StaticPool
from sqlalchemy.exc import DBAPIError

from monitor.store.listening import Listener
from monitor.store.postgres import PostgresServer, deadline
from monitor.store.sqlite import WRITER_CACHE, KeptConnection
from monitor.store.timeouts import LOAD_TIMEOUT, POLL_TRANSACTION_TIMEOUT, TRANSACTION_TIMEOUT, poll_timeout
from monitor.store.worker import Workers

KEPT_CONNECTIONS: Final = 5
"""Connections to PostgreSQL that stay open: transactions take milliseconds, so all polls can take turns."""

CONNECTION_WAIT: Final = 1.0
"""Seconds that a transaction waits for one of them before it makes another one, which costs several times as much as a
usual transaction. So those that wait for a lock or a frozen server delay the others only by this."""

_CONFLICTS: Final = ("40001", "40P01")
"""What PostgreSQL calls a serialization failure and a deadlock."""

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used at all; the message says why."""


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
        self._writer = KeptConnection(engine, begin="BEGIN IMMEDIATE", cache=WRITER_CACHE, on_disk=on_disk)
        self._poll_reader = self._writer if self._in_memory else KeptConnection(engine, begin="", on_disk=on_disk)
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
            return self.read(work, poll_timeout(rows))
        return self._poll_reader.run(work, min(poll_timeout(rows), TRANSACTION_TIMEOUT))

    def write_in_poll(self, work: Callable[[Connection], T], rows: int) -> T:
        """Do something in one transaction that writes so many rows, for a poll that waits for it."""
        return self.write(work, poll_timeout(rows))

    def write(self, work: Callable[[Connection], T], timeout: float = TRANSACTION_TIMEOUT) -> T:
        """Do something in one transaction; those of SQLite queue, with a bound in time."""
        return self._run_in_postgres(work, timeout) if self.is_postgres else self._writer.run(work, timeout)

    def is_replaced(self) -> bool:
        """Return whether the file of SQLite was deleted, moved or replaced since it was connected."""
        return self._inode != self._current_inode()

    def reconnect(self) -> None:
        """Make the next connections anew, to the file that is there and to whichever host can write by then."""
        if not self._in_memory:
            self._disconnect()

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
        self._disconnect()
        self.on_close()

    @property
    def is_busy(self) -> bool:
        """Whether a thread uses the disk."""
        return self._writer.is_busy or self._poll_reader.is_busy or self._readers.is_busy

    def _disconnect(self) -> None:
        self._writer.close()
        self._poll_reader.close()
        self._readers.end()
        self._engine.dispose()

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
