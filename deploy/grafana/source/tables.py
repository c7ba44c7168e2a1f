"""Tables of jobs, collections and clusters, with links, shared by several dashboards."""

from typing import Final

from grafana_foundation_sdk.builders import table

from deploy.grafana.source import links, queries
from deploy.grafana.source.panels import OK_OR_FAILED, PROGRESSING_OR_STALLED, UP_OR_DOWN, Column, rows
from deploy.grafana.source.queries import JOB, Scope

_CLUSTER: Final = Column("milvus_cluster", "Cluster", links=links.of_cluster())
_DATABASE: Final = Column("database", "Database", width=120)
_COLLECTION: Final = Column("collection", "Collection", links=links.of_collection())
_JOB: Final = Column("job_id", "Job", links=links.of_job(), width=190)
_STATE: Final = Column("state", "State", width=110)


def _location_columns(scope: Scope) -> tuple[Column, ...]:
    """Return the columns of cluster, database and collection; a column with one value only is hidden."""
    cluster = _CLUSTER if scope is queries.FLEET else Column("milvus_cluster")
    if scope is queries.COLLECTION_SCOPE:
        return cluster, _DATABASE, Column("collection")
    return cluster, _DATABASE, _COLLECTION


def failed_jobs(scope: Scope, width: int) -> table.Panel:
    """Build the table of failed jobs with their reasons."""
    return rows(
        "Failed jobs",
        "Failed jobs within jobs.failed_retention (24 h by default), including jobs that the server has removed. The "
        "server's message is on the status page of the job and in the log.",
        queries.failed(scope),
        columns=(*_location_columns(scope), _JOB, Column("reason", "Reason")),
        width=width,
        sort="Job",
    )


def stuck_jobs(scope: Scope, width: int) -> table.Panel:
    """Build the table of stalled and uncommitted jobs."""
    return rows(
        "Stalled and uncommitted jobs",
        "Jobs without progress for longer than the limit of their state, and all jobs that wait to be committed. "
        "Longest unchanged first.",
        queries.unchanged_seconds(scope),
        columns=(*_location_columns(scope), _JOB, _STATE, Column("Value", "Unchanged for", unit="s", width=130)),
        width=width,
        sort="Unchanged for",
    )


def vanished_jobs(scope: Scope, width: int) -> table.Panel:
    """Build the table of vanished jobs."""
    return rows(
        "Vanished jobs",
        "Jobs that were unfinished when last seen and no longer exist according to the server. Whether they completed "
        "is unknown.",
        queries.vanished(scope),
        columns=(*_location_columns(scope), _JOB),
        width=width,
        sort="Job",
    )


def running_jobs(scope: Scope, width: int) -> table.Panel:
    """Build the table of unfinished jobs with their progress."""
    return rows(
        "Unfinished jobs",
        "Progress of each job. Time left is estimated from the recent pace of the job and empty while the pace is "
        "unknown; rows are empty if the API does not report them.",
        queries.jobs(scope, "job_state", queries.UNFINISHED, by=f"{JOB}, state"),
        queries.jobs(scope, "job_progress_ratio"),
        queries.jobs(scope, "job_eta_seconds"),
        queries.age(queries.jobs(scope, "job_first_seen_timestamp_seconds")),
        queries.age(queries.jobs(scope, "job_last_change_timestamp_seconds")),
        queries.jobs(scope, "job_stalled"),
        queries.jobs(scope, "job_imported_rows"),
        queries.jobs(scope, "job_total_rows"),
        columns=(
            *_location_columns(scope),
            _JOB,
            _STATE,
            Column("Value #B", "Progress", bar=True, width=200),
            Column("Value #C", "Time left", unit="s", width=110),
            Column("Value #D", "Age", unit="s", width=110),
            Column("Value #E", "Unchanged for", unit="s", width=130),
            Column("Value #F", "Progressing", words=PROGRESSING_OR_STALLED, width=90),
            Column("Value #G", "Imported rows", unit="short", width=100),
            Column("Value #H", "Total rows", unit="short", width=110),
        ),
        width=width,
        sort="Age",
        height=11,
    )


def collections(scope: Scope, width: int) -> table.Panel:
    """Build the table of collections with the results of their imports."""
    return rows(
        "Collections",
        "Result of the latest finished import of each collection, time since an import last completed, and jobs "
        "finished within the last 24 hours. Collections with a failed latest import first.",
        queries.collections(scope, "collection_last_finished_failed"),
        queries.age(queries.collections(scope, "collection_last_completed_timestamp_seconds")),
        queries.outcomes(scope, queries.COLLECTION, "24h"),
        queries.unfinished(scope, queries.COLLECTION),
        columns=(
            *_location_columns(scope),
            Column("Value #A", "Latest import", words=OK_OR_FAILED, width=120),
            Column("Value #B", "Last success", unit="s", width=120),
            Column("Value #C", "Finished in 24 h", unit="short", width=140),
            Column("Value #D", "Unfinished", unit="short", width=110),
        ),
        width=width,
        sort="Latest import",
    )


def clusters(scope: Scope, width: int) -> table.Panel:
    """Build the table of clusters with their reachability."""
    failures = scope.of_cluster("poll_failures_total")
    return rows(
        "Clusters",
        "Unreachable clusters first. A cluster that keeps failing is polled less often, down to once in 10 intervals.",
        queries.clusters(scope, "cluster_up"),
        queries.age(queries.clusters(scope, "cluster_last_success_timestamp_seconds")),
        queries.clusters(scope, "cluster_last_poll_duration_seconds"),
        f"sum by (milvus_cluster) (increase({failures}[1h]))",
        queries.unfinished(scope, "milvus_cluster"),
        f"count by (milvus_cluster) ({queries.failed(scope)})",
        columns=(
            _CLUSTER,
            Column("Value #A", "Status", words=UP_OR_DOWN, width=90),
            Column("Value #B", "Last success", unit="s", width=120),
            Column("Value #C", "Poll duration", unit="s", width=130),
            Column("Value #D", "Failed polls in 1 h", unit="short", width=150),
            Column("Value #E", "Unfinished jobs", unit="short", width=140),
            Column("Value #F", "Failed jobs", unit="short", width=110),
        ),
        width=width,
        sort="Status",
        descending=False,
    )
