"""Opens the store that the config names, to keep clusters in it or only to read."""

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import structlog
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from monitor.store.availability import describe_error
from monitor.store.database import StoreError
from monitor.store.file_lock import FileLock
from monitor.store.migrations import prepare
from monitor.store.queries import StoreReader
from monitor.store.rows import RowReader
from monitor.store.schema import VERSION
from monitor.store.schema_version import NewerSchemaError, UnusableDatabaseError, check_version
from monitor.store.store import Store
from monitor.store.urls import create_reading_database, create_store_database, sqlite_file

_SQLITE: Final = b"SQLite format 3\0"
"""What every file of SQLite's begins with."""

OPEN_TIMEOUT: Final = 2.5
"""Seconds that a disk has at the start to say whether the store can be kept there."""

_ENDINGS: Final = ("", "-wal", "-shm")
"""What the names of the files of one SQLite database end with."""

_NOT_ALLOWED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)

_ELSEWHERE: Final = "name another place with state.url or --state"

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")


def open_store(
    url: str,
    *,
    retention: float,
    connections: int,
    clock: Callable[[], float] = time.time,
    flush_interval: float | None = None,
    holder: str = "",
) -> Store:
    """Return the store of a URL, its tables made.

    A SQLite file that is corrupt is set aside under a new name, and a fresh one begun; a file of another kind is left
    alone. A database that cannot be reached now is no reason not to start: the store begins unavailable and catches up.

    Args:
        url: ``memory://``, ``sqlite:///PATH``, or ``postgresql://…``.
        retention: Seconds for which transitions are kept.
        connections: How many threads may use it at a time.
        clock: Seconds since the epoch.
        flush_interval: Seconds for which mere progress may wait to be written; a few seconds if it is None.
        holder: The name of the monitor that holds a SQLite file for itself until the store is closed; empty where it
            does not.

    Raises:
        StoreError: The folder of a SQLite file does not exist or cannot be written, or the file cannot, or is none of
            SQLite's, or another monitor holds it; or the tables are another program's.
        NewerSchemaError: The tables were made by a newer version of the monitor.
    """
    file = sqlite_file(url)
    database = create_store_database(url, connections)
    if file is not None:
        with suppress(OSError):  # a full or hanging disk: a store that cannot be written begins unavailable
            lock = database.run_on_disk(partial(_take_file, file, holder), OPEN_TIMEOUT)
            if lock is not None:
                database.on_close = lock.close
    store = Store(database, retention=retention, clock=clock, flush_interval=flush_interval)
    try:
        prepare(database)
    except NewerSchemaError:
        database.close()
        raise
    except UnusableDatabaseError as error:
        database.close()
        raise StoreError(f"{file or 'the database'} is left as it is, for {error}: {_ELSEWHERE}") from None
    except Exception as error:  # noqa: BLE001 - logged and counted there; the clusters are watched without a store
        if file is not None and isinstance(error, DatabaseError) and not isinstance(error, OperationalError):
            database.close()
            aside = _set_aside(file)
            _log.error("store_set_aside", file=str(file), kept_as=str(aside), message=describe_error(error))
            return open_store(
                url,
                retention=retention,
                connections=connections,
                clock=clock,
                flush_interval=flush_interval,
                holder=holder,
            )
        store.availability.mark_unavailable(error)
    return store


@contextmanager
def reading(url: str) -> Iterator[StoreReader]:
    """Give a store to read from, whether a monitor is using it or not; nothing is changed.

    Raises:
        StoreError: Nothing can be read there; the message says why.
    """
    if url.startswith("memory:"):
        raise StoreError("the state is kept in memory (memory://), so that nothing is recorded; see state.url")
    file = sqlite_file(url)
    if file is not None:
        _check_readable(file)
    where = file or "the database"
    database = create_reading_database(url)
    try:
        version = database.read(check_version)
        if version is None:
            raise StoreError(f"{where} holds no state of a monitor")
        if version != VERSION:
            raise StoreError(f"{where} was written by an older version: `run` brings it up to this one")
        yield StoreReader(database, RowReader())
    except (UnusableDatabaseError, NewerSchemaError) as error:
        raise StoreError(f"{where} cannot be read: {error}") from None
    except (SQLAlchemyError, TimeoutError) as error:
        copy = "; its folder cannot be written: copy it and its -wal, where there is one, to a folder that can"
        hint = "" if file is None or os.access(file.parent, os.W_OK) else copy
        raise StoreError(f"{where} cannot be read: {describe_error(error)}{hint}") from None
    finally:
        database.close()


def _check_readable(file: Path) -> None:
    """Raise ``StoreError`` where there is no file, or none that can be read."""
    try:
        exists = stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        exists = error.errno in _NOT_ALLOWED
    if not exists:
        raise StoreError(f"{file} does not exist: no monitor has recorded anything there")
    if not os.access(file, os.R_OK):
        raise StoreError(f"{file} cannot be read (permission denied): run this as the user of the monitor")


def _take_file(file: Path, holder: str) -> FileLock | None:
    """Check a file, and hold it for a monitor unless its name is empty; raises ``StoreError`` and ``OSError``."""
    _check_file(file)
    return FileLock(file, holder) if holder else None


def _check_file(file: Path) -> None:
    """Raise ``StoreError`` where SQLite cannot keep the store in a file; make the file private to its owner.

    It comes before SQLite opens the file: to close one takes away the locks that the process has on it. What may pass,
    such as a full disk, is left to SQLite.
    """
    tried = file.parent
    try:
        if not tried.is_dir():
            raise StoreError(f"the folder of the store, {tried}, does not exist: make it, or {_ELSEWHERE}")
        if file.exists():
            if not file.is_file():
                raise StoreError(f"{file} is no file, so that nothing can be stored in it: {_ELSEWHERE}")
            tried = file
            with file.open("r+b") as opened:
                begin = opened.read(len(_SQLITE))
            if begin not in (b"", _SQLITE):
                raise StoreError(
                    f"{file} is no SQLite database, and is left as it is: {_ELSEWHERE}, or move the file away"
                )
        tried = file.parent
        with TemporaryFile(dir=tried):  # SQLite writes next to the file as well
            pass
        os.close(os.open(file, os.O_CREAT | os.O_RDONLY, 0o600))
        for ending in _ENDINGS:
            with suppress(FileNotFoundError):
                file.with_name(file.name + ending).chmod(0o600)
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            return
        raise StoreError(
            f"the store needs to write {tried}, and cannot ({error.strerror}): let the monitor do so, or {_ELSEWHERE}"
        ) from None


def _set_aside(file: Path) -> Path:
    """Rename a corrupt database and what belongs to it, and return its new name."""
    mark = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    for ending in reversed(_ENDINGS):
        part = file.with_name(file.name + ending)
        if part.exists():
            part.rename(file.with_name(f"{file.name}.corrupt-{mark}{ending}"))
    return file.with_name(f"{file.name}.corrupt-{mark}")
