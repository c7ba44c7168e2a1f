"""The tables of the store, the same in SQLite and PostgreSQL."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Integer, MetaData, Table, Text, false, text

VERSION: Final = 9
"""Version of the schema; `monitor.store.migrations` brings older ones up to it."""

LONGEST_FAILED_RETENTION: Final = 366 * 86_400.0
"""Seconds for which a failed or vanished job stays in the store at least: what ``failed_retention`` can be at most."""

metadata: Final = MetaData()

_Id: Final = BigInteger().with_variant(Integer, "sqlite")

_Flag: Final = Boolean().with_variant(Integer, "sqlite")
"""A boolean. SQLite's number is not converted, for an unexpected one would fail the whole query."""


def _texts(*names: str, default: str | None = None) -> list[Column[str]]:
    return [Column(name, Text, nullable=False, server_default=default) for name in names]


schema: Final = Table("schema", metadata, Column("version", Integer, nullable=False))
"""One row: the version of the schema."""

clusters: Final = Table(
    "clusters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("identity", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("baseline_at", Float),
)
"""One row for each cluster that has had its baseline; ``revision`` grows with everything recorded of it."""

jobs: Final = Table(
    "jobs",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("facts", Text, nullable=False),
    *_texts("database", "collection", "state", "reason", default=""),
    Column("stalled", _Flag, nullable=False, server_default=false()),
    Column("finished_at", Float),
    Column("missing_since", Float),
    Column("incomplete", _Flag, nullable=False, server_default=false()),
)
"""Every job: ``facts`` is the `monitor.jobs.Job` as JSON without defaults, the other columns are what queries need.

``missing_since`` counts where it differs from the facts: a finished job that leaves the list is only marked.
"""

outcomes: Final = Table(
    "outcomes",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("cluster", "database", "collection")),
    Column("last_failed", _Flag),
    Column("last_completed_at", Float),
    Column("last_finished_at", Float),
    Column("last_aborted", _Flag, nullable=False, server_default=false()),
    *_texts("durations", default=""),
    Column("last_short", _Flag, nullable=False, server_default=false()),
    Column("failures_in_a_row", Integer, nullable=False, server_default=text("0")),
)
"""How the latest imports of each collection ended, and how long those took that completed."""

transitions: Final = Table(
    "transitions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    *_texts("cluster", "cluster_id", "database", "collection", "job_id", "to_state", "reason"),
    Column("from_state", Text),
    Column("at", Float, nullable=False),
    Column("progress", Float),
    Column("failure", Text),
    Column("duration", Float, nullable=False),
    Column("unexpected", _Flag, nullable=False),
    Column("logged", _Flag, nullable=False, server_default=false()),
    Column("recorded_at", Float),
    sqlite_autoincrement=True,
)
"""Every recorded transition; ``at`` is when its poll began, ``recorded_at`` when it was written."""

discoveries: Final = Table(
    "discoveries",
    metadata,
    Column("name", Text, primary_key=True),
    Column("clusters", Text, nullable=False),
)
"""The latest list of each discovery, as JSON without secrets."""

statuses: Final = Table(
    "cluster_status",
    metadata,
    Column("name", Text, primary_key=True),
    *_texts("identity", "owner", "status", "why", "listed"),
    Column("owner_id", BigInteger, nullable=False),
    Column("last_poll", Float, nullable=False),
    Column("last_success", Float),
    Column("changed_at", Float, nullable=False),
)
"""How the latest poll of each cluster ended, for the pages of other monitors on one PostgreSQL.

``owner`` and ``owner_id`` are the monitor that made it, ``listed`` the numbers of listed jobs by state, as JSON.
``changed_at``, by the clock of PostgreSQL, is when the status or the stored jobs last changed; the times of polls are
written without it every few seconds.
"""

samples: Final = Table(
    "progress_samples",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("slot", BigInteger, primary_key=True),
    Column("at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("progress", Float),
    sqlite_with_rowid=False,
)
"""Points of the progress of jobs, for the charts; see `monitor.store.samples`."""

expectations: Final = Table(
    "expectations",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("cluster", "expectation", "database", "collection")),
    *_texts("state", "reported"),
    *(
        Column(name, Float, nullable=False)
        for name in ("occurrence", "deadline", "known_since", "gap_from", "gap_to", "seen_until")
    ),
    Column("revision", BigInteger, nullable=False),
)
"""Of each expected import the current occurrence, and which of its events are in the log.

``revision`` grows with each change, so that of two monitors only one makes it. ``seen_until``, by which a gap is found,
is also written without that.
"""

SINCE: Final = {"discoveries": 5, "cluster_status": 6, "progress_samples": 7, "expectations": 9}
"""Versions from which on tables exist; the others are in every version."""

INDEXES: Final = {
    # Most are partial: the progress of an unfinished job changes only one of them.
    "jobs_unfinished": "jobs (cluster) WHERE finished_at IS NULL",
    "jobs_by_end": "jobs (finished_at) WHERE finished_at IS NOT NULL",
    "jobs_by_state": "jobs (state, finished_at) WHERE finished_at IS NOT NULL",
    "jobs_of_cluster_by_end": "jobs (cluster, finished_at) WHERE finished_at IS NOT NULL",
    "jobs_of_cluster_by_state": "jobs (cluster, state, finished_at) WHERE finished_at IS NOT NULL",
    "jobs_of_collection_by_end": ('jobs (cluster, "database", collection, finished_at) WHERE finished_at IS NOT NULL'),
    "jobs_listed": (
        "jobs (cluster, missing_since, finished_at, job_id) WHERE missing_since IS NULL AND finished_at IS NOT NULL"
    ),
    "jobs_incomplete": "jobs (cluster) WHERE incomplete",
    "jobs_by_missing": "jobs (missing_since) WHERE missing_since IS NOT NULL",
    "transitions_by_time": "transitions (at)",
    "transitions_by_job": "transitions (cluster, job_id)",
    "cluster_status_by_change": "cluster_status (changed_at)",
    "progress_samples_by_time": "progress_samples (at)",
    "transitions_not_logged": "transitions (recorded_at) WHERE NOT logged",
}
"""What each index is on. As SQL: SQLAlchemy's partial ones import every driver of PostgreSQL, 0.1 s at each start."""
