"""The overview: problems first, then running imports, polling, discoveries, and the health of the monitors."""

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import discovery, links, polling, problems, progress, queries, tables
from deploy.grafana.source.frame import cluster_variable, framed
from deploy.grafana.source.links import FLEET_UID
from deploy.grafana.source.panels import (
    BAD_FROM_1,
    UP_OR_DOWN,
    YES_OR_NO,
    Column,
    bars,
    lines,
    number,
    over_time,
    rows,
)
from deploy.grafana.source.queries import FLEET


def fleet() -> model.Dashboard:
    """Build the dashboard of all clusters or a selection."""
    problem_panels = (
        problems.failed(FLEET, 3),
        problems.latest_failed(FLEET, 3),
        problems.stalled(FLEET, 3),
        problems.vanished(FLEET, 3),
        problems.uncommitted(FLEET, 3),
        number(
            "Unreachable clusters",
            "Clusters with a failed last poll. The state of their imports is unknown.",
            queries.count(queries.unreachable(FLEET)),
            width=3,
            steps=BAD_FROM_1,
        ).links([links.runbook("MilvusImportClusterUnreachable")]),
        number(
            "Rejected keys",
            "Clusters that cannot be polled and rejected the API key within the last hour.",
            queries.count(queries.key_rejected(FLEET)),
            width=3,
            steps=BAD_FROM_1,
        ).links([links.runbook("MilvusImportKeyRejected")]),
        number(
            "Firing alerts",
            "Number of firing alerts of the monitor's rules. Always 0 if the rules are not loaded in Prometheus.",
            f"count({queries.FIRING_ALERTS}) or vector(0)",
            width=3,
            steps=BAD_FROM_1,
        ),
        tables.failed_jobs(FLEET, 12),
        tables.stuck_jobs(FLEET, 12),
        tables.collections(FLEET, 12),
        tables.clusters(FLEET, 12),
        tables.vanished_jobs(FLEET, 8),
        bars(
            "Failed jobs by reason",
            "Class of each failure. The server's message is in the log and on the status page of the job.",
            f"count by (reason) ({queries.failed(FLEET)})",
            "{{reason}}",
            width=6,
            steps=((None, "red"),),
        ).height(9),
        _alerts(),
    )
    running = (
        number(
            "Unfinished jobs",
            "Jobs in the latest lists that have not finished.",
            f"sum({queries.unfinished(FLEET, 'milvus_cluster')}) or vector(0)",
            width=6,
        ),
        number(
            "Imported rows per second",
            "Over jobs for which the API reports rows.",
            f"sum({queries.rows_per_second(FLEET, 'milvus_cluster')})",
            width=6,
            unit="rowsps",
        ),
        progress.success(FLEET, 6),
        number(
            "Reachable clusters",
            "Clusters with a successful last poll.",
            f"count({queries.clusters(FLEET, 'cluster_up')} == 1) or vector(0)",
            width=6,
        ),
        progress.by_state(FLEET, 12),
        lines(
            "Unfinished jobs by cluster",
            "Jobs in the latest lists that have not finished.",
            over_time(queries.unfinished(FLEET, "milvus_cluster"), "{{milvus_cluster}}"),
            width=12,
            stacked=True,
            steps=True,
        ),
        progress.throughput(FLEET, "milvus_cluster", 8),
        progress.finished(FLEET, 8),
        progress.durations(FLEET, 8),
        tables.running_jobs(FLEET, 24),
    )
    return framed(
        FLEET_UID,
        "Milvus imports: fleet",
        "Bulk imports of all watched clusters: problems, running imports, polling, discoveries, and the health of the "
        "monitors.",
        FLEET,
        cluster_variable(many=True),
        rows=(
            ("Problems", problem_panels),
            ("Running", running),
            ("Polling", polling.panels(FLEET, each="milvus_cluster")),
            ("Discovery", discovery.panels()),
            ("Monitors", _monitors()),
        ),
    )


def _alerts() -> table.Panel:
    return rows(
        "Firing alerts",
        "Firing alerts of the monitor's rules. Alertmanager decides who is notified.",
        f"max by (alertname, severity, milvus_cluster, collection) ({queries.FIRING_ALERTS})",
        columns=(
            Column("alertname", "Alert", links=links.of_alert()),
            Column("severity", "Severity", width=90),
            Column("milvus_cluster", "Cluster"),
            Column("collection", "Collection"),
        ),
        width=10,
        sort="Severity",
        descending=False,
    )


def _monitors() -> tuple[stat.Panel | timeseries.Panel | table.Panel, ...]:
    return (
        number(
            "Monitors",
            "Monitors that Prometheus can scrape. Monitors on one database share the clusters.",
            "count(milvus_import_build_info) or vector(0)",
            width=4,
            steps=((None, "red"), (1, "green")),
        ),
        number(
            "Store",
            "Down if any monitor cannot write to its store: it continues in memory, and a restart loses the changes "
            "made in the meantime.",
            queries.monitors("store_up", "min"),
            width=4,
            words=UP_OR_DOWN,
            trend=False,
        ),
        number(
            "Config valid",
            "No if any monitor rejected its config file at the last reload; the previous config stays in effect.",
            queries.monitors("config_last_reload_successful", "min"),
            width=4,
            words=YES_OR_NO,
            trend=False,
        ),
        number(
            "Config age",
            "Time since the oldest config in effect was loaded.",
            queries.age(queries.monitors("config_last_reload_success_timestamp_seconds", "min")),
            width=4,
            unit="s",
            trend=False,
        ),
        number(
            "Store errors in 1 h",
            "Failed reads and writes of the store.",
            "sum(increase(milvus_import_store_write_failures_total[1h]))",
            width=4,
            steps=BAD_FROM_1,
        ),
        number(
            "Polls per second",
            "Over all monitors and clusters.",
            "sum(rate(milvus_import_polls_total[$__rate_interval]))",
            width=4,
            unit="cps",
        ),
        lines(
            "Poll duration, all clusters",
            "Quantiles over the polls of all monitors.",
            *(
                over_time(
                    f"histogram_quantile({quantile}, "
                    "sum by (le) (rate(milvus_import_poll_duration_seconds_bucket[$__rate_interval])))",
                    legend,
                    ref,
                )
                for quantile, legend, ref in ((0.5, "median", "A"), (0.99, "99th percentile", "B"))
            ),
            width=8,
            unit="s",
        ),
        lines(
            "CPU",
            "Cores used by each monitor. A monitor can use at most one core.",
            over_time(queries.process("rate(process_cpu_seconds_total[$__rate_interval])"), "{{instance}}"),
            width=8,
            unit="percentunit",
        ),
        lines(
            "Memory",
            "Resident memory of each monitor.",
            over_time(queries.process("process_resident_memory_bytes"), "{{instance}}"),
            width=8,
            unit="bytes",
        ),
        rows(
            "Versions",
            "Versions of the monitors and of Python. Replicas should run the same version.",
            "max by (instance, version, python) (milvus_import_build_info)",
            f"time() - {queries.process('process_start_time_seconds')}",
            f"{queries.process('process_open_fds')} / {queries.process('process_max_fds')}",
            columns=(
                Column("instance", "Monitor"),
                Column("version", "Version"),
                Column("python", "Python"),
                Column("Value #B", "Uptime", unit="s"),
                Column("Value #C", "Used file descriptors", unit="percentunit"),
            ),
            width=24,
            sort="Monitor",
            descending=False,
            height=6,
        ),
    )
