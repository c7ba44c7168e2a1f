"""Records what a poll changed: SQLAlchemy writes the statements, once for a database, and its driver runs them.

Run by SQLAlchemy, a poll with ten jobs and a transition costs five times what SQLite needs for it.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import BindParameter, Dialect, Engine, bindparam, delete, insert, literal_column, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

from monitor.jobs import CollectionOutcome, TrackedJob, Transition
from monitor.store.tables import clusters, jobs, outcomes, transitions

Outcomes = Mapping[tuple[str, str], CollectionOutcome]
"""How imports ended, by (database, collection)."""

_COLUMNS: Final = [column.name for column in transitions.c if column.name != "id"]

_encode: Final = msgspec.json.Encoder().encode


class StaleError(Exception):
    """Somebody else has recorded a poll of this cluster meanwhile: what was seen may be older than what is stored."""


class Statements:
    """The text of what is written of a cluster, for one database. Parameters are told apart by where they stand.

    Args:
        dialect: The database's.
    """

    def __init__(self, dialect: Dialect) -> None:
        on = sqlite if dialect.name == "sqlite" else postgresql
        name: BindParameter[str] = bindparam("of")
        job_id: BindParameter[str] = bindparam("id")
        put_job, put_outcome, add_transition = on.insert(jobs), on.insert(outcomes), insert(transitions)
        facts = {"facts": put_job.excluded.facts}
        ended = ("last_failed", "last_completed_at", "last_finished_at")
        at_revision = (clusters.c.identity == bindparam("whose"), clusters.c.revision == bindparam("seen"))

        def text(statement: Any, columns: list[str] | None = None) -> str:
            return str(statement.compile(dialect=dialect, column_keys=columns))

        self.begin = "BEGIN IMMEDIATE" if dialect.name == "sqlite" else ""  # PostgreSQL's driver begins by itself
        self.advance = text(
            update(clusters)
            .where(clusters.c.name == name, *at_revision)
            .values(revision=clusters.c.revision + literal_column("1"))
        )
        self.identity = text(select(clusters.c.identity).where(clusters.c.name == name))
        self.forget_cluster = text(delete(clusters).where(clusters.c.name == name))
        self.add_cluster = text(on.insert(clusters).on_conflict_do_nothing())
        self.forget_jobs = text(delete(jobs).where(jobs.c.cluster == name))
        self.forget_job = text(delete(jobs).where(jobs.c.cluster == name, jobs.c.job_id == job_id))
        self.put_job = text(put_job.on_conflict_do_update(index_elements=["cluster", "job_id"], set_=facts))
        self.forget_outcomes = text(delete(outcomes).where(outcomes.c.cluster == name))
        self.forget_outcome = text(
            delete(outcomes).where(
                outcomes.c.cluster == name,
                outcomes.c.database == bindparam("in"),
                outcomes.c.collection == bindparam("into"),
            )
        )
        self.put_outcome = text(
            put_outcome.on_conflict_do_update(
                index_elements=["cluster", "database", "collection"],
                set_={column: put_outcome.excluded[column] for column in ended},
            )
        )
        self.add_transition = text(add_transition.returning(transitions.c.id), _COLUMNS)
        self.add_told = text(add_transition.inline(), _COLUMNS)


@contextmanager
def recording(engine: Engine, statements: Statements, name: str) -> Iterator["Recording"]:
    """Give what writes a cluster in one transaction; what goes wrong in the database is SQLAlchemy's error.

    Args:
        engine: The database.
        statements: Those for it.
        name: The cluster's name.
    """
    dialect = engine.dialect
    failure: type[Exception] = dialect.loaded_dbapi.Error
    try:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            try:
                if statements.begin:
                    cursor.execute(statements.begin)
                yield Recording(statements, cursor, name)
                connection.commit()
            except failure as error:
                if dialect.is_disconnect(error, connection.dbapi_connection, cursor):  # type: ignore[arg-type]
                    connection.invalidate(error)
                else:
                    connection.rollback()
                raise
            except BaseException:
                connection.rollback()
                raise
    except failure as error:
        raise DBAPIError.instance(None, None, error, failure, dialect=dialect) from error


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
        write(statements.identity, (self._name,))
        if any(stored == identity for (stored,) in self._cursor.fetchall()):
            raise StaleError(self._name)
        self.clear()
        write(statements.forget_cluster, (self._name,))
        write(statements.add_cluster, (self._name, identity, 1, baseline_at))
        if self._cursor.rowcount != 1:
            raise StaleError(self._name)

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
