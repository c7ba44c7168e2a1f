"""Notes in the database which transitions the log has, so that no monitor logs them again."""

from collections.abc import Iterable
from threading import Lock
from typing import Final

from sqlalchemy import Connection, bindparam, true, update

from monitor.jobs import Transition
from monitor.store.database import Database
from monitor.store.schema import transitions
from monitor.store.timeouts import TRANSACTION_TIMEOUT

_BY_ID: Final = update(transitions).where(transitions.c.id == bindparam("number")).values(logged=true())
_BY_STEP: Final = (
    update(transitions)
    .where(transitions.c.cluster == bindparam("cluster_name"), transitions.c.job_id == bindparam("job"))
    .where(transitions.c.to_state == bindparam("to"), transitions.c.at == bindparam("when"))
    .values(logged=true())
)


class LogMarks:
    """Transitions that were logged, until the database says so. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ids: list[int] = []
        self._steps: list[tuple[str, Transition]] = []

    def __bool__(self) -> bool:
        return bool(self._ids or self._steps)

    def add(self, ids: Iterable[int]) -> None:
        """Add transitions by their ids."""
        with self._lock:
            self._ids.extend(ids)

    def add_steps(self, cluster: str, steps: Iterable[Transition]) -> None:
        """Add transitions of a cluster whose ids are not known, for the database's answer was lost."""
        with self._lock:
            self._steps.extend((cluster, step) for step in steps)

    def write(self, database: Database, timeout: float = TRANSACTION_TIMEOUT) -> None:
        """Write them; kept for the next time where that is not possible. Errors come out as they are."""
        with self._lock:
            (ids, self._ids), (steps, self._steps) = (self._ids, []), (self._steps, [])
        if not (ids or steps):
            return

        def mark(connection: Connection) -> None:
            mark_logged(connection, ids)
            _mark_steps_logged(connection, steps)

        try:
            database.write(mark, timeout)
        except Exception:
            with self._lock:
                self._ids += ids
                self._steps += steps
            raise


def mark_logged(connection: Connection, ids: list[int]) -> None:
    """Note that the log has these transitions."""
    if ids:
        connection.execute(_BY_ID, [{"number": number} for number in ids])


def _mark_steps_logged(connection: Connection, steps: list[tuple[str, Transition]]) -> None:
    keys = [
        {"cluster_name": cluster, "job": step.job_id, "to": step.to_state.value, "when": step.at}
        for cluster, step in steps
    ]
    if keys:
        connection.execute(_BY_STEP, keys)
