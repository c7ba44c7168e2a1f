"""Clusters with unfinished jobs are polled more often, by a real daemon."""

import signal
import time

import pytest

from monitor.simulator import Lifecycle, Trouble, World
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer, set_status, wait_for_requests

INTERVAL, ACTIVE = 3.0, 0.2
POLL = "{interval: 3s, active_interval: 200ms, timeout: 5s}"
TOLERANCE = 0.5
"""Seconds for threads and a busy machine."""


@pytest.fixture
def world():
    return World()


@pytest.fixture
def server(world):
    with SimulatorServer(world) as server:
        yield server


def entry(server, name):
    return f"{{name: {name}, url: '{server.url}/clusters/{name}'}}"


def interval(daemon, name):
    """The interval in force, on /metrics and in the API."""
    clusters = {cluster["name"]: cluster for cluster in daemon.get("/api/v1/clusters").json()["clusters"]}
    shown = daemon.metrics().value("milvus_import_poll_interval_seconds", milvus_cluster=name)
    assert clusters[name]["interval_seconds"] == shown
    return shown


def wait_for_next_poll(daemon, line):
    """Wait for the poll after the one that logged a line: by then that one has set the interval."""
    since = line["timestamp"]
    daemon.wait_for("poll_finished", 2, milvus_cluster="busy", where=lambda poll: poll["timestamp"] >= since)


def test_a_job_is_noticed_within_the_interval_and_its_failure_within_the_active_one(world, server, tmp_path):
    busy, idle = (world.add_cluster(name, generation="milvus") for name in ("busy", "idle"))
    config = write_config(tmp_path, entry(server, "busy"), entry(server, "idle"), poll=POLL)
    with started("run", "-c", config) as daemon:
        for name in ("busy", "idle"):
            daemon.wait_for("cluster_baseline", milvus_cluster=name)
        at_first = interval(daemon, "busy")
        began = time.monotonic()
        job = busy.add_job(lifecycle=Lifecycle.frozen("Importing", 40))
        daemon.wait_for("import_job_transition", job_id=job.id, to_state="importing")
        noticed = time.monotonic() - began
        assert wait_for_requests(busy, "list", busy.requests["list"] + 5)
        active, other = interval(daemon, "busy"), interval(daemon, "idle")
        failed_at = time.monotonic()
        set_status(job, state="Failed", reason="no such file")
        failed = daemon.wait_for("import_job_transition", job_id=job.id, to_state="failed")
        reported = time.monotonic() - failed_at
        wait_for_next_poll(daemon, failed)
        afterwards = interval(daemon, "busy")
        missed = daemon.metrics().named("milvus_import_polls_missed_total")

    assert (at_first, active, other, afterwards) == (INTERVAL, ACTIVE, INTERVAL, INTERVAL)
    assert noticed < INTERVAL + TOLERANCE
    assert reported < ACTIVE + TOLERANCE
    assert [count for _, count in missed] == [0, 0]
    assert idle.requests["list"] < busy.requests["list"]


def test_after_a_restart_a_cluster_with_unfinished_jobs_is_active_at_once(world, server, tmp_path):
    cluster = world.add_cluster("busy", generation="milvus")
    cluster.add_job(lifecycle=Lifecycle.frozen("Importing", 40))
    config = write_config(tmp_path, entry(server, "busy"), poll=POLL, state="{url: 'sqlite:///state.db'}")
    with started("run", "-c", config) as first:
        first.wait_for("poll_finished", count=3)
        first.stop(signal.SIGKILL)
    cluster.trouble(Trouble.http(401))
    with started("run", "-c", config) as second:
        shown = interval(second, "busy")
        second.wait_for("cluster_unreachable")

    assert shown == ACTIVE


def test_a_cluster_that_keeps_failing_shows_the_interval_of_its_failures(world, server, tmp_path):
    cluster = world.add_cluster("busy", generation="milvus")
    cluster.add_job(lifecycle=Lifecycle.frozen("Importing", 40))
    config = write_config(tmp_path, entry(server, "busy"), poll=POLL)
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_baseline")
        cluster.trouble(Trouble.http(401))
        daemon.wait_for("poll_finished", count=5, kind="unauthorized")
        daemon.wait_for("poll_finished", count=6, kind="unauthorized")
        failing = interval(daemon, "busy")
        cluster.recover()
        wait_for_next_poll(daemon, daemon.wait_for("cluster_recovered"))
        recovered = interval(daemon, "busy")

    assert failing == pytest.approx(10 * ACTIVE)
    assert recovered == ACTIVE
