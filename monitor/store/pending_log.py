"""Logs transitions that were recorded and that nobody has logged, such as those of a monitor that has crashed."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, select, text

from monitor.jobs import Transition
from monitor.store.database import Database
from monitor.store.log_marks import mark_logged
from monitor.store.rows import RowReader
from monitor.store.schema import transitions

LOG_AFTER: Final = 10.0
"""Seconds after which a transition in a shared database that nobody has logged is logged by another monitor; after the
database was away, the same time anew, in which whoever has logged it can note that."""

LOGGED_AT_ONCE: Final = 1000
"""Transitions that one transaction logs, so that nobody waits long for it."""

LogTransition = Callable[[str, str, Transition], None]
"""Logs a transition of a cluster: its name, its id, the transition."""


class PendingLog:
    """Logs what nobody has logged. Its errors come out as they are.

    Args:
        database: The database.
        rows: Reads its rows.
        clock: Seconds since the epoch.
    """

    def __init__(self, database: Database, rows: RowReader, clock: Callable[[], float]) -> None:
        self._database = database
        self._rows = rows
        self._clock = clock
        self._started_at = clock()
        self._recovered_at = float("-inf")

    def note_recovery(self) -> None:
        """Give those who could not note what they have logged, while the database was away, the time to."""
        self._recovered_at = self._clock()

    def log(self, log_transition: LogTransition, mark_later: Callable[[list[int]], None]) -> None:
        """Log what was recorded and nobody logged; in a shared database once whoever recorded it had time to.

        `mark_later` takes the ids of those that were logged and could not be marked.
        """
        now = self._clock()
        if not self._database.is_postgres:
            self._log(self._started_at, log_transition, mark_later)
        elif not self._recovered_at <= now < self._recovered_at + LOG_AFTER:
            self._log(now - LOG_AFTER, log_transition, mark_later)

    def _log(self, before: float, log_transition: LogTransition, mark_later: Callable[[list[int]], None]) -> None:
        """Log what was recorded until a time, oldest first; locked, so that of two monitors only one logs it."""
        columns = transitions.c
        pending = select(transitions).where(text("NOT logged"), columns.recorded_at <= before)
        pending = pending.order_by(columns.recorded_at, columns.id).with_for_update(skip_locked=True)

        def log_some(connection: Connection) -> int:
            steps = connection.execute(pending.limit(LOGGED_AT_ONCE)).mappings().all()
            for row in steps:
                if row["id"] not in logged and (step := self._rows.read("transitions", row, Transition)) is not None:
                    log_transition(row["cluster"], row["cluster_id"], step)
                logged.add(row["id"])
            mark_logged(connection, [row["id"] for row in steps])
            return len(steps)

        while self._database.read(lambda connection: connection.execute(pending.limit(1)).first()) is not None:
            logged = set[int]()
            try:
                if self._database.write(log_some) < LOGGED_AT_ONCE:
                    return
            except Exception:
                mark_later([*logged])
                raise
