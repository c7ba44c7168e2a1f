"""What is done to the store from time to time: log what nobody logged, and forget what is old."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, exists, not_, select, text

from monitor.jobs import JobState, Transition
from monitor.store.database import Database
from monitor.store.log_marks import mark_logged
from monitor.store.rows import RowReader
from monitor.store.samples import CLOCK_AHEAD, oldest_kept
from monitor.store.schema import LONGEST_FAILED_RETENTION, clusters, jobs, samples, transitions

ROWS_AT_ONCE: Final = 1000
"""Rows that one transaction logs or prunes, so that nobody waits long for it."""

COMPLETED_RETENTION: Final = 7 * 86_400.0
"""Seconds for which a completed job that has left the list stays in the store, so that its return is no news."""

_MESSAGE_LIMIT: Final = 300
"""Characters of an error's message."""

_NO_RIGHTS: Final = ("42501", "3F000")
"""What PostgreSQL calls missing rights, and a ``search_path`` without a schema that can be used."""

_RIGHTS_NEEDED: Final = (
    ": the user of state.url has to own the tables, or to create them in the first schema of its search_path"
)

LogTransition = Callable[[str, str, Transition], None]
"""Logs a transition of a cluster: its name, its id, the transition."""


def log_pending(
    database: Database,
    rows: RowReader,
    before: float,
    log_transition: LogTransition,
    mark_later: Callable[[list[int]], None],
) -> None:
    """Log what was recorded until a time and not logged, oldest first.

    The rows are locked meanwhile, so that of two monitors only one logs them. `mark_later` takes the ids of those that
    were logged and could not be marked.
    """
    columns = transitions.c
    pending = select(transitions).where(text("NOT logged"), columns.recorded_at <= before)
    pending = pending.order_by(columns.recorded_at, columns.id).with_for_update(skip_locked=True)

    def log_some(connection: Connection) -> int:
        steps = connection.execute(pending.limit(ROWS_AT_ONCE)).mappings().all()
        for row in steps:
            if row["id"] not in logged and (step := rows.read("transitions", row, Transition)) is not None:
                log_transition(row["cluster"], row["cluster_id"], step)
            logged.add(row["id"])
        mark_logged(connection, [row["id"] for row in steps])
        return len(steps)

    while database.read(lambda connection: connection.execute(pending.limit(1)).first()) is not None:
        logged = set[int]()
        try:
            if database.write(log_some) < ROWS_AT_ONCE:
                return
        except Exception:
            mark_later([*logged])
            raise


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


def describe_error(error: Exception) -> str:
    """Return the message of an error in one line; without the statement, which can be long."""
    cause = getattr(error, "orig", None) or error
    message = getattr(getattr(cause, "diag", None), "message_primary", None) or str(cause)
    hint = _RIGHTS_NEEDED if getattr(cause, "sqlstate", None) in _NO_RIGHTS else ""
    return (" ".join(message.split()) + hint)[:_MESSAGE_LIMIT]


def _prune(database: Database, table: Table, *conditions: Any) -> None:
    key = [*table.primary_key]
    some = select(*(column.label(f"of_{column.name}") for column in key)).where(*conditions).limit(ROWS_AT_ONCE)
    deletion = delete(table).where(*conditions, *(column == bindparam(f"of_{column.name}") for column in key))
    while rows := database.read(lambda connection: connection.execute(some).mappings().all()):
        database.write(partial(Connection.execute, statement=deletion, parameters=[dict(row) for row in rows]))
