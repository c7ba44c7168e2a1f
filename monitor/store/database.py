"""Transactions in the store's database, and what is written in them."""

import sqlite3
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, StaticPool, bindparam, delete, insert, select, update
from sqlalchemy.exc import DatabaseError, DBAPIError

from monitor.jobs import CollectionKey, CollectionOutcome, Job, Transition
from monitor.store.engines import BUSY_TIMEOUT, TRANSACTION_TIMEOUT, Deadlines
from monitor.store.migrations import check_version, migrate
from monitor.store.pages import ClusterRef
from monitor.store.schema import VERSION, clusters, jobs, outcomes, transitions

CHECKED_SIZE: Final = 64 * 1024 * 1024
"""Bytes of a SQLite file that is checked for damage at the start; a larger one would take seconds."""

MIGRATION_TIMEOUT: Final = 600.0
"""Seconds that making or migrating the tables may take."""

_CONFLICTS: Final = ("40001", "40P01")
"""What PostgreSQL calls a serialization failure and a deadlock."""

_encode: Final = msgspec.json.Encoder().encode

T = TypeVar("T")


class StaleError(Exception):
    """Another monitor has recorded a poll of this cluster meanwhile: what was seen may be older than what is stored."""


class ClusterChanges(msgspec.Struct, frozen=True):
    """What is to be written of one cluster.

    Attributes:
        ref: The cluster.
        revision: The stored revision on which the changes are based; 0 for a baseline.
        next_revision: The revision afterwards; the same one for mere progress.
        baseline_at: When the cluster had its baseline.
        jobs: Jobs by id; None for one to delete.
        delisted: When finished jobs left the list, by id.
        outcomes: Outcomes by collection; None for one to delete.
        transitions: Transitions to be logged by whoever writes them.
        logged: Transitions that were logged before they could be written.
        present: Ids in the list or tracked, after which every other stored job has left the list; None to check none.
        at: The time, in seconds since the epoch.
    """

    ref: ClusterRef
    revision: int
    next_revision: int
    at: float
    baseline_at: float | None = None
    jobs: Mapping[str, Job | None] = {}
    delisted: Mapping[str, float] = {}
    outcomes: Mapping[CollectionKey, CollectionOutcome | None] = {}
    transitions: Collection[Transition] = ()
    logged: Collection[Transition] = ()
    present: Collection[str] | None = None


