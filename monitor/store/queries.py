"""Reads the store: transitions and jobs page by page, and the clusters as they are stored."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

import msgspec
import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    bindparam,
    func,
    or_,
    select,
    text,
    tuple_,
    union_all,
)

from monitor.jobs import UNSUCCESSFUL, CollectionKey, CollectionOutcome, Job, Snapshot, Transition
from monitor.store.database import Database
from monitor.store.pages import (
    PAGE_LIMIT,
    ClusterRef,
    CursorError,
    JobFilter,
    JobPage,
    RecordedTransition,
    StoredJob,
    TransitionFilter,
    TransitionPage,
)
from monitor.store.samples import ProgressSample, wanted_samples
from monitor.store.schema import clusters, discoveries, jobs, outcomes, transitions
from monitor.store.statements import execute

COUNT_LIMIT: Final = 10_000
"""Finished jobs that are counted for a page, at most."""

SEARCH_LIMIT: Final = 50_000
"""Finished jobs, the latest ones, in which a text is searched for."""

ROWS_AT_ONCE: Final = 500
"""Ids or names in one statement."""

TRANSITIONS_AT_ONCE: Final = 1000
"""Transitions that are read for `StoreReader.transitions_after`, the latest ones."""

IMPORTS_READ: Final = 500
"""Finished imports of one collection that are read for `StoreReader.finished_imports`, the latest ones."""

UNREADABLE_LIMIT: Final = 10_000
"""Rows of which it is remembered that they cannot be read."""

_JOB: Final = (jobs.c.cluster, jobs.c.job_id, jobs.c.facts, jobs.c.missing_since)

_FINISHED_IMPORTS: Final = (
    select(*_JOB)
    .where(jobs.c.cluster == bindparam("its_cluster"), jobs.c.database == bindparam("its_database"))
    .where(jobs.c.collection == bindparam("its_collection"), jobs.c.finished_at >= bindparam("since"))
    .order_by(jobs.c.finished_at.desc())
    .limit(IMPORTS_READ)
)

_decode: Final = msgspec.json.Decoder(Job).decode

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)


class StoredCluster(msgspec.Struct, frozen=True):
    """A cluster as it is stored: its revision, 0 where that cannot be read, and its snapshot at that revision."""

    revision: int
    snapshot: Snapshot


class StoreReader:
    """Answers what is asked of a database. Its errors come out as they are.

    A row that cannot be read is skipped. Any column of SQLite can hold anything.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hidden: frozenset[str] = frozenset()
        self._skipped: dict[tuple[Any, ...], str] = {}
        self._reported = 0

    def transitions(self, wanted: TransitionFilter, limit: int = 100, cursor: str = "") -> TransitionPage:
        """Return the newest of the wanted transitions, beginning with a cursor; raises ``CursorError``."""
        limit, columns = max(1, min(limit, PAGE_LIMIT)), transitions.c
        conditions = [*_conditions(columns, columns.to_state, wanted)]
        if wanted.since is not None:
            conditions.append(columns.at >= wanted.since)
        if wanted.until is not None:
            conditions.append(columns.at < wanted.until)
        if cursor:
            if not (cursor.isascii() and cursor.isdigit() and len(cursor) < len(str(2**63))):
                raise CursorError("this cursor was given by no page")
            conditions.append(columns.id < int(cursor))
        query = select(transitions).where(*conditions).order_by(columns.id.desc()).limit(limit + 1)
        rows = self._ask(lambda connection: connection.execute(query).mappings().all())
        steps = [(row, self.read_transition(row)) for row in rows[:limit]]
        entries = tuple(RecordedTransition(str(row["id"]), row["cluster"], step) for row, step in steps if step)
        return TransitionPage(entries, str(rows[limit - 1]["id"]) if len(rows) > limit else None)

    def jobs(self, wanted: JobFilter, limit: int, after: tuple[str, str] | None = None) -> JobPage:
        """Return jobs, unfinished and finished, in the order of cluster and id, those after a cluster and id."""
        limit = max(1, min(limit, PAGE_LIMIT))
        query = self._wanted_jobs(select(*_JOB), wanted).order_by(jobs.c.cluster, jobs.c.job_id).limit(limit + 1)
        if after is not None:
            query = query.where(tuple_(jobs.c.cluster, jobs.c.job_id) > tuple_(*after))
        rows = self._ask(lambda connection: connection.execute(query).mappings().all())
        last = (rows[limit - 1]["cluster"], rows[limit - 1]["job_id"]) if len(rows) > limit else None
        return JobPage(tuple(self._stored_jobs(rows[:limit])), last)

    def job(self, cluster: str, job_id: str) -> Job | None:
        """Return a job, None where it is not stored."""
        wanted = select(*_JOB).where(jobs.c.cluster == cluster, jobs.c.job_id == job_id)
        rows = self._ask(partial(_all_rows, query=wanted))
        return next((entry.job for entry in self._stored_jobs(rows)), None)

    def finished(self, wanted: JobFilter, limit: int, offset: int = 0) -> JobPage:
        """Return finished jobs, the latest first, and how many there are. A text is searched for in the latest ones."""
        latest = select(*_JOB, jobs.c.finished_at).where(jobs.c.finished_at > 0)
        query = self._wanted_jobs(latest, msgspec.structs.replace(wanted, text=""))
        if wanted.text:
            query = query.add_columns(jobs.c.database, jobs.c.collection, jobs.c.reason)
            newest = query.order_by(jobs.c.finished_at.desc()).limit(SEARCH_LIMIT).subquery()
            query = select(newest).where(_contains(newest.c, wanted.text))
        columns = query.selected_columns
        counted = query.with_only_columns(columns.job_id).limit(COUNT_LIMIT).subquery()
        ordered = query.order_by(columns.finished_at.desc(), columns.cluster, columns.job_id)
        ordered = ordered.limit(max(1, min(limit, PAGE_LIMIT))).offset(offset)

        def ask(connection: Connection) -> JobPage:
            total = connection.execute(select(func.count()).select_from(counted)).scalar_one()
            return JobPage(tuple(self._stored_jobs(connection.execute(ordered).mappings())), total=total)

        return self._ask(ask)

    def transitions_after(self, last_id: int, names: Collection[str]) -> list[RecordedTransition]:
        """Return the transitions of some clusters that were recorded after one, in their order."""
        columns = transitions.c
        latest = select(transitions).where(columns.id > last_id, columns.cluster.in_(names))
        latest = latest.order_by(columns.id.desc()).limit(TRANSITIONS_AT_ONCE)
        rows = self._database.read(lambda connection: connection.execute(latest).mappings().all())
        steps = ((row, self.read_transition(row)) for row in reversed(rows))
        return [RecordedTransition(str(row["id"]), row["cluster"], step) for row, step in steps if step is not None]

    def last_transition_id(self) -> int:
        """Return the id of the transition that was recorded last, 0 where there is none."""
        newest = select(func.max(transitions.c.id))
        return self._database.read(lambda connection: connection.execute(newest).scalar()) or 0

    def jobs_by_key(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Job]:
        """Return what is stored of jobs, by the names of their clusters and their ids."""
        found: dict[tuple[str, str], Job] = {}
        for some in chunks([*keys], ROWS_AT_ONCE):
            wanted = select(*_JOB).where(tuple_(jobs.c.cluster, jobs.c.job_id).in_(some))
            rows = self._database.read(partial(_all_rows, query=wanted))
            found.update(((entry.cluster, entry.job.job_id), entry.job) for entry in self._stored_jobs(rows))
        return found

    def samples(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], list[ProgressSample]]:
        """Return the points of the progress of some jobs, by the names of their clusters and their ids, in order."""
        samples: dict[tuple[str, str], list[ProgressSample]] = {}
        for some in chunks([*keys], ROWS_AT_ONCE):
            for row in self._ask(partial(_all_rows, query=wanted_samples(some))):
                if (sample := self._read("progress_samples", row, ProgressSample)) is not None:
                    samples.setdefault((row["cluster"], row["job_id"]), []).append(sample)
        return samples

    def finished_imports(self, cluster: str, since: Mapping[CollectionKey, float]) -> dict[CollectionKey, list[Job]]:
        """Return the latest imports of collections that have finished since a time, each with its own."""

        def read(connection: Connection) -> dict[CollectionKey, list[Job]]:
            imports = {}
            for key, at in since.items():
                wanted = {"its_cluster": cluster, "its_database": key[0], "its_collection": key[1], "since": at}
                rows = connection.execute(_FINISHED_IMPORTS, wanted).mappings()
                imports[key] = [entry.job for entry in self._stored_jobs(rows)]
            return imports

        return self._database.read(read)

    def load(self, refs: Iterable[ClusterRef], finished_since: float = 0.0) -> dict[str, StoredCluster]:
        """Return clusters as they are stored by name; of failed and vanished jobs those finished since a time.

        Those are left out that had no baseline, and those whose name meant another cluster.
        """
        loaded: dict[str, StoredCluster] = {}
        for some in chunks([*refs], ROWS_AT_ONCE):
            loaded.update(self._database.read_much(partial(self._load, refs=some, finished_since=finished_since)))
        self.report_skipped()
        return loaded

    def cluster_revisions(self) -> dict[str, tuple[str, int]]:
        """Return identity and revision of every cluster by its name."""
        query = select(clusters.c.name, clusters.c.identity, clusters.c.revision)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row.name: (row.identity, readable_revision(row.revision)) for row in rows}

    def read_transition(self, row: RowMapping) -> Transition | None:
        """Return the transition of a row, None where it cannot be read."""
        return self._read("transitions", row, Transition)

    def report_skipped(self) -> None:
        """Log how many rows could not be read, if there are more than were reported before."""
        if len(self._skipped) > self._reported:
            self._reported = len(self._skipped)
            where, message = list(self._skipped.items())[-1]
            _log.warning("store_rows_skipped", rows=self._reported, row=" ".join(map(str, where)), message=message)

    def discovered(self, discovery: str) -> str | None:
        """Return the list of a discovery that was kept last; None where there is none."""
        return self._ask(lambda connection: read_discovery(connection, discovery))

    def _ask(self, work: Callable[[Connection], T]) -> T:
        """Answer a question of a page."""
        return self._database.read_for_page(work)

    def _jobs_by_id(self, connection: Connection, ref: ClusterRef, ids: Iterable[str]) -> tuple[int, dict[str, Job]]:
        """Return the revision of a cluster, 0 where it is not stored, and what is stored of some of its jobs."""
        revision, stored = 0, dict[str, Job]()
        for some in chunks([*ids], ROWS_AT_ONCE):
            wanted = {"cluster_name": ref.name, "cluster_identity": ref.identity}
            wanted |= {f"id_{number}": job_id for number, job_id in enumerate(some)}
            for row in execute(connection, _select_jobs(len(some)), wanted).mappings():
                revision = readable_revision(row["revision"])
                if row["job_id"] is not None and (job := self._read_job(row)) is not None:
                    stored[job.job_id] = job
        return revision, stored

    def _load(self, connection: Connection, refs: list[ClusterRef], finished_since: float) -> dict[str, StoredCluster]:
        # Revisions first: what another monitor records meanwhile makes them outdated, which is noticed.
        identities = {ref.name: ref.identity for ref in refs}
        query = select(clusters).where(clusters.c.name.in_(identities))
        rows = connection.execute(query).mappings()
        stored = {row["name"]: row for row in rows if row["identity"] == identities[row["name"]]}
        tracked: dict[str, dict[str, Job]] = {name: {} for name in stored}
        for entry in self._stored_jobs(connection.execute(_tracked_jobs([*stored], finished_since)).mappings()):
            tracked[entry.cluster][entry.job.job_id] = entry.job
        ended: dict[str, dict[CollectionKey, CollectionOutcome]] = {name: {} for name in stored}
        for row in connection.execute(select(outcomes).where(outcomes.c.cluster.in_(stored))).mappings():
            if (outcome := self._read("outcomes", row, CollectionOutcome)) is not None:
                ended[row["cluster"]][row["database"], row["collection"]] = outcome
        loaded = {}
        for name, cluster in stored.items():
            revision, at = readable_revision(cluster["revision"]), cluster["baseline_at"]
            if not revision:
                self._skip("clusters", cluster, "its revision cannot be read, and is counted anew")
            if not isinstance(at, float | None):
                self._skip("clusters", cluster, "the time of its baseline cannot be read")
                at = None
            snapshot = Snapshot(tracked=tracked[name], outcomes=ended[name], baseline_at=at)
            loaded[name] = StoredCluster(revision, snapshot)
        return loaded

    def _wanted_jobs(self, query: Select[Any], wanted: JobFilter) -> Select[Any]:
        columns = jobs.c
        query = query.where(*_conditions(columns, columns.state, wanted))
        if wanted.stalled is not None:
            query = query.where(columns.stalled.is_(wanted.stalled))
        if wanted.listed is not None:
            missing = columns.missing_since
            query = query.where(missing.is_(None) if wanted.listed else missing.is_not(None))
        if wanted.text:
            query = query.where(_contains(columns, wanted.text))
        return query.where(columns.cluster.not_in(self._hidden)) if self._hidden else query

    def _stored_jobs(self, rows: Iterable[RowMapping]) -> Iterator[StoredJob]:
        return (StoredJob(row["cluster"], job) for row in rows if (job := self._read_job(row)) is not None)

    def _read_job(self, row: RowMapping) -> Job | None:
        try:
            job, missing_since = _decode(row["facts"]), row["missing_since"]
            if job.missing_since == missing_since:
                return job
            return msgspec.structs.replace(job, missing_since=msgspec.convert(missing_since, float | None))
        except (msgspec.DecodeError, TypeError) as error:
            self._skip("jobs", row, error)
        return None

    def _read(self, table: str, row: RowMapping, kind: type[StructT]) -> StructT | None:
        try:
            fields = {name: row[name] for name in kind.__struct_fields__}
            return msgspec.convert(fields, kind, strict=False)  # not strict: SQLite has numbers for booleans
        except msgspec.ValidationError as error:
            self._skip(table, row, error)
        return None

    def _skip(self, table: str, row: RowMapping, error: Exception | str) -> None:
        if len(self._skipped) < UNREADABLE_LIMIT:
            names = ("name", "cluster", "id", "database", "collection", "job_id")
            self._skipped[table, *(str(row[name]) for name in names if name in row)] = str(error)


