"""One cluster: reachability, problems, running imports, and polling."""

from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import polling, problems, progress, queries, tables
from deploy.grafana.source.frame import cluster_variable, collection_variable, database_variable, framed
from deploy.grafana.source.links import CLUSTER_UID
from deploy.grafana.source.panels import UP_OR_DOWN, Column, lines, number, over_time, rows
from deploy.grafana.source.queries import CLUSTER


def cluster() -> model.Dashboard:
    """Build the dashboard of a cluster; panels about jobs use the selected databases and collections."""
    now = (
        number(
            "Polled",
            "Whether the last poll of the cluster succeeded.",
            queries.clusters(CLUSTER, "cluster_up"),
            width=3,
            words=UP_OR_DOWN,
            trend=False,
        ),
        number(
            "Last success",
            "Time since the last successful poll, which is the age of all values on this dashboard.",
            queries.age(queries.clusters(CLUSTER, "cluster_last_success_timestamp_seconds")),
            width=3,
            unit="s",
            steps=((None, "green"), (300, "orange"), (900, "red")),
            trend=False,
        ),
        problems.failed(CLUSTER, 3),
        problems.latest_failed(CLUSTER, 3),
        problems.stalled(CLUSTER, 3),
        problems.vanished(CLUSTER, 3),
        problems.uncommitted(CLUSTER, 3),
        progress.success(CLUSTER, 3),
        tables.failed_jobs(CLUSTER, 12),
        tables.stuck_jobs(CLUSTER, 12),
        tables.collections(CLUSTER, 16),
        tables.vanished_jobs(CLUSTER, 8),
    )
    running = (
        progress.by_state(CLUSTER, 8),
        progress.progress(CLUSTER, 8),
        progress.throughput(CLUSTER, "collection", 8),
        progress.finished(CLUSTER, 8),
        progress.durations(CLUSTER, 8),
        lines(
            "Transitions per hour",
            "State changes of jobs recorded within the last hour; new is a job seen for the first time. "
            "Covers the whole cluster, regardless of the selected databases and collections.",
            over_time(queries.transitions(CLUSTER), "{{from_state}} to {{to_state}}"),
            width=8,
        ),
        tables.running_jobs(CLUSTER, 24),
    )
    polls = (
        *polling.panels(CLUSTER, each="milvus_cluster"),
        rows(
            "Cluster",
            "Configuration of the cluster in the monitors.",
            f"max by (milvus_cluster, cluster_id, url, api) ({CLUSTER.of_cluster('cluster_info')})",
            columns=(
                Column("milvus_cluster", "Name"),
                Column("cluster_id", "Cluster ID"),
                Column("url", "URL"),
                Column("api", "API"),
            ),
            width=24,
            height=4,
        ),
    )
    return framed(
        CLUSTER_UID,
        "Milvus imports: cluster",
        "The bulk imports of one cluster.",
        CLUSTER,
        cluster_variable(many=False),
        database_variable(),
        collection_variable(many=True),
        rows=(("Now", now), ("Running", running), ("Polling", polls)),
    )
