"""Reads the store: transitions and jobs page by page, and the clusters as they are stored."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
import structlog
from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, func, or_, select, tuple_, union_all

from monitor.jobs import UNSUCCESSFUL, CollectionOutcome, Failure, Job, JobState, Snapshot, Transition
from monitor.store.database import Database
from monitor.store.pages import (
    ClusterRef,
    JobFilter,
    JobPage,
    RecordedTransition,
    StoredJob,
    TransitionFilter,
    TransitionPage,
    parse_cursor,
)
from monitor.store.schema import clusters, jobs, outcomes, transitions

COUNT_LIMIT: Final = 10_000
"""Finished jobs that are counted for a page, at most."""

SEARCH_LIMIT: Final = 50_000
"""Finished jobs, the latest ones, in which a text is searched for."""

ROWS_AT_ONCE: Final = 500
"""Ids or names in one statement."""

UNREADABLE_LIMIT: Final = 10_000
"""Rows of which it is remembered that they were reported as unreadable."""

_JOB: Final = (jobs.c.cluster, jobs.c.job_id, jobs.c.facts, jobs.c.missing_since)

_REVISION: Final = select(clusters.c.revision).where(
    clusters.c.name == bindparam("of"), clusters.c.identity == bindparam("whose")
)

_decode: Final = msgspec.json.Decoder(Job).decode

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")

T = TypeVar("T")


class StoredCluster(msgspec.Struct, frozen=True):
    """A cluster as it is stored: its revision, and its snapshot at that revision."""

    revision: int
    snapshot: Snapshot


class RowDecoder:
    """Makes jobs, outcomes and transitions of rows. A row that cannot be read is skipped, and reported once."""

    def __init__(self) -> None:
        self._reported: set[tuple[Any, ...]] = set()
        self._unreadable: dict[tuple[Any, ...], str] = {}

    def job(self, row: Row[Any]) -> Job | None:
        """Return the job of a row; the column counts where it has another ``missing_since`` than the facts."""
        try:
            job = _decode(row.facts)
            if job.missing_since == row.missing_since:
                return job
            return msgspec.structs.replace(job, missing_since=_number(row.missing_since))
        except (msgspec.DecodeError, TypeError) as error:
            self._skip(("jobs", row.cluster, row.job_id), error)
            return None

    def outcome(self, row: Row[Any]) -> CollectionOutcome | None:
        """Return the outcome of a row."""
        try:
            failed = None if row.last_failed is None else bool(_number(row.last_failed))
            return CollectionOutcome(failed, _number(row.last_completed_at), _number(row.last_finished_at))
        except TypeError as error:
            self._skip(("outcomes", row.cluster, row.database, row.collection), error)
            return None

    def transition(self, row: Row[Any]) -> Transition | None:
        """Return the transition of a row."""
        try:
            return Transition(
                job_id=row.job_id,
                database=row.database,
                collection=row.collection,
                from_state=None if row.from_state is None else JobState(row.from_state),
                to_state=JobState(row.to_state),
                at=row.at + 0.0,
                progress=_number(row.progress),
                reason=row.reason,
                failure=None if row.failure is None else Failure(row.failure),
                duration=row.duration + 0.0,
                unexpected=bool(row.unexpected),
            )
        except (TypeError, ValueError) as error:
            self._skip(("transitions", row.cluster, row.id), error)
            return None

    def report(self) -> None:
        """Log how many rows could not be read, those that were not reported before."""
        unreadable, self._unreadable = self._unreadable, {}
        if unreadable:
            self._reported.update(unreadable)
            where, message = next(iter(unreadable.items()))
            row = " ".join(map(str, where))
            _log.warning("store_rows_skipped", rows=len(unreadable), first=row, message=message)

    def _skip(self, row: tuple[Any, ...], error: Exception) -> None:
        if row not in self._reported and len(self._reported) + len(self._unreadable) < UNREADABLE_LIMIT:
            self._unreadable[row] = " ".join(str(error).split())[:200]


class StoreReader:
    """Answers what is asked of a database. Its errors come out as they are.

    Args:
        database: The database.
    """

    def __init__(self, database: Database) -> None:
        self.decoder = RowDecoder()
        self.database = database

    def transitions(self, wanted: TransitionFilter, limit: int = 100, cursor: str = "") -> TransitionPage:
        """Return a page of the recorded transitions, newest first.

        Args:
            wanted: Which transitions.
            limit: How many at most, up to ``PAGE_LIMIT``.
            cursor: The ``next_cursor`` of the page before; empty for the first page.

        Raises:
            CursorError: The cursor comes from no page.
        """
        columns = transitions.c
        query = _equal(select(transitions).order_by(columns.id.desc()).limit(limit + 1), columns, wanted)
        if wanted.job_id is not None:
            query = query.where(columns.job_id == wanted.job_id)
        if wanted.states:
            query = query.where(columns.to_state.in_([state.value for state in wanted.states]))
        if wanted.since is not None:
            query = query.where(columns.at >= wanted.since)
        if wanted.until is not None:
            query = query.where(columns.at < wanted.until)
        if (before := parse_cursor(cursor, memory=False)) is not None:
            query = query.where(columns.id < before)
        rows = self.database.read(lambda connection: connection.execute(query).all())
        entries = [
            RecordedTransition(str(row.id), row.cluster, step)
            for row in rows[:limit]
            if (step := self.decoder.transition(row)) is not None
        ]
        return TransitionPage(tuple(entries), str(rows[limit - 1].id) if len(rows) > limit else None, complete=True)

    def jobs(
        self, wanted: JobFilter, limit: int, after: tuple[str, str] | None = None, hidden: Iterable[str] = ()
    ) -> JobPage:
        """Return stored jobs in the order of cluster and id.

        Args:
            wanted: Which jobs.
            limit: How many at most.
            after: Cluster and id after which the page begins; None for the first one.
            hidden: Names of clusters that are left out.
        """
        query = _filter_jobs(select(*_JOB).order_by(jobs.c.cluster, jobs.c.job_id), wanted, hidden)
        if after is not None:
            query = query.where(tuple_(jobs.c.cluster, jobs.c.job_id) > tuple_(*after))
        rows = self.database.read(lambda connection: connection.execute(query.limit(limit + 1)).all())
        last = (rows[limit - 1].cluster, rows[limit - 1].job_id) if len(rows) > limit else None
        return JobPage(tuple(self._stored_jobs(rows[:limit])), last)

    def finished(self, wanted: JobFilter, limit: int, offset: int = 0, hidden: Iterable[str] = ()) -> JobPage:
        """Return finished jobs, the latest first, and how many there are. A text is searched for in the latest ones."""
        latest = select(*_JOB, jobs.c.finished_at).where(jobs.c.finished_at > 0)
        query = _filter_jobs(latest, msgspec.structs.replace(wanted, text=""), hidden)
        if wanted.text:
            query = query.add_columns(jobs.c.database, jobs.c.collection, jobs.c.reason)
            newest = query.order_by(jobs.c.finished_at.desc()).limit(SEARCH_LIMIT).subquery()
            query = select(newest).where(_contains(newest.c, wanted.text))
        columns = query.selected_columns
        counted = query.with_only_columns(columns.job_id).limit(COUNT_LIMIT).subquery()
        ordered = query.order_by(columns.finished_at.desc(), columns.cluster, columns.job_id)

        def ask(connection: Connection) -> JobPage:
            total = connection.execute(select(func.count()).select_from(counted)).scalar_one()
            rows = connection.execute(ordered.limit(limit).offset(offset))
            return JobPage(tuple(self._stored_jobs(rows)), total=total)

        return self.database.read(ask)

    def jobs_by_id(self, ref: ClusterRef, ids: Iterable[str]) -> tuple[int, dict[str, Job]]:
        """Return the revision of a cluster, 0 where it is not stored, and what is stored of some of its jobs."""
        query = select(*_JOB).where(jobs.c.cluster == ref.name)

        def ask(connection: Connection) -> tuple[int, dict[str, Job]]:
            revision = connection.execute(_REVISION, {"of": ref.name, "whose": ref.identity}).scalar()
            parts = [connection.execute(query.where(jobs.c.job_id.in_(some))) for some in chunks([*ids], ROWS_AT_ONCE)]
            return revision or 0, {entry.job.job_id: entry.job for rows in parts for entry in self._stored_jobs(rows)}

        return self.database.read(ask)

    def cluster_revisions(self) -> dict[str, tuple[str, int]]:
        """Return identity and revision of every cluster by its name."""
        query = select(clusters.c.name, clusters.c.identity, clusters.c.revision)
        return self.database.read(lambda connection: {row[0]: (row[1], row[2]) for row in connection.execute(query)})

    def load(self, refs: Iterable[ClusterRef], finished_since: float = 0.0) -> dict[str, StoredCluster]:
        """Return clusters as they are stored, by name.

        Those that had no baseline are left out, and those of which the name meant another one.

        Args:
            refs: The clusters.
            finished_since: Failed and vanished jobs are tracked if they finished after this time.
        """
        loaded: dict[str, StoredCluster] = {}
        for some in chunks([*refs], ROWS_AT_ONCE):
            loaded.update(self.database.read(partial(self._load, refs=some, finished_since=finished_since)))
        return loaded

    def _load(self, connection: Connection, refs: list[ClusterRef], finished_since: float) -> dict[str, StoredCluster]:
        # Revisions first: what another monitor records meanwhile makes them outdated, which is noticed.
        identities = {ref.name: ref.identity for ref in refs}
        rows = connection.execute(select(clusters).where(clusters.c.name.in_(identities))).all()
        stored = {
            row.name: row for row in rows if row.identity == identities[row.name] and isinstance(row.revision, int)
        }
        tracked: dict[str, dict[str, Job]] = {name: {} for name in stored}
        for entry in self._stored_jobs(connection.execute(tracked_query([*stored], finished_since))):
            tracked[entry.cluster][entry.job.job_id] = entry.job
        ended: dict[str, dict[tuple[str, str], CollectionOutcome]] = {name: {} for name in stored}
        for row in connection.execute(select(outcomes).where(outcomes.c.cluster.in_(stored))):
            if (outcome := self.decoder.outcome(row)) is not None:
                ended[row.cluster][row.database, row.collection] = outcome
        return {
            name: StoredCluster(
                row.revision,
                Snapshot(
                    tracked=tracked[name],
                    outcomes=ended[name],
                    baseline_at=row.baseline_at if isinstance(row.baseline_at, float) else None,
                ),
            )
            for name, row in stored.items()
        }

    def _stored_jobs(self, rows: Iterable[Any]) -> Iterator[StoredJob]:
        return (StoredJob(row.cluster, job) for row in rows if (job := self.decoder.job(row)) is not None)


def tracked_query(names: list[str], finished_since: float) -> Any:
    """Return the query for the jobs to track of some clusters, which must not read all that have finished."""
    of_clusters = select(*_JOB).where(jobs.c.cluster.in_(names))
    unsuccessful = [state.value for state in UNSUCCESSFUL]
    return union_all(
        of_clusters.where(jobs.c.finished_at.is_(None)),
        of_clusters.where(jobs.c.state.in_(unsuccessful), jobs.c.finished_at > finished_since),
    )


def chunks(items: list[T], size: int) -> Iterator[list[T]]:
    """Cut a list into lists of at most so many items."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _equal(query: Select[Any], columns: Any, wanted: TransitionFilter | JobFilter) -> Select[Any]:
    for name in ("cluster", "database", "collection"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(columns[name] == value)
    return query


def _filter_jobs(query: Select[Any], wanted: JobFilter, hidden: Iterable[str]) -> Select[Any]:
    query = _equal(query, jobs.c, wanted)
    if wanted.states:
        query = query.where(jobs.c.state.in_([state.value for state in wanted.states]))
    if wanted.stalled is not None:
        query = query.where(jobs.c.stalled.is_(wanted.stalled))
    if wanted.listed is not None:
        missing = jobs.c.missing_since
        query = query.where(missing.is_(None) if wanted.listed else missing.is_not(None))
    if wanted.text:
        query = query.where(_contains(jobs.c, wanted.text))
    if names := [*hidden]:
        query = query.where(jobs.c.cluster.not_in(names))
    return query


def _contains(columns: Any, text: str) -> ColumnElement[bool]:
    names = ("cluster", "database", "collection", "job_id", "reason")
    return or_(*(columns[name].icontains(text, autoescape=True) for name in names))


def _number(value: Any) -> float | None:
    """Return a number of a row; raises TypeError for anything else, which SQLite can hold in any column."""
    return None if value is None else value + 0.0
