"""Whether the database can be used, as far as is known: full, locked or gone, it can be away for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

import structlog

from monitor.store.database import Database

_MESSAGE_LIMIT: Final = 300
"""Characters of an error's message."""

_NO_RIGHTS: Final = ("42501", "3F000")
"""What PostgreSQL calls missing rights, and a ``search_path`` without a schema that can be used."""

_RIGHTS_NEEDED: Final = (
    ": the user of state.url has to own the tables, or to create them in the first schema of its search_path"
)

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")


class StoreUnavailableError(Exception):
    """The database is away: only what is in memory can be shown."""


class Availability:
    """Whether a database can be used. Safe to use from several threads.

    Attributes:
        up: Whether it can be used; if not, everything goes on from memory until `mark_recovered`.
        failures: How often it could not be used.
    """

    def __init__(self, database: Database) -> None:
        self.up = True
        self.failures = 0
        self._database = database
        self._lock = Lock()

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Do something with the database; if that fails, the rest is left out, and the database is unavailable."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - logged and counted; what is in memory counts until it has recovered
            self.mark_unavailable(error)

    def mark_unavailable(self, error: Exception) -> None:
        """Go on from memory; logged once until the store has recovered."""
        self.failures += 1
        with self._lock:
            was_up, self.up = self.up, False
        if was_up:
            file = {} if self._database.file is None else {"file": str(self._database.file)}
            _log.error("store_unavailable", message=describe_error(error), **file)

    def mark_recovered(self) -> None:
        """Use the database again, if it was unavailable."""
        if not self.up:
            self.up = True
            _log.info("store_recovered")

    def check_file(self) -> None:
        """Notice that the file of SQLite was deleted or replaced: what is written into it would be lost."""
        if self._database.is_replaced():
            self.mark_unavailable(FileNotFoundError("the file was deleted or replaced"))


def describe_error(error: Exception) -> str:
    """Return the message of an error in one line; without the statement, which can be long."""
    cause = getattr(error, "orig", None) or error
    message = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)
    hint = _RIGHTS_NEEDED if getattr(cause, "sqlstate", None) in _NO_RIGHTS else ""
    return (" ".join(message.split()) + hint)[:_MESSAGE_LIMIT]
