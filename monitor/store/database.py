"""Transactions in the store's database: each ends in time, and its errors come out as they are."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine, StaticPool
from sqlalchemy.exc import DatabaseError, DBAPIError

from monitor.store.engines import BUSY_TIMEOUT, TRANSACTION_TIMEOUT, Deadlines
from monitor.store.migrations import check_version, migrate
from monitor.store.schema import VERSION

CHECKED_SIZE: Final = 64 * 1024 * 1024
"""Bytes of a SQLite file that is checked for damage at the start; a larger one would take seconds."""

MIGRATION_TIMEOUT: Final = 600.0
"""Seconds that making or migrating the tables may take."""

_CONFLICTS: Final = ("40001", "40P01")
"""What PostgreSQL calls a serialization failure and a deadlock."""

T = TypeVar("T")


class Database:
    """A database in SQLite or PostgreSQL; ``file`` is SQLite's, None for another one."""

    def __init__(self, engine: Engine, file: str | None = None) -> None:
        self.file = file
        self.dialect = engine.dialect.name
        self._engine = engine
        self._in_memory = isinstance(engine.pool, StaticPool)
        self._deadlines = Deadlines() if engine.dialect.name == "postgresql" else None
        self._lock = Lock()
        self._writer: Connection | None = None
        self._inode: tuple[int, int] | None = None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what is read in one transaction."""
        if self._deadlines is not None:
            return self._run_in_postgres(self._deadlines, work, TRANSACTION_TIMEOUT)
        if self._in_memory:
            return self.write(work)
        with self._engine.connect() as connection, connection.begin():
            return work(connection)

    def write(self, work: Callable[[Connection], T], timeout: float = TRANSACTION_TIMEOUT) -> T:
        """Do something in one transaction. Writers of SQLite queue for the one connection that writes."""
        if self._deadlines is not None:
            return self._run_in_postgres(self._deadlines, work, timeout)
        if not self._lock.acquire(timeout=BUSY_TIMEOUT):
            raise TimeoutError("another thread has been writing into the store for too long")
        try:
            if self._writer is None:
                self._writer = self._engine.connect().execution_options(begin="BEGIN IMMEDIATE")
            with self._writer.begin():
                return work(self._writer)
        except BaseException:
            self._close_writer()
            raise
        finally:
            self._lock.release()

    def prepare(self) -> None:
        """Make or migrate the tables; raises ``DatabaseError`` where a SQLite file is damaged."""
        if self.read(check_version) != VERSION:
            self.write(migrate, MIGRATION_TIMEOUT)
        if self.file is None:
            return
        self._inode = self._current_inode()
        if Path(self.file).stat().st_size < CHECKED_SIZE:
            result = self.read(lambda connection: connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
            if result != "ok":
                raise DatabaseError(None, None, sqlite3.DatabaseError(result))

    def is_replaced(self) -> bool:
        """Say whether the file of SQLite was deleted, moved or replaced since it was opened."""
        return self._inode is not None and self._inode != self._current_inode()

    def _current_inode(self) -> tuple[int, int] | None:
        try:
            status = Path(self.file or "").stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def disconnect(self) -> None:
        """Close the connections that nobody uses; the next ones are made anew, to whichever host can write by then."""
        if not self._in_memory:
            self._close_connections()

    def close(self) -> None:
        """Close the connections."""
        self._close_connections()
        if self._deadlines is not None:
            self._deadlines.close()

    def _close_connections(self) -> None:
        if self._lock.acquire(timeout=BUSY_TIMEOUT):
            self._close_writer()
            self._lock.release()
        self._engine.dispose()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _run_in_postgres(self, deadlines: Deadlines, work: Callable[[Connection], T], timeout: float) -> T:
        """Run a transaction; once more after a conflict, and if the server has closed a pooled connection meanwhile."""
        started, begun = monotonic(), False
        for is_last in (False, True):
            try:
                with self._engine.connect() as connection, deadlines.limit(connection, timeout), connection.begin():
                    begun = True
                    return work(connection)
            except DBAPIError as error:
                conflict = getattr(error.orig, "sqlstate", None) in _CONFLICTS
                closed_meanwhile = error.connection_invalidated and not begun and monotonic() < started + 0.5
                if is_last or not (conflict or closed_meanwhile):
                    raise
        raise AssertionError  # not reached