def _all_rows(connection: Connection, query: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(query).mappings().all()


def readable_revision(value: object) -> int:
    """Return a stored revision, 0 where there is none or it cannot be read: then the row is to be replaced."""
    return value if isinstance(value, int) else 0


@lru_cache(ROWS_AT_ONCE)
def _select_jobs(number: int) -> Select[Any]:
    """Return the query for the revision of a cluster, with so many of its jobs as far as they are stored."""
    ids: list[Any] = [bindparam(f"id_{index}") for index in range(number)]
    return (
        select(clusters.c.revision, *_JOB)
        .outerjoin_from(clusters, jobs, (jobs.c.cluster == clusters.c.name) & jobs.c.job_id.in_(ids))
        .where(clusters.c.name == bindparam("cluster_name"), clusters.c.identity == bindparam("cluster_identity"))
    )


def read_discovery(connection: Connection, name: str) -> str | None:
    """Return the list of a discovery that was kept last, None where there is none."""
    listed: str | None = connection.execute(select(discoveries.c.clusters).where(discoveries.c.name == name)).scalar()
    return listed


def chunks(items: list[T], size: int) -> Iterator[list[T]]:
    """Cut a list into lists of at most so many items."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _tracked_jobs(names: list[str], finished_since: float) -> Any:
    """Return the query for the jobs to track of some clusters, which must not read all that have finished."""
    of_clusters = select(*_JOB).where(jobs.c.cluster.in_(names))
    unsuccessful = [state.value for state in UNSUCCESSFUL]
    return union_all(
        of_clusters.where(jobs.c.finished_at.is_(None)),
        of_clusters.where(jobs.c.state.in_(unsuccessful), jobs.c.finished_at > finished_since),
        of_clusters.where(text("incomplete"), jobs.c.finished_at > finished_since),
    )


def _conditions(columns: Any, state: Any, wanted: TransitionFilter | JobFilter) -> Iterator[ColumnElement[bool]]:
    for name in ("cluster", "database", "collection", "job_id"):
        if (value := getattr(wanted, name, None)) is not None:
            yield columns[name] == value
    if wanted.clusters is not None:
        yield columns.cluster.in_(wanted.clusters)
    if wanted.states:
        yield state.in_([value.value for value in wanted.states])


def _contains(columns: Any, wanted: str) -> ColumnElement[bool]:
    names = ("cluster", "database", "collection", "job_id", "reason")
    return or_(*(columns[name].icontains(wanted, autoescape=True) for name in names))
