"""Deletes from the store what is old."""

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, exists, not_, select, text

from monitor.jobs import JobState
from monitor.store.database import Database
from monitor.store.samples import CLOCK_AHEAD, oldest_kept
from monitor.store.schema import LONGEST_FAILED_RETENTION, clusters, jobs, samples, transitions

ROWS_AT_ONCE: Final = 1000
"""Rows that one transaction prunes, so that nobody waits long for it."""

COMPLETED_RETENTION: Final = 7 * 86_400.0
"""Seconds for which a completed job that has left the list stays in the store, so that its return is no news."""


def prune(database: Database, now: float, retention: float) -> None:
    """Delete what is old, a few rows at a time, which are looked for while others can write.

    Args:
        database: The database.
        now: Seconds since the epoch.
        retention: Seconds for which transitions and samples are kept.
    """
    missing, completed = jobs.c.missing_since, jobs.c.state == JobState.COMPLETED.value
    _prune(database, jobs, missing < now - COMPLETED_RETENTION, completed)
    _prune(database, jobs, missing < now - LONGEST_FAILED_RETENTION)  # nobody need know of it any more
    _prune(database, jobs, not_(exists().where(clusters.c.name == jobs.c.cluster)))
    _prune(database, transitions, transitions.c.at < now - retention, text("logged"))
    oldest = database.read(partial(oldest_kept, retention_start=now - retention))
    _prune(database, samples, samples.c.at < oldest)
    _prune(database, samples, samples.c.at > now + CLOCK_AHEAD)


def _prune(database: Database, table: Table, *conditions: Any) -> None:
    key = [*table.primary_key]
    some = select(*(column.label(f"of_{column.name}") for column in key)).where(*conditions).limit(ROWS_AT_ONCE)
    deletion = delete(table).where(*conditions, *(column == bindparam(f"of_{column.name}") for column in key))
    while rows := database.read(lambda connection: connection.execute(some).mappings().all()):
        database.write(partial(Connection.execute, statement=deletion, parameters=[dict(row) for row in rows]))
