"""The latest list of each discovery of clusters, as it is stored."""

from contextlib import suppress

from sqlalchemy import Connection, select

from monitor.store.availability import Availability
from monitor.store.database import Database
from monitor.store.schema import discoveries
from monitor.store.sqlite import StoreBusyError
from monitor.store.statements import put_rows


class DiscoveryLists:
    """Keeps the latest lists; while the database is away, none.

    Args:
        database: The database.
        availability: Whether it can be used.
    """

    def __init__(self, database: Database, availability: Availability) -> None:
        self._database = database
        self._availability = availability
        self._kept: dict[str, str] = {}

    def latest(self, name: str) -> str | None:
        """Return the list of a discovery that was kept last; None where there is none, or the database is away."""
        kept = None
        if self._availability.up:
            with self._availability.attempt():
                kept = self._database.read(lambda connection: read_discovery(connection, name))
        return kept

    def keep(self, name: str, listed: str) -> bool:
        """Keep the list of a discovery, and return whether that was possible now."""
        if not self._availability.up:
            return False
        if self._kept.get(name) == listed:
            return True
        self._availability.check_file()
        with self._availability.attempt(), suppress(StoreBusyError):  # else tried again after the next list
            if self._availability.up:
                row = {"name": name, "clusters": listed}
                self._database.write(lambda connection: put_rows(connection, discoveries, [row]))
                self._kept[name] = listed
                return True
        return False

    def forget_kept(self) -> None:
        """Forget what was kept: the database can be another one by now."""
        self._kept = {}


def read_discovery(connection: Connection, name: str) -> str | None:
    """Return the list of a discovery that was kept last, None where there is none."""
    listed: str | None = connection.execute(select(discoveries.c.clusters).where(discoveries.c.name == name)).scalar()
    return listed