class Database:
    """Transactions in SQLite or PostgreSQL. Its errors come out as they are.

    Args:
        engine: The database.
        file: SQLite's file; None for another database.
    """

    def __init__(self, engine: Engine, file: str | None = None) -> None:
        self.file = file
        self._engine = engine
        self._in_memory = isinstance(engine.pool, StaticPool)
        self._deadlines = Deadlines() if engine.dialect.name == "postgresql" else None
        self._lock = Lock()
        self._writer: Connection | None = None
        self._inode: tuple[int, int] | None = None
        make = import_module(f"sqlalchemy.dialects.{engine.dialect.name}").insert  # the other dialect is large
        self._put_job, self._put_outcome = _upsert(make, jobs), _upsert(make, outcomes)
        self._add_cluster = make(clusters).on_conflict_do_nothing()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what is read in one transaction."""
        if self._deadlines is not None:
            return self._run_in_postgres(self._deadlines, work, TRANSACTION_TIMEOUT)
        if self._in_memory:
            return self.write(work)
        with self._engine.connect() as connection, connection.begin():
            return work(connection)

    def write(self, work: Callable[[Connection], T], timeout: float = TRANSACTION_TIMEOUT) -> T:
        """Do something in one transaction.

        Writers of SQLite queue for the one connection that writes. A conflict in PostgreSQL is retried once.
        """
        if self._deadlines is not None:
            return self._run_in_postgres(self._deadlines, work, timeout)
        if not self._lock.acquire(timeout=BUSY_TIMEOUT):
            raise TimeoutError("another thread has been writing into the store for too long")
        try:
            if self._writer is None:
                self._writer = self._engine.connect().execution_options(begin="BEGIN IMMEDIATE")
            with self._writer.begin():
                return work(self._writer)
        except BaseException:
            self._close_writer()
            raise
        finally:
            self._lock.release()

    def prepare(self) -> None:
        """Make or migrate the tables, and look for damage in a SQLite file.

        Raises:
            DatabaseError: The file is damaged.
        """
        if self.read(check_version) != VERSION:
            self.write(migrate, MIGRATION_TIMEOUT)
        if self.file is None:
            return
        status = Path(self.file).stat()
        self._inode = (status.st_dev, status.st_ino)
        if status.st_size < CHECKED_SIZE:
            result = self.read(lambda connection: connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
            if result != "ok":
                raise DatabaseError(None, None, sqlite3.DatabaseError(result))

    def is_replaced(self) -> bool:
        """Say whether the file of SQLite was deleted, moved or replaced since it was opened."""
        if self.file is None or self._inode is None:
            return False
        try:
            status = Path(self.file).stat()
        except OSError:
            return True
        return self._inode != (status.st_dev, status.st_ino)

    def disconnect(self) -> None:
        """Close the connections that nobody uses; the next ones are made anew, to whichever host can write by then."""
        if not self._in_memory and self._lock.acquire(timeout=BUSY_TIMEOUT):
            self._close_writer()
            self._engine.dispose()
            self._lock.release()

    def close(self) -> None:
        """Close the connections."""
        self._close_writer()
        self._engine.dispose()
        if self._deadlines is not None:
            self._deadlines.close()

    def _close_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def write_changes(self, connection: Connection, changes: Collection[ClusterChanges]) -> tuple[set[str], list[int]]:
        """Write what has changed of clusters.

        Returns:
            The names of the clusters that have another revision by now, of which nothing is written; and the ids of
            ``transitions``, in their order.
        """
        stale = self._lock_revisions(connection, changes)
        current = [change for change in changes if change.ref.name not in stale]
        for change in current:
            if change.present is not None:
                gone = {row[0] for row in connection.execute(_LISTED, {"of": change.ref.name})}.difference(
                    change.present
                )
                _execute(connection, _DELIST, [_delisted(change, job_id, change.at) for job_id in gone])
        _execute(
            connection, self._put_job, [_job_row(c.ref.name, job) for c in current for job in c.jobs.values() if job]
        )
        keys = [{"of": c.ref.name, "id": job_id} for c in current for job_id, job in c.jobs.items() if job is None]
        _execute(connection, _DELETE_JOB, keys)
        _execute(connection, _DELIST, [_delisted(c, job_id, at) for c in current for job_id, at in c.delisted.items()])
        put = [_outcome_row(c, key, ended) for c in current for key, ended in c.outcomes.items() if ended]
        _execute(connection, self._put_outcome, put)
        gone_keys = [(c.ref.name, *key) for c in current for key, ended in c.outcomes.items() if ended is None]
        _execute(connection, _DELETE_OUTCOME, [dict(zip(("of", "in", "into"), key, strict=True)) for key in gone_keys])
        logged = [_transition_row(c, step, logged=True) for c in current for step in c.logged]
        _execute(connection, _ADD_LOGGED, logged)
        rows = [_transition_row(c, step, logged=False) for c in current for step in c.transitions]
        return stale, list(connection.execute(_ADD_TRANSITIONS, rows).scalars()) if rows else []

    def _lock_revisions(self, connection: Connection, changes: Collection[ClusterChanges]) -> set[str]:
        """Take clusters to their next revisions, lock the others' rows, and return the names of outdated ones."""
        stale = set()
        progress = [change for change in changes if change.next_revision == change.revision]
        if progress:
            names = [change.ref.name for change in progress]
            stored = {row[0]: (row[1], row[2]) for row in connection.execute(_LOCK, {"names": names})}
            stale = {c.ref.name for c in progress if stored.get(c.ref.name) != (c.ref.identity, c.revision)}
        for change in changes:
            if change.next_revision == change.revision:
                continue
            if not change.revision:
                self._begin(connection, change)
            ref, seen, following = change.ref, change.revision, change.next_revision
            values = {"of": ref.name, "whose": ref.identity, "seen": seen, "next": following}
            if connection.execute(_ADVANCE, values).rowcount != 1:
                stale.add(change.ref.name)
        return stale

    def _begin(self, connection: Connection, change: ClusterChanges) -> None:
        """Make the row of a cluster, with revision 0; nothing is left of another cluster of that name."""
        name = change.ref.name
        identity = connection.execute(select(clusters.c.identity).where(clusters.c.name == name)).scalar()
        if identity == change.ref.identity:
            return
        delete_cluster(connection, name)
        connection.execute(delete(jobs).where(jobs.c.cluster == name))
        row = {"name": name, "identity": change.ref.identity, "revision": 0, "baseline_at": change.baseline_at}
        connection.execute(self._add_cluster, row)

    def _run_in_postgres(self, deadlines: Deadlines, work: Callable[[Connection], T], timeout: float) -> T:
        """Run a transaction; once more after a conflict, and if the server has closed a pooled connection meanwhile."""
        started, begun = monotonic(), False
        for is_last in (False, True):
            try:
                with self._engine.connect() as connection, deadlines.limit(connection, timeout), connection.begin():
                    begun = True
                    return work(connection)
            except DBAPIError as error:
                conflict = getattr(error.orig, "sqlstate", None) in _CONFLICTS
                closed_meanwhile = error.connection_invalidated and not begun and monotonic() < started + 0.5
                if is_last or not (conflict or closed_meanwhile):
                    raise
        raise AssertionError  # not reached


