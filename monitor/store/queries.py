"""Answers what is asked of the store: transitions and jobs page by page, and more than a page shows."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, bindparam, func, or_, select, tuple_

from monitor.jobs import CollectionKey, Job, Snapshot, Transition
from monitor.store.database import Database
from monitor.store.discoveries import read_discovery
from monitor.store.loading import ClusterLoader
from monitor.store.pages import (
    PAGE_LIMIT,
    ClusterRef,
    CursorError,
    JobFilter,
    JobPage,
    RecordedTransition,
    TransitionFilter,
    TransitionPage,
)
from monitor.store.rows import JOB_COLUMNS, RowReader
from monitor.store.samples import ProgressSample, wanted_samples
from monitor.store.schema import clusters, jobs, transitions
from monitor.store.statements import ROWS_AT_ONCE, chunks

COUNT_LIMIT: Final = 10_000
"""Finished jobs that are counted for a page, at most."""

SEARCH_LIMIT: Final = 50_000
"""Finished jobs, the latest ones, in which a text is searched for."""

TRANSITIONS_AT_ONCE: Final = 1000
"""Transitions that are read for `StoreReader.transitions_after`, the latest ones."""

IMPORTS_READ: Final = 500
"""Finished imports of one collection that are read for `StoreReader.finished_imports`, the latest ones."""

_FINISHED_IMPORTS: Final = (
    select(*JOB_COLUMNS)
    .where(jobs.c.cluster == bindparam("its_cluster"), jobs.c.database == bindparam("its_database"))
    .where(jobs.c.collection == bindparam("its_collection"), jobs.c.finished_at >= bindparam("since"))
    .order_by(jobs.c.finished_at.desc())
    .limit(IMPORTS_READ)
)

T = TypeVar("T")


class StoreReader:
    """Answers what is asked of a database. Its errors come out as they are; rows that cannot be read are skipped.

    Attributes:
        hidden: The names of clusters whose jobs are left out of pages.
    """

    def __init__(self, database: Database, rows: RowReader) -> None:
        self.hidden: frozenset[str] = frozenset()
        self._database = database
        self._rows = rows

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
        rows = self.ask(lambda connection: connection.execute(query).mappings().all())
        steps = [(row, self._rows.read("transitions", row, Transition)) for row in rows[:limit]]
        entries = tuple(RecordedTransition(str(row["id"]), row["cluster"], step) for row, step in steps if step)
        return TransitionPage(entries, str(rows[limit - 1]["id"]) if len(rows) > limit else None)

    def jobs(self, wanted: JobFilter, limit: int, after: tuple[str, str] | None = None) -> JobPage:
        """Return jobs, unfinished and finished, in the order of cluster and id, those after a cluster and id."""
        limit = max(1, min(limit, PAGE_LIMIT))
        query = self._wanted_jobs(select(*JOB_COLUMNS), wanted).order_by(jobs.c.cluster, jobs.c.job_id).limit(limit + 1)
        if after is not None:
            query = query.where(tuple_(jobs.c.cluster, jobs.c.job_id) > tuple_(*after))
        rows = self.ask(lambda connection: connection.execute(query).mappings().all())
        last = (rows[limit - 1]["cluster"], rows[limit - 1]["job_id"]) if len(rows) > limit else None
        return JobPage(tuple(self._rows.stored_jobs(rows[:limit])), last)

    def job(self, cluster: str, job_id: str) -> Job | None:
        """Return a job, None where it is not stored."""
        wanted = select(*JOB_COLUMNS).where(jobs.c.cluster == cluster, jobs.c.job_id == job_id)
        rows = self.ask(partial(_all_rows, query=wanted))
        return next((entry.job for entry in self._rows.stored_jobs(rows)), None)

    def finished(self, wanted: JobFilter, limit: int, offset: int = 0) -> JobPage:
        """Return finished jobs, the latest first, and how many there are. A text is searched for in the latest ones."""
        latest = select(*JOB_COLUMNS, jobs.c.finished_at).where(jobs.c.finished_at > 0)
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
            return JobPage(tuple(self._rows.stored_jobs(connection.execute(ordered).mappings())), total=total)

        return self.ask(ask)

    def transitions_after(self, last_id: int, names: Collection[str]) -> list[RecordedTransition]:
        """Return the transitions of some clusters that were recorded after one, in their order."""
        columns = transitions.c
        latest = select(transitions).where(columns.id > last_id, columns.cluster.in_(names))
        latest = latest.order_by(columns.id.desc()).limit(TRANSITIONS_AT_ONCE)
        rows = self._database.read(lambda connection: connection.execute(latest).mappings().all())
        steps = ((row, self._rows.read("transitions", row, Transition)) for row in reversed(rows))
        return [RecordedTransition(str(row["id"]), row["cluster"], step) for row, step in steps if step is not None]

    def last_transition_id(self) -> int:
        """Return the id of the transition that was recorded last, 0 where there is none."""
        newest = select(func.max(transitions.c.id))
        return self._database.read(lambda connection: connection.execute(newest).scalar()) or 0

    def jobs_by_key(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], Job]:
        """Return what is stored of jobs, by the names of their clusters and their ids."""
        found: dict[tuple[str, str], Job] = {}
        for some in chunks([*keys], ROWS_AT_ONCE):
            wanted = select(*JOB_COLUMNS).where(tuple_(jobs.c.cluster, jobs.c.job_id).in_(some))
            rows = self._database.read(partial(_all_rows, query=wanted))
            found.update(((entry.cluster, entry.job.job_id), entry.job) for entry in self._rows.stored_jobs(rows))
        return found

    def samples(self, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], list[ProgressSample]]:
        """Return the points of the progress of some jobs, by the names of their clusters and their ids, in order."""
        samples: dict[tuple[str, str], list[ProgressSample]] = {}
        for some in chunks([*keys], ROWS_AT_ONCE):
            for row in self.ask(partial(_all_rows, query=wanted_samples(some))):
                if (sample := self._rows.read("progress_samples", row, ProgressSample)) is not None:
                    samples.setdefault((row["cluster"], row["job_id"]), []).append(sample)
        return samples

    def finished_imports(self, cluster: str, since: Mapping[CollectionKey, float]) -> dict[CollectionKey, list[Job]]:
        """Return the latest imports of collections that have finished since a time, each with its own."""

        def read(connection: Connection) -> dict[CollectionKey, list[Job]]:
            imports = {}
            for key, at in since.items():
                wanted = {"its_cluster": cluster, "its_database": key[0], "its_collection": key[1], "since": at}
                rows = connection.execute(_FINISHED_IMPORTS, wanted).mappings()
                imports[key] = [entry.job for entry in self._rows.stored_jobs(rows)]
            return imports

        return self._database.read(read)

    def cluster_names(self) -> Sequence[str]:
        """Return the names of the stored clusters."""
        return self.ask(lambda connection: connection.execute(select(clusters.c.name)).scalars().all())

    def stored_snapshots(self, refs: Iterable[ClusterRef]) -> dict[str, Snapshot]:
        """Return the snapshots of clusters as they are stored, by their names."""
        loaded = ClusterLoader(self._database, self._rows).load(refs, finished_since=0.0)
        return {name: cluster.snapshot for name, cluster in loaded.items()}

    def discovered(self, discovery: str) -> str | None:
        """Return the list of a discovery that was kept last; None where there is none."""
        return self.ask(lambda connection: read_discovery(connection, discovery))

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Answer a question of a page."""
        return self._database.read_for_page(work)

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
        return query.where(columns.cluster.not_in(self.hidden)) if self.hidden else query


def _all_rows(connection: Connection, query: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(query).mappings().all()


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
