"""What a restart keeps."""

import asyncio
import signal
import time

from structlog.testing import capture_logs

from monitor.config import load
from monitor.daemon import Daemon
from monitor.metrics import ClusterMetrics
from monitor.redaction import Redactor
from monitor.simulator import Lifecycle, World
from tests.daemon import Metrics, finished, started, write_config
from tests.fakes.simulator import SimulatorServer, set_status


def test_a_restart_reports_what_happened_meanwhile_and_shows_failures_at_the_first_scrape(tmp_path):
    world = World()
    cluster = world.add_cluster("milvus", generation="milvus")
    with SimulatorServer(world) as server:
        entry = f"{{name: milvus, url: '{server.url}/clusters/milvus', interval: 200ms}}"
        config = write_config(tmp_path, entry, state="{url: 'sqlite:///state.db'}")
        with started("run", "-c", config) as first:
            first.wait_for("cluster_baseline")
            failed = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Failed", 0, reason="no such file"))
            running = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
            first.wait_for("import_job_transition", 2)
            first.stop(signal.SIGKILL)
        set_status(running, state="Completed", progress=100)
        cluster.forget(failed.id)
        slow = write_config(tmp_path, entry.replace("200ms", "1h"), state="{url: 'sqlite:///state.db'}")
        with started("run", "-c", slow) as second:
            at_once = second.metrics()
            done = second.wait_for("import_job_transition", job_id=running.id, to_state="completed")

    assert at_once.value("milvus_import_job_failed", job_id=failed.id, reason="file_not_found") == 1
    assert (done["from_state"], done["to_state"]) == ("importing", "completed")
    assert second.lines("cluster_baseline") == []
    assert {line["job_id"] for line in second.lines("import_job_transition", to_state="vanished")} == set()


def test_the_jobs_in_the_list_are_counted_from_the_first_poll_after_a_restart(tmp_path):
    world = World()
    cluster = world.add_cluster("milvus", generation="milvus")
    cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Completed", 100))
    with SimulatorServer(world) as server:
        entry = f"{{name: milvus, url: '{server.url}/clusters/milvus', interval: 200ms}}"
        config = write_config(tmp_path, entry, state="{url: 'sqlite:///state.db'}")
        with started("run", "-c", config) as first:
            first.wait_for("cluster_baseline")
        with started("run", "-c", config) as second:
            second.wait_for("poll_finished")
            polled = second.metrics()
            clusters = second.get("/api/v1/clusters").json()["clusters"]

    assert polled.value("milvus_import_jobs", collection="books", state="completed") == 1
    assert clusters[0]["jobs"]["completed"] == 1


def test_a_cluster_whose_snapshot_cannot_be_shown_keeps_none_from_being_watched(tmp_path, monkeypatch):
    world = World()
    with SimulatorServer(world) as server:
        names = [world.add_cluster(name, generation="milvus").id for name in ("bad", "good")]
        entries = [f"{{name: {name}, url: '{server.url}/clusters/{name}', interval: 200ms}}" for name in names]
        config = write_config(tmp_path, *entries, state="{url: 'sqlite:///state.db'}")
        with started("run", "-c", config) as first:
            first.wait_for("cluster_baseline", 2)
        restore = ClusterMetrics.restore
        monkeypatch.setattr(
            ClusterMetrics,
            "restore",
            lambda metrics, *stored: 1 / 0 if b'"bad"' in b"".join(metrics.text.cluster) else restore(metrics, *stored),
        )
        with capture_logs() as logged:
            second = Daemon(load(config, {}), None, Redactor())
            second.start()
            try:
                while not second.ready():
                    time.sleep(0.05)
                scraped = Metrics(second.scrape("", time.time())[0].decode())
            finally:
                second.stop()

    assert [scraped.value("milvus_import_cluster_up", milvus_cluster=name) for name in names] == [1, 1]
    assert [line["milvus_cluster"] for line in logged if line["event"] == "snapshot_not_shown"] == ["bad"]


def test_a_folder_of_the_state_that_does_not_exist_is_one_clear_sentence(tmp_path):
    config = write_config(tmp_path, "{name: a, url: 'http://127.0.0.1:1'}")
    ended = finished("run", "-c", config, "--state", f"sqlite:///{tmp_path}/nowhere/state.db")

    assert ended.returncode == 2
    assert ended.stderr == (
        f"error: the folder of the store, {tmp_path}/nowhere, does not exist: "
        "make it, or name another place with state.url or --state\n"
    )
    bad = finished("run", "-c", config, MILVUS_IMPORT_MONITOR_STATE="redis://h")
    assert bad.returncode == 2
    assert bad.stderr.startswith("error: MILVUS_IMPORT_MONITOR_STATE: must be sqlite:///state.db")


def test_a_fault_while_reloading_is_logged_and_the_old_config_stays(tmp_path):
    def load_badly():
        raise RuntimeError("a fault of ours")

    config = load(write_config(tmp_path, "{name: books, url: 'http://127.0.0.1:1'}"), {})
    daemon = Daemon(config, load_badly, Redactor())
    with capture_logs() as logged:
        problem = asyncio.run(daemon.reload())
    text, _ = daemon.scrape("", time.time())
    daemon.stop()

    assert problem == "RuntimeError in the monitor itself"
    assert [line["event"] for line in logged] == ["config_rejected"]
    assert b"milvus_import_config_last_reload_successful 0.0" in text
    assert daemon.config is config
