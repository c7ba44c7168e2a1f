"""The machine's clock jumps, the machine sleeps: nothing is lost."""

import signal
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer, set_status, wait_for_requests
from tests.venvs import missing


@pytest.fixture
def clock(tmp_path):
    """A clock for the daemon, by libfaketime; the file says by how much it is off."""
    library = sorted(map(str, Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")))
    if not library:
        missing("libfaketime is not installed")
    file = tmp_path / "clock"
    file.write_text("+0")
    environment = {
        "LD_PRELOAD": library[0],
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return file, environment


@contextmanager
def simulated(folder, **sections):
    """A simulated cluster, and the config of a monitor that watches it, with other sections."""
    world = World()
    cluster = world.add_cluster("milvus", generation="milvus")
    with SimulatorServer(world) as server:
        yield cluster, write_config(folder, f"{{name: milvus, url: '{server.url}/clusters/milvus'}}", **sections)


@pytest.mark.parametrize("jump", ["-1h", "+1h", "-3d"])
def test_polling_goes_on_when_the_clock_jumps_and_nothing_is_invented(clock, tmp_path, jump):
    file, environment = clock
    with simulated(tmp_path) as (cluster, config):
        job = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
        with started("run", "-c", config, **environment) as daemon:
            daemon.wait_for("cluster_baseline")
            file.write_text(jump)
            daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 15)
            set_status(job, state="Completed", progress=100)
            daemon.wait_for("import_job_transition", job_id=job.id)
            file.write_text("+0")
            daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 15)
            healthy = daemon.get("/-/healthy").status_code

    assert [line["to_state"] for line in daemon.lines("import_job_transition")] == ["completed"]
    assert bool(daemon.lines("clock_set_back"))
    assert healthy == 200


@pytest.mark.parametrize("jump", ["-1h", "+1h"])
def test_each_interval_stays_in_force_when_the_clock_jumps(clock, tmp_path, jump):
    """The clock jumps while the cluster is idle, and jumps back while an import runs."""
    file, environment = clock
    with (
        simulated(tmp_path, poll="{interval: 3s, active_interval: 200ms, timeout: 5s}") as (cluster, config),
        started("run", "-c", config, **environment) as daemon,
    ):
        daemon.wait_for("cluster_baseline")
        file.write_text(jump)
        job = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
        daemon.wait_for("import_job_transition", job_id=job.id, to_state="importing")
        file.write_text("+0")
        assert wait_for_requests(cluster, "list", cluster.requests["list"] + 10)
        active = daemon.metrics().value("milvus_import_poll_interval_seconds", milvus_cluster="milvus")
        set_status(job, state="Completed", progress=100)
        daemon.wait_for("import_job_transition", job_id=job.id, to_state="completed")
        daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 1)
        idle = daemon.metrics().value("milvus_import_poll_interval_seconds", milvus_cluster="milvus")
        missed = daemon.metrics().value("milvus_import_polls_missed_total", milvus_cluster="milvus")

    assert (active, idle) == (0.2, 3)
    assert missed < 100
    assert not daemon.lines("import_job_stalled")


@pytest.mark.parametrize("jump", ["+1h", "+30d"])
def test_a_clock_that_jumps_forward_counts_no_polls_as_missed_and_no_time_as_a_stall(clock, tmp_path, jump):
    file, environment = clock
    with simulated(tmp_path, jobs="{stall_after: 4s, pending_after: 20m}") as (cluster, config):
        importing = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
        cluster.add_job(collection="films", lifecycle=Lifecycle.frozen("Pending"))
        with started("run", "-c", config, **environment) as daemon:
            began = time.monotonic()
            daemon.wait_for("cluster_baseline")
            file.write_text(jump)
            daemon.wait_for("import_job_stalled", job_id=importing.id)
            stalled_after = time.monotonic() - began
            daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 5)
            missed = daemon.metrics().value("milvus_import_polls_missed_total", milvus_cluster="milvus")

    assert stalled_after > 3.5
    assert [line["job_id"] for line in daemon.lines("import_job_stalled")] == [importing.id]
    assert missed < 100


def test_a_machine_that_was_suspended_goes_on_where_it_was(tmp_path):
    with simulated(tmp_path) as (cluster, config):
        job = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline")
            polls = cluster.requests["list"]
            daemon.process.send_signal(signal.SIGSTOP)
            set_status(job, state="Failed", reason="no such file")
            assert not wait_for_requests(cluster, "list", polls + 20, timeout=3)
            daemon.process.send_signal(signal.SIGCONT)
            daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
            daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 5)
            missed = daemon.metrics().value("milvus_import_polls_missed_total", milvus_cluster="milvus")

    assert missed >= 5
    assert len(daemon.lines("import_job_transition")) == 1
