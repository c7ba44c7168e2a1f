"""One cluster: whether it can be seen, what is wrong, what runs, and how it is asked."""

from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import polling, progress, queries, tables, trouble
from deploy.grafana.source.frame import cluster_variable, collection_variable, database_variable, framed
from deploy.grafana.source.links import CLUSTER_UID
from deploy.grafana.source.panels import UP_OR_DOWN, Column, lines, number, over_time, rows
from deploy.grafana.source.queries import CLUSTER


def cluster() -> model.Dashboard:
    """One cluster; panels about jobs follow the chosen databases and collections."""
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
            "Time since the last successful poll: everything here is as old as this.",
            queries.age(queries.clusters(CLUSTER, "cluster_last_success_timestamp_seconds")),
            width=3,
            unit="s",
            steps=((None, "green"), (300, "orange"), (900, "red")),
            trend=False,
        ),
        trouble.failed(CLUSTER, 3),
        trouble.latest_failed(CLUSTER, 3),
        trouble.stalled(CLUSTER, 3),
        trouble.vanished(CLUSTER, 3),
        trouble.uncommitted(CLUSTER, 3),
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
            "Transitions in an hour",
            "Each change of a job's state that was recorded in the hour before; new stands for a job first seen. "
            "Of the whole cluster, whatever is chosen above.",
            over_time(queries.transitions(CLUSTER), "{{from_state}} to {{to_state}}"),
            width=8,
        ),
        tables.running_jobs(CLUSTER, 24),
    )
    asking = (
        *polling.panels(CLUSTER, each="milvus_cluster"),
        rows(
            "The cluster",
            "As the monitors are configured.",
            f"max by (milvus_cluster, cluster_id, url, api) ({CLUSTER.of_cluster('cluster_info')})",
            columns=(
                Column("milvus_cluster", "Name"),
                Column("cluster_id", "Cluster id"),
                Column("url", "Address"),
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
        rows=(("Now", now), ("Running", running), ("Asking the cluster", asking)),
    )
