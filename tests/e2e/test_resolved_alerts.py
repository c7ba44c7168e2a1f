"""An alert that has resolved stays resolved: real rules, a real Prometheus, a monitor that is cut off and restarted."""

import time
from pathlib import Path

import pytest

from monitor.simulator import Lifecycle, SimulatedCluster, Trouble, World
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.integration.milvus_server import free_ports
from tests.prometheus import Prometheus, running_prometheus

pytestmark = pytest.mark.timeout(300)

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules"
ABOUT_JOBS = {
    *(f"MilvusImportJob{what}" for what in ("Failed", "Vanished", "Incomplete", "Stalled")),
    *(f"MilvusImportJob{what}TooLong" for what in ("Pending", "Uncommitted")),
    *("MilvusImportLastImportFailed", "MilvusImportLastImportAborted"),
}
FIRING = 'ALERTS{alertstate="firing", alertname!~"MilvusImportMonitor.*|MilvusImportWatchdog"}'


def get_into_trouble(cluster: SimulatedCluster, prometheus: Prometheus) -> None:
    """Let every alert about a job or a collection fire, and then end what it is about."""
    running, others = [], [("lost", 0), ("bad", 100), ("aborted", 100), ("empty", 0)]
    for state, progress in (("Importing", 80), ("Pending", 0), ("Uncommitted", 99)):
        running.append(cluster.add_job(Lifecycle.frozen(state, progress), collection="books"))
    lost, bad, aborted, empty = [
        cluster.add_job(Lifecycle.frozen("Importing", 50), collection=name, total_rows=rows) for name, rows in others
    ]
    prometheus.wait_for('count(milvus_import_job_state{state!="failed"}) == 7')
    cluster.forget(lost.id)
    set_status(bad, state="Failed", reason="file does not exist")
    set_status(aborted, state="Failed", reason="aborted by user")
    set_status(empty, state="Completed")
    for alert in ABOUT_JOBS:
        prometheus.wait_for(f'ALERTS{{alertname="{alert}", alertstate="firing"}}')
    for job in running:
        set_status(job, state="Completed")
    cluster.add_job(Lifecycle.frozen("Completed", 100), collection="bad")
    prometheus.wait_for(f"absent({FIRING})")


def test_no_alert_comes_back_through_failed_polls_or_a_restart(tmp_path):
    world = World()
    cluster = world.add_cluster("shop", generation="milvus")
    (port,) = free_ports(1)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / "*.yml")],
        "scrape_configs": [
            {"job_name": "milvus-import-monitor", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        ],
    }
    with SimulatorServer(world) as server, running_prometheus(tmp_path, config) as prometheus:
        file = write_config(
            tmp_path,
            f"{{name: shop, url: '{server.url}/clusters/shop'}}",
            name="monitor.yml",
            listen=f"127.0.0.1:{port}",
            state="{url: 'sqlite:///state.db'}",
            jobs="{stall_after: 2s, pending_after: 2s, uncommitted_after: 2s, failed_retention: 15s}",
        )
        with started("run", "-c", file) as daemon:
            prometheus.wait_for('milvus_import_cluster_up{milvus_cluster="shop"} == 1')
            get_into_trouble(cluster, prometheus)
            resolved = time.time()
            cluster.trouble(Trouble.http(503))
            prometheus.wait_for("max_over_time(milvus_import_cluster_up[4s]) == 0")  # longer than five intervals
            cluster.recover()
            prometheus.wait_for("milvus_import_cluster_up == 1")
            cluster.trouble(Trouble.http(503))
            prometheus.wait_for("milvus_import_cluster_up == 0")
            daemon.stop()
            prometheus.wait_for('up{job="milvus-import-monitor"} == 0')
        with started("run", "-c", file):
            prometheus.wait_for("max_over_time(milvus_import_cluster_up[4s]) == 0")
            cluster.recover()
            prometheus.wait_for("milvus_import_cluster_up == 1")
            back = prometheus.query(f"count_over_time({FIRING}[{int(time.time() - resolved)}s])")

    assert [one["metric"]["alertname"] for one in back] == []
