"""The overview: what is on fire first, then what runs, then how well the monitor itself is."""

from grafana_foundation_sdk.builders import stat, table, timeseries
from grafana_foundation_sdk.models import dashboard as model

from deploy.grafana.source import polling, progress, queries, tables, trouble
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
    """All clusters, or those chosen."""
    on_fire = (
        trouble.failed(FLEET, 3),
        trouble.latest_failed(FLEET, 3),
        trouble.stalled(FLEET, 3),
        trouble.vanished(FLEET, 3),
        trouble.uncommitted(FLEET, 3),
        number(
            "Clusters unreachable",
            "Clusters whose last poll failed: what becomes of their imports is not known.",
            queries.how_many(queries.unreachable(FLEET)),
            width=3,
            steps=BAD_FROM_1,
        ),
        number(
            "Keys rejected",
            "Clusters that cannot be polled and said within the hour that the API key is wrong, or may not list jobs.",
            queries.how_many(queries.key_rejected(FLEET)),
            width=3,
            steps=BAD_FROM_1,
        ),
        number(
            "Alerts firing",
            "Alerts of this project's rules that fire now. Without the rules in Prometheus this is always 0.",
            'count(ALERTS{alertname=~"MilvusImport.+", alertstate="firing"}) or vector(0)',
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
            "The monitor's class of each reason; the server's own words are in the log and on the job's status page.",
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
            "Jobs in the latest lists that have neither completed nor failed.",
            f"sum({queries.unfinished(FLEET, 'milvus_cluster')}) or vector(0)",
            width=6,
        ),
        number(
            "Rows imported a second",
            "Over the jobs whose API counts rows.",
            f"sum({queries.rows_per_second(FLEET, 'milvus_cluster')})",
            width=6,
            unit="rowsps",
        ),
        progress.success(FLEET, 6),
        number(
            "Clusters polled",
            "Clusters whose last poll succeeded.",
            f"count({queries.clusters(FLEET, 'cluster_up')} == 1) or vector(0)",
            width=6,
        ),
        progress.by_state(FLEET, 12),
        lines(
            "Unfinished jobs by cluster",
            "Jobs in the latest lists that have neither completed nor failed.",
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
        "The bulk imports of every watched cluster: what is on fire, what runs, and how well the monitor itself is.",
        FLEET,
        cluster_variable(many=True),
        rows=(
            ("On fire", on_fire),
            ("Running", running),
            ("Asking the clusters", polling.panels(FLEET, each="milvus_cluster")),
            ("The monitors", _monitors()),
        ),
    )


def _alerts() -> table.Panel:
    return rows(
        "Firing alerts",
        "Alerts of this project's rules. Which of them wakes whom is Alertmanager's to say.",
        "max by (alertname, severity, milvus_cluster, collection) "
        '(ALERTS{alertname=~"MilvusImport.+", alertstate="firing"})',
        columns=(
            Column("alertname", "Alert"),
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
            "Monitors that answer Prometheus. Two or more on one PostgreSQL may watch the same clusters.",
            "count(milvus_import_build_info) or vector(0)",
            width=4,
            steps=((None, "red"), (1, "green")),
        ),
        number(
            "Store",
            "Down where any monitor cannot write its store: it goes on from memory, and a restart would lose what "
            "happens now.",
            queries.own("store_up", "min"),
            width=4,
            words=UP_OR_DOWN,
            trend=False,
        ),
        number(
            "Config taken",
            "No where any monitor refused its config file at the last reload and goes on with the old one.",
            queries.own("config_last_reload_successful", "min"),
            width=4,
            words=YES_OR_NO,
            trend=False,
        ),
        number(
            "Age of the config",
            "Time since the oldest config in use was loaded.",
            queries.age(queries.own("config_last_reload_success_timestamp_seconds", "min")),
            width=4,
            unit="s",
            trend=False,
        ),
        number(
            "Store failures in 1 h",
            "Reads and writes of the store that failed.",
            "sum(increase(milvus_import_store_write_failures_total[1h]))",
            width=4,
            steps=BAD_FROM_1,
        ),
        number(
            "Polls a second",
            "Over all monitors and clusters.",
            "sum(rate(milvus_import_polls_total[$__rate_interval]))",
            width=4,
            unit="cps",
        ),
        lines(
            "Time that polls take, all clusters",
            "Quantiles over the polls of all monitors.",
            *(
                over_time(
                    f"histogram_quantile({quantile}, "
                    "sum by (le) (rate(milvus_import_poll_duration_seconds_bucket[$__rate_interval])))",
                    legend,
                    ref,
                )
                for quantile, legend, ref in ((0.5, "half are faster than", "A"), (0.99, "99 % are faster than", "B"))
            ),
            width=8,
            unit="s",
        ),
        lines(
            "Processor",
            "Cores that each monitor uses. It has one at most: Python.",
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
            "The monitors, and what they run on. Replicas should be of one version.",
            "max by (instance, version, python) (milvus_import_build_info)",
            f"time() - {queries.process('process_start_time_seconds')}",
            f"{queries.process('process_open_fds')} / {queries.process('process_max_fds')}",
            columns=(
                Column("instance", "Monitor"),
                Column("version", "Version"),
                Column("python", "Python"),
                Column("Value #B", "Up for", unit="s"),
                Column("Value #C", "File descriptors in use", unit="percentunit"),
            ),
            width=24,
            sort="Monitor",
            descending=False,
            height=6,
        ),
    )
