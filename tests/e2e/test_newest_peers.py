"""The chain once more, with the newest Prometheus and Alertmanager that Debian has."""

import subprocess

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import write_config
from tests.e2e.chain import running_chain
from tests.fakes.simulator import SimulatorServer, set_status
from tests.peers import newest

pytestmark = pytest.mark.timeout(300)


def test_a_failed_import_is_notified_with_the_newest_prometheus_and_alertmanager(tmp_path):
    programs = newest("prometheus", "prometheus-alertmanager") / "usr/bin"
    prometheus, alertmanager = (str(programs / name) for name in ("prometheus", "prometheus-alertmanager"))
    version = subprocess.run([prometheus, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("prometheus, version 3."), version

    world = World()
    cluster = world.add_cluster("books", generation="milvus")
    with SimulatorServer(world) as server:
        config = write_config(tmp_path, f"{{name: books, url: '{server.url}/clusters/books'}}")
        with running_chain(tmp_path, config, prometheus=prometheus, alertmanager=alertmanager) as chain:
            chain.daemon.wait_for("cluster_baseline")
            job = cluster.add_job(Lifecycle.frozen("Importing", 40), collection="novels")
            chain.prometheus.wait_for(f'milvus_import_job_state{{job_id="{job.id}", state="importing"}}')
            set_status(job, state="Failed", reason="disk quota exceeded")
            failure = chain.receiver.wait_for("MilvusImportJobFailed")
            latest = chain.receiver.wait_for("MilvusImportLastImportFailed")
            health = {rule["health"] for group in chain.prometheus.get("rules")["groups"] for rule in group["rules"]}

    assert failure.annotations["summary"] == f"Import job {job.id} into novels on books failed: quota_exceeded"
    assert (failure.path, latest.path) == ("/team", "/on-call")
    assert health <= {"ok", "unknown"}  # some are evaluated once a minute
