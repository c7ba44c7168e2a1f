"""The store's database: each poll that changes something is in one transaction, which several polls can share."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Row, delete, inspect, select
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DatabaseError, NoResultFound

from monitor.jobs import CollectionOutcome, Difference, Failure, Jobs, JobState, Picture, TrackedJob, Transition
from monitor.store.driving import Driver
from monitor.store.history import History, Recorded, Wanted
from monitor.store.recording import Recording
from monitor.store.statements import Statements
from monitor.store.tables import check_version, migrate, schema, transitions
from monitor.store.together import Together

_AT_ONCE: Final = 500
"""Rows that one statement names."""

_FEW: Final = 200
"""Jobs that a poll may change to share its transaction with others; more would keep another monitor waiting."""

_decode: Final = msgspec.json.Decoder(TrackedJob).decode


@dataclass(frozen=True, slots=True)
class Whose:
    """Of which cluster a row is.

    Attributes:
        name: The cluster's name.
        identity: What makes it the same cluster: a name can come to stand for another one.
        cluster_id: Its id on Zilliz Cloud, for the log.
    """

    name: str
    identity: str
    cluster_id: str = ""


@dataclass(frozen=True, slots=True)
class Stored:
    """A cluster as it is stored.

    Attributes:
        revision: How often it was recorded.
        picture: Its picture after the last time.
    """

    revision: int
    picture: Picture


class Database:
    """Pictures and transitions in SQLite or PostgreSQL. Every method is one transaction; SQLAlchemy's errors come out.

    Args:
        engine: The database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._driver = Driver(engine)
        self._is_file = engine.dialect.name == "sqlite"
        self._one_writer: AbstractContextManager[object] = Lock() if self._is_file else nullcontext()
        self._statements = Statements(engine.dialect)
        self._together = Together(self._recording)

    @property
    def file(self) -> str | None:
        """The file of SQLite's; None for a server."""
        return self._engine.url.database if self._is_file else None

    def migrate(self) -> None:
        """Make or update the tables."""
        with self._writing() as connection:
            migrate(connection)

    def check_schema(self) -> None:
        """Look for tables that we know; raises ``NewerSchemaError``, or ``NoResultFound`` where there are none."""
        with self._engine.connect() as connection:
            if not inspect(connection).has_table(schema.name):
                raise NoResultFound
            check_version(connection)

    def check(self) -> None:
        """Look for damage in a SQLite file; raises ``DatabaseError`` where there is some."""
        if not self._is_file:
            return
        with self._engine.connect() as connection:
            result = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
        if result != "ok":
            raise DatabaseError(None, None, sqlite3.DatabaseError(result))

    def close(self) -> None:
        """Close the connections."""
        self._driver.close()

    def load(self, whose: Whose) -> Stored | None:
        """Return a cluster; None where it has had no baseline, or its name stood for another one."""
        of_it, ask = (whose.name,), self._statements
        with self._driver.reading() as cursor:
            cursor.execute(ask.cluster, of_it)
            found = cursor.fetchone()
            if found is None or found[0] != whose.identity:
                return None
            cursor.execute(ask.jobs, of_it)
            followed = Jobs().with_changes(_decode(facts) for (facts,) in cursor.fetchall())
            cursor.execute(ask.outcomes, of_it)
            ended = {(row[0], row[1]): CollectionOutcome(_flag(row[2]), *row[3:]) for row in cursor.fetchall()}
        _, revision, baseline_at = found
        return Stored(revision, Picture(followed, ended, baseline_at))

    def record(self, whose: Whose, revision: int, stored: Picture, difference: Difference) -> list[int]:
        """Record what a poll changed, as the next revision, and return the ids of its transitions.

        Args:
            whose: The cluster.
            revision: The one that the poll was compared with; 0 for a baseline.
            stored: The picture at that revision; an empty one for a baseline.
            difference: What the poll changed.

        Raises:
            StaleError: There is another revision by now; nothing is recorded.
        """

        def work(cursor: DBAPICursor) -> list[int]:
            write = self._next(cursor, whose, revision, difference.picture)
            write.put_jobs(difference.changed)
            write.forget_jobs(difference.removed)
            if difference.outcomes_changed:
                write.put_outcomes(stored.outcomes, difference.picture.outcomes)
            return write.add_transitions(whose.cluster_id, difference.transitions)

        if self._is_file and len(difference.changed) + len(difference.removed) <= _FEW:
            return self._together.write(work)
        with self._recording() as cursor:
            return work(cursor)

    def replace(self, whose: Whose, revision: int, picture: Picture, told: Iterable[Transition]) -> None:
        """Put a whole picture in place of the stored one, with transitions that were logged while nothing was stored.

        Raises:
            StaleError: There is another revision by now; nothing is recorded.
        """
        with self._recording() as cursor:
            write = self._next(cursor, whose, revision, picture)
            write.clear()
            write.put_jobs(picture.jobs.values())
            write.put_outcomes({}, picture.outcomes)
            write.add_told(whose.cluster_id, told)

    def forget(self, name: str) -> None:
        """Forget a cluster; its transitions stay until they are pruned."""
        with self._recording() as cursor:
            Recording(self._statements, cursor, name).forget()

    def mark_told(self, ids: Iterable[int]) -> None:
        """Note that the log has these transitions."""
        with self._writing() as connection:
            _mark_told(connection, ids)

    def tell_untold(
        self, before: float, but: set[int], tell: Callable[[str, str, Transition], None], limit: int
    ) -> int:
        """Tell what was recorded and not logged, oldest first, and note it; return how many there were.

        The rows are locked meanwhile, so that of two monitors only one tells them.

        Args:
            before: Only those from before this time.
            but: Ids of those that somebody is about to log.
            tell: Gets the cluster's name, its id, and the transition.
            limit: How many at most.
        """
        untold = select(transitions).where(transitions.c.told.is_(False), transitions.c.at <= before)
        untold = untold.order_by(transitions.c.id).limit(limit + len(but)).with_for_update(skip_locked=True)
        with self._engine.connect() as connection:
            if connection.execute(untold.limit(1)).first() is None:
                return 0
        with self._writing() as connection:
            rows = [row for row in connection.execute(untold) if row.id not in but][:limit]
            for row in rows:
                tell(row.cluster, row.cluster_id, _transition(row))
            _mark_told(connection, [row.id for row in rows])
            return len(rows)

    def history(self, wanted: Wanted, before: int | None, limit: int) -> History:
        """Return the newest of the wanted transitions.

        Args:
            wanted: Which.
            before: Only those with a lesser id than this one.
            limit: How many at most.
        """
        columns = transitions.c
        query = select(transitions).order_by(columns.id.desc()).limit(limit + 1)
        pairs = (
            (columns.cluster, wanted.cluster),
            (columns.database, wanted.database),
            (columns.collection, wanted.collection),
            (columns.job_id, wanted.job_id),
        )
        query = query.where(*(column == value for column, value in pairs if value is not None))
        if wanted.states:
            query = query.where(columns.to_state.in_([state.value for state in wanted.states]))
        if wanted.since is not None:
            query = query.where(columns.at >= wanted.since)
        if wanted.until is not None:
            query = query.where(columns.at < wanted.until)
        if before is not None:
            query = query.where(columns.id < before)
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        shown = rows[:limit]
        entries = tuple(Recorded(str(row.id), row.cluster, _transition(row)) for row in shown)
        return History(entries, str(shown[-1].id) if len(rows) > limit else None, whole=True)

    def prune(self, before: float) -> None:
        """Forget the transitions from before a time."""
        with self._writing() as connection:
            connection.execute(delete(transitions).where(transitions.c.at < before, transitions.c.told.is_(True)))

    def _next(self, cursor: DBAPICursor, whose: Whose, revision: int, picture: Picture) -> Recording:
        """Take a cluster from a revision to the next, and return what writes it."""
        write = Recording(self._statements, cursor, whose.name)
        if revision:
            write.advance(whose.identity, revision)
        else:
            write.begin(whose.identity, picture.baseline_at)
        return write

    @contextmanager
    def _recording(self) -> Iterator[DBAPICursor]:
        """One transaction with the driver's own cursor."""
        with self._one_writer, self._driver.writing() as cursor:
            yield cursor

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One transaction; of SQLite's writers one at a time, so that none waits in the dark."""
        with self._one_writer, self._engine.connect() as connection:
            if not self._is_file:
                with connection.begin():
                    yield connection
                return
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.exec_driver_sql("ROLLBACK")
                raise
            connection.exec_driver_sql("COMMIT")


def _transition(row: Row[Any]) -> Transition:
    return Transition(
        job_id=row.job_id,
        database=row.database,
        collection=row.collection,
        from_state=None if row.from_state is None else JobState(row.from_state),
        to_state=JobState(row.to_state),
        at=row.at,
        progress=row.progress,
        reason=row.reason,
        failure=None if row.failure is None else Failure(row.failure),
        duration=row.duration,
        unexpected=row.unexpected,
    )


def _flag(stored: Any) -> bool | None:
    """Return a stored yes or no, for which SQLite has numbers."""
    return None if stored is None else bool(stored)


def _mark_told(connection: Connection, ids: Iterable[int]) -> None:
    """Note that the log has these transitions. Every second there are as many as polls: their ids stand in the text."""
    rest = list(ids)
    for start in range(0, len(rest), _AT_ONCE):
        named = ",".join(map(str, rest[start : start + _AT_ONCE]))
        connection.exec_driver_sql(f"UPDATE transitions SET told = true WHERE id IN ({named})")  # noqa: S608 - numbers
