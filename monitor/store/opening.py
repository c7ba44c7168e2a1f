"""Opens the store that the config names."""

import errno
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import structlog
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError

from monitor.store.database import Database
from monitor.store.engines import engine_of, sqlite_file
from monitor.store.store import Store
from monitor.store.tables import NewerSchemaError

TELL_AFTER: Final = 10.0
"""Seconds after which a transition in a shared database that nobody has logged is logged by another monitor."""

_SQLITE: Final = b"SQLite format 3\0"
"""What every file of SQLite's begins with."""

_NOT_ALLOWED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)

_ELSEWHERE: Final = "name another place with state.url or --state"

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")


class StoreError(Exception):
    """The store cannot be used at all; the message says why."""


def open_store(url: str, *, retention: float, connections: int, clock: Callable[[], float] = time.time) -> Store:
    """Return the store of a URL, its tables made.

    A SQLite file that is corrupt is set aside under a new name, and a fresh one begun; a file of another kind is left
    alone. A database that cannot be reached now is no reason not to start: the store begins ill and catches up.

    Args:
        url: ``memory://``, ``sqlite:///PATH``, or ``postgresql://…``.
        retention: Seconds for which transitions are kept.
        connections: How many threads may use it at a time.
        clock: Seconds since the epoch.

    Raises:
        StoreError: The folder of a SQLite file does not exist or cannot be written, or the file cannot, or is none of
            SQLite's.
        NewerSchemaError: The tables were made by a newer version of the monitor.
    """
    if url.startswith("memory:"):
        return Store(None, retention=retention, clock=clock)
    file = sqlite_file(url)
    if file is not None:
        _look_at(file)
    database = Database(engine_of(url, connections))
    tell_after = 0.0 if file is not None else TELL_AFTER
    store = Store(database, retention=retention, tell_after=tell_after, clock=clock)
    try:
        database.migrate()
        database.check()
    except NewerSchemaError:
        database.close()
        raise
    except OperationalError as error:
        store.note_illness(error)
    except DatabaseError as error:
        if file is None:
            store.note_illness(error)
            return store
        database.close()
        aside = _set_aside(file)
        _log.error("store_set_aside", file=str(file), kept_as=str(aside), message=str(error.orig))
        return open_store(url, retention=retention, connections=connections, clock=clock)
    except SQLAlchemyError as error:
        store.note_illness(error)
    return store


def _look_at(file: Path) -> None:
    """Raise ``StoreError`` where SQLite cannot keep the store in a file, which is not changed.

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
        with TemporaryFile(dir=tried):  # SQLite writes beside the file as well
            pass
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            return
        raise StoreError(
            f"the store needs to write {tried}, and cannot ({error.strerror}): let the monitor do so, or {_ELSEWHERE}"
        ) from None


def _set_aside(file: Path) -> Path:
    """Rename a corrupt database and what belongs to it, and return its new name."""
    mark = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    for ending in ("-wal", "-shm", ""):
        part = file.with_name(file.name + ending)
        if part.exists():
            part.rename(file.with_name(f"{file.name}.corrupt-{mark}{ending}"))
    return file.with_name(f"{file.name}.corrupt-{mark}")
