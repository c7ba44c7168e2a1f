"""Loads clusters as they are stored, and what is stored of their jobs."""

from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, select, text, union_all

from monitor.jobs import UNSUCCESSFUL, CollectionKey, CollectionOutcome, Job, Snapshot
from monitor.store.database import Database
from monitor.store.pages import ClusterRef
from monitor.store.rows import JOB_COLUMNS, RowReader
from monitor.store.schema import clusters, jobs, outcomes
from monitor.store.statements import ROWS_AT_ONCE, chunks, execute


class StoredCluster(msgspec.Struct, frozen=True):
    """A cluster as it is stored: its revision, 0 where that cannot be read, and its snapshot at that revision."""

    revision: int
    snapshot: Snapshot


class ClusterLoader:
    """Loads clusters. Its errors come out as they are; rows that cannot be read are skipped."""

    def __init__(self, database: Database, rows: RowReader) -> None:
        self._database = database
        self._rows = rows

    def load(self, refs: Iterable[ClusterRef], finished_since: float) -> dict[str, StoredCluster]:
        """Return clusters as they are stored by name; of failed and vanished jobs those finished since a time.

        Those are left out that had no baseline, and those whose name meant another cluster.
        """
        loaded: dict[str, StoredCluster] = {}
        for some in chunks([*refs], ROWS_AT_ONCE):
            loaded.update(self._database.read_much(partial(self._load, refs=some, finished_since=finished_since)))
        self._rows.report_skipped()
        return loaded

    def jobs_by_id(self, connection: Connection, ref: ClusterRef, ids: Iterable[str]) -> tuple[int, dict[str, Job]]:
        """Return the revision of a cluster, 0 where it is not stored, and what is stored of some of its jobs."""
        revision, stored = 0, dict[str, Job]()
        for some in chunks([*ids], ROWS_AT_ONCE):
            wanted = {"cluster_name": ref.name, "cluster_identity": ref.identity}
            wanted |= {f"id_{number}": job_id for number, job_id in enumerate(some)}
            for row in execute(connection, _select_jobs(len(some)), wanted).mappings():
                revision = _readable_revision(row["revision"])
                if row["job_id"] is not None and (job := self._rows.job(row)) is not None:
                    stored[job.job_id] = job
        return revision, stored

    def revisions(self) -> dict[str, tuple[str, int]]:
        """Return identity and revision of every cluster by its name."""
        query = select(clusters.c.name, clusters.c.identity, clusters.c.revision)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row.name: (row.identity, _readable_revision(row.revision)) for row in rows}

    def _load(self, connection: Connection, refs: list[ClusterRef], finished_since: float) -> dict[str, StoredCluster]:
        # Revisions first: what another monitor records meanwhile makes them outdated, which is noticed.
        identities = {ref.name: ref.identity for ref in refs}
        query = select(clusters).where(clusters.c.name.in_(identities))
        rows = connection.execute(query).mappings()
        stored = {row["name"]: row for row in rows if row["identity"] == identities[row["name"]]}
        tracked: dict[str, dict[str, Job]] = {name: {} for name in stored}
        for entry in self._rows.stored_jobs(connection.execute(_tracked_jobs([*stored], finished_since)).mappings()):
            tracked[entry.cluster][entry.job.job_id] = entry.job
        ended: dict[str, dict[CollectionKey, CollectionOutcome]] = {name: {} for name in stored}
        for row in connection.execute(select(outcomes).where(outcomes.c.cluster.in_(stored))).mappings():
            if (outcome := self._rows.read("outcomes", row, CollectionOutcome)) is not None:
                ended[row["cluster"]][row["database"], row["collection"]] = outcome
        loaded = {}
        for name, cluster in stored.items():
            revision, at = _readable_revision(cluster["revision"]), cluster["baseline_at"]
            if not revision:
                self._rows.skip("clusters", cluster, "its revision cannot be read, and is counted anew")
            if not isinstance(at, float | None):
                self._rows.skip("clusters", cluster, "the time of its baseline cannot be read")
                at = None
            snapshot = Snapshot(tracked=tracked[name], outcomes=ended[name], baseline_at=at)
            loaded[name] = StoredCluster(revision, snapshot)
        return loaded


def _tracked_jobs(names: list[str], finished_since: float) -> Any:
    """Return the query for the jobs to track of some clusters, which must not read all that have finished."""
    of_clusters = select(*JOB_COLUMNS).where(jobs.c.cluster.in_(names))
    unsuccessful = [state.value for state in UNSUCCESSFUL]
    return union_all(
        of_clusters.where(jobs.c.finished_at.is_(None)),
        of_clusters.where(jobs.c.state.in_(unsuccessful), jobs.c.finished_at > finished_since),
        of_clusters.where(text("incomplete"), jobs.c.finished_at > finished_since),
    )


@lru_cache(ROWS_AT_ONCE)
def _select_jobs(number: int) -> Select[Any]:
    """Return the query for the revision of a cluster, with so many of its jobs as far as they are stored."""
    ids: list[Any] = [bindparam(f"id_{index}") for index in range(number)]
    return (
        select(clusters.c.revision, *JOB_COLUMNS)
        .outerjoin_from(clusters, jobs, (jobs.c.cluster == clusters.c.name) & jobs.c.job_id.in_(ids))
        .where(clusters.c.name == bindparam("cluster_name"), clusters.c.identity == bindparam("cluster_identity"))
    )


def _readable_revision(value: object) -> int:
    """Return a stored revision, 0 where there is none or it cannot be read: then the row is to be replaced."""
    return value if isinstance(value, int) else 0
