"""The tables that more than one dashboard shows: jobs, collections and clusters, with a way on from each row."""

from typing import Final

from grafana_foundation_sdk.builders import table

from deploy.grafana.source import links, queries
from deploy.grafana.source.panels import MOVES_OR_NOT, OK_OR_FAILED, UP_OR_DOWN, Column, rows
from deploy.grafana.source.queries import JOB, Scope

_CLUSTER: Final = Column("milvus_cluster", "Cluster", links=links.of_cluster())
_DATABASE: Final = Column("database", "Database", width=120)
_COLLECTION: Final = Column("collection", "Collection", links=links.of_collection())
_JOB: Final = Column("job_id", "Job", links=links.of_job(), width=190)
_STATE: Final = Column("state", "State", width=110)


def _place(scope: Scope) -> tuple[Column, ...]:
    """The columns that say where something is: hidden where the whole dashboard is about that place."""
    cluster = _CLUSTER if scope is queries.FLEET else Column("milvus_cluster")
    if scope is queries.COLLECTION_SCOPE:
        return cluster, _DATABASE, Column("collection")
    return cluster, _DATABASE, _COLLECTION


def failed_jobs(scope: Scope, width: int) -> table.Panel:
    """Failed jobs with their reasons."""
    return rows(
        "Failed jobs",
        "Every job that failed and is still remembered (jobs.failed_retention, a day unless set otherwise), also where "
        "the server has forgotten it. The server's own words are on the job's status page and in the log.",
        queries.failed(scope),
        columns=(*_place(scope), _JOB, Column("reason", "Reason")),
        width=width,
        sort="Job",
    )


def stuck_jobs(scope: Scope, width: int) -> table.Panel:
    """Jobs that stand still."""
    return rows(
        "Stalled and uncommitted jobs",
        "Jobs without progress for longer than the limit of their state, and every job that waits for somebody's "
        "commit: it can wait for ever. The one that has stood still for longest comes first.",
        queries.standing_still(scope),
        columns=(*_place(scope), _JOB, _STATE, Column("Value", "Unchanged for", unit="s", width=130)),
        width=width,
        sort="Unchanged for",
    )


def vanished_jobs(scope: Scope, width: int) -> table.Panel:
    """Jobs that the server has forgotten unfinished."""
    return rows(
        "Vanished jobs",
        "Jobs that were unfinished when last seen, and of which the server now says that they do not exist: whether "
        "they completed is not known.",
        queries.vanished(scope),
        columns=(*_place(scope), _JOB),
        width=width,
        sort="Job",
    )


def running_jobs(scope: Scope, width: int) -> table.Panel:
    """Unfinished jobs and how far they are."""
    return rows(
        "Unfinished jobs",
        "How far each job is. Time left is an estimate from its recent pace, and absent while it would be a guess; "
        "rows are absent where the API does not count them.",
        queries.jobs(scope, "job_state", queries.UNFINISHED, by=f"{JOB}, state"),
        queries.jobs(scope, "job_progress_ratio"),
        queries.jobs(scope, "job_eta_seconds"),
        queries.age(queries.jobs(scope, "job_first_seen_timestamp_seconds")),
        queries.age(queries.jobs(scope, "job_last_change_timestamp_seconds")),
        queries.jobs(scope, "job_stalled"),
        queries.jobs(scope, "job_imported_rows"),
        queries.jobs(scope, "job_total_rows"),
        columns=(
            *_place(scope),
            _JOB,
            _STATE,
            Column("Value #B", "Progress", bar=True, width=200),
            Column("Value #C", "Time left", unit="s", width=110),
            Column("Value #D", "Seen for", unit="s", width=110),
            Column("Value #E", "Unchanged for", unit="s", width=130),
            Column("Value #F", "Moves", words=MOVES_OR_NOT, width=90),
            Column("Value #G", "Rows in", unit="short", width=100),
            Column("Value #H", "Rows in all", unit="short", width=110),
        ),
        width=width,
        sort="Seen for",
        height=11,
    )


def collections(scope: Scope, width: int) -> table.Panel:
    """Collections and how their imports ended."""
    return rows(
        "Collections",
        "How the latest finished import of each collection ended, when one last completed, and what ended in the last "
        "24 hours. Collections whose latest import failed come first.",
        queries.collections(scope, "collection_last_finished_failed"),
        queries.age(queries.collections(scope, "collection_last_completed_timestamp_seconds")),
        queries.outcomes(scope, queries.COLLECTION, "24h"),
        queries.unfinished(scope, queries.COLLECTION),
        columns=(
            *_place(scope),
            Column("Value #A", "Latest import", words=OK_OR_FAILED, width=120),
            Column("Value #B", "Last success", unit="s", width=120),
            Column("Value #C", "Finished in 24 h", unit="short", width=140),
            Column("Value #D", "Unfinished", unit="short", width=110),
        ),
        width=width,
        sort="Latest import",
    )


def clusters(scope: Scope, width: int) -> table.Panel:
    """Clusters and whether they can be seen."""
    failures = scope.of_cluster("poll_failures_total")
    return rows(
        "Clusters",
        "Clusters that cannot be polled come first. A cluster that keeps failing is asked less often, down to once in "
        "10 intervals.",
        queries.clusters(scope, "cluster_up"),
        queries.age(queries.clusters(scope, "cluster_last_success_timestamp_seconds")),
        queries.clusters(scope, "cluster_last_poll_duration_seconds"),
        f"sum by (milvus_cluster) (increase({failures}[1h]))",
        queries.unfinished(scope, "milvus_cluster"),
        f"count by (milvus_cluster) ({queries.failed(scope)})",
        columns=(
            _CLUSTER,
            Column("Value #A", "Polled", words=UP_OR_DOWN, width=90),
            Column("Value #B", "Last success", unit="s", width=120),
            Column("Value #C", "Last poll took", unit="s", width=130),
            Column("Value #D", "Failed polls in 1 h", unit="short", width=150),
            Column("Value #E", "Unfinished jobs", unit="short", width=140),
            Column("Value #F", "Failed jobs", unit="short", width=110),
        ),
        width=width,
        sort="Polled",
        descending=False,
    )