def delete_cluster(connection: Connection, name: str) -> None:
    """Forget a cluster, but not its jobs, which can be many."""
    connection.execute(delete(outcomes).where(outcomes.c.cluster == name))
    connection.execute(delete(clusters).where(clusters.c.name == name))


_ADVANCE: Final = (
    update(clusters)
    .where(
        clusters.c.name == bindparam("of"),
        clusters.c.identity == bindparam("whose"),
        clusters.c.revision == bindparam("seen"),
    )
    .values(revision=bindparam("next"))
)
_LOCK: Final = (
    select(clusters.c.name, clusters.c.identity, clusters.c.revision)
    .where(clusters.c.name.in_(bindparam("names", expanding=True)))
    .order_by(clusters.c.name)
    .with_for_update()
)
_LISTED: Final = select(jobs.c.job_id).where(
    jobs.c.cluster == bindparam("of"), jobs.c.missing_since.is_(None), jobs.c.finished_at.is_not(None)
)
_DELETE_JOB: Final = delete(jobs).where(jobs.c.cluster == bindparam("of"), jobs.c.job_id == bindparam("id"))
_DELIST: Final = (
    update(jobs)
    .where(jobs.c.cluster == bindparam("of"), jobs.c.job_id == bindparam("id"))
    .values(missing_since=bindparam("since"))
)
_DELETE_OUTCOME: Final = delete(outcomes).where(
    outcomes.c.cluster == bindparam("of"),
    outcomes.c.database == bindparam("in"),
    outcomes.c.collection == bindparam("into"),
)
_ADD_LOGGED: Final = insert(transitions).inline()
_ADD_TRANSITIONS: Final = insert(transitions).returning(transitions.c.id, sort_by_parameter_order=True)


def _upsert(make: Any, table: Any) -> Any:
    statement = make(table)
    values = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)


def _execute(connection: Connection, statement: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(statement, rows)


def _job_row(cluster: str, job: Job) -> dict[str, Any]:
    return {
        "cluster": cluster,
        "job_id": job.job_id,
        "facts": _encode(job).decode(),
        "database": job.database,
        "collection": job.collection,
        "state": job.state.value,
        "reason": job.reason,
        "stalled": job.stalled,
        "finished_at": (job.finished_at or job.state_since) if job.finished else None,
        "missing_since": job.missing_since,
    }


def _outcome_row(change: ClusterChanges, key: CollectionKey, outcome: CollectionOutcome) -> dict[str, Any]:
    names = {"cluster": change.ref.name, "database": key[0], "collection": key[1]}
    return names | msgspec.structs.asdict(outcome)


def _delisted(change: ClusterChanges, job_id: str, at: float) -> dict[str, Any]:
    return {"of": change.ref.name, "id": job_id, "since": at}


def _transition_row(change: ClusterChanges, step: Transition, *, logged: bool) -> dict[str, Any]:
    row = msgspec.structs.asdict(step)
    row["from_state"] = None if step.from_state is None else step.from_state.value
    row["to_state"] = step.to_state.value
    row["failure"] = None if step.failure is None else step.failure.value
    cluster = {"cluster": change.ref.name, "cluster_id": change.ref.cluster_id}
    return row | cluster | {"logged": logged, "recorded_at": change.at}
