"""Records what a poll changed of a cluster, in one transaction."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy.engine.interfaces import DBAPICursor

from monitor.jobs import CollectionOutcome, Place, TrackedJob, Transition
from monitor.store.statements import Statements

Outcomes = Mapping[Place, CollectionOutcome]
"""How imports ended, by collection."""

_encode: Final = msgspec.json.Encoder().encode


class StaleError(Exception):
    """Somebody else has recorded a poll of this cluster meanwhile: what was seen may be older than what is stored."""


class Recording:
    """Writes one cluster.

    Args:
        statements: Those for the database.
        cursor: One that is in a transaction.
        name: The cluster's name.
    """

    __slots__ = ("_cursor", "_name", "_statements")

    def __init__(self, statements: Statements, cursor: DBAPICursor, name: str) -> None:
        self._statements = statements
        self._cursor = cursor
        self._name = name

    def advance(self, identity: str, revision: int) -> None:
        """Go from a revision to the next and thereby lock the cluster's row.

        Raises:
            StaleError: The cluster has another revision by now.
        """
        self._cursor.execute(self._statements.advance, (self._name, identity, revision))
        if self._cursor.rowcount != 1:
            raise StaleError(self._name)

    def begin(self, identity: str, baseline_at: float | None) -> None:
        """Make the cluster's row, at its first revision; nothing is left of another cluster of that name.

        Raises:
            StaleError: Somebody else has made it.
        """
        write, statements = self._cursor.execute, self._statements
        write(statements.cluster, (self._name,))
        if any(row[0] == identity for row in self._cursor.fetchall()):
            raise StaleError(self._name)
        self.forget()
        write(statements.add_cluster, (self._name, identity, 1, baseline_at))
        if self._cursor.rowcount != 1:
            raise StaleError(self._name)

    def forget(self) -> None:
        """Forget the cluster; its transitions stay until they are pruned."""
        self.clear()
        self._cursor.execute(self._statements.forget_cluster, (self._name,))

    def clear(self) -> None:
        """Forget every job and outcome."""
        self._cursor.execute(self._statements.forget_jobs, (self._name,))
        self._cursor.execute(self._statements.forget_outcomes, (self._name,))

    def put_jobs(self, followed: Iterable[TrackedJob]) -> None:
        """Put jobs in the place of what is stored of them."""
        self._each(self._statements.put_job, [(self._name, one.job.job_id, _encode(one).decode()) for one in followed])

    def forget_jobs(self, ids: Iterable[str]) -> None:
        """Forget these jobs."""
        self._each(self._statements.forget_job, [(self._name, job_id) for job_id in ids])

    def put_outcomes(self, stored: Outcomes, now: Outcomes) -> None:
        """Put outcomes in the place of the stored ones; what is the very same stays as it is."""
        self._each(self._statements.forget_outcome, [(self._name, *key) for key in stored if key not in now])
        ended = [(key, one) for key, one in now.items() if stored.get(key) is not one]
        self._each(
            self._statements.put_outcome,
            [(self._name, *key, one.last_failed, one.last_completed_at, one.last_finished_at) for key, one in ended],
        )

    def add_transitions(self, cluster_id: str, steps: Iterable[Transition]) -> list[int]:
        """Add transitions that the log has to tell yet, and return their ids, in their order."""
        ids: list[int] = []
        for step in steps:
            self._cursor.execute(self._statements.add_transition, self._row(cluster_id, step, told=False))
            ids += [number for (number,) in self._cursor.fetchall()]
        return ids

    def add_told(self, cluster_id: str, steps: Iterable[Transition]) -> None:
        """Add transitions that the log has."""
        self._each(self._statements.add_told, [self._row(cluster_id, step, told=True) for step in steps])

    def _each(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._cursor.executemany(statement, rows)

    def _row(self, cluster_id: str, step: Transition, *, told: bool) -> tuple[Any, ...]:
        """Return the row of a transition, in the order of the table's columns."""
        return (
            self._name,
            cluster_id,
            step.database,
            step.collection,
            step.job_id,
            None if step.from_state is None else step.from_state.value,
            step.to_state.value,
            step.at,
            step.progress,
            step.reason,
            None if step.failure is None else step.failure.value,
            step.duration,
            step.unexpected,
            told,
        )
