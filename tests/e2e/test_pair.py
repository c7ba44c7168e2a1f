"""Two daemons on one PostgreSQL: what one does, the other need not, and either can die."""

import signal
import socket
from contextlib import suppress
from threading import Thread

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.postgres import running_postgres


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server


def steps(*daemons):
    return sorted(
        (line["job_id"], line["from_state"], line["to_state"])
        for daemon in daemons
        for line in daemon.lines("import_job_transition")
    )


def test_two_monitors_tell_each_transition_once_and_either_can_die(postgres, tmp_path):
    world = World()
    cluster = world.add_cluster("milvus", generation="milvus")
    with SimulatorServer(world) as server:
        entry = f"{{name: milvus, url: '{server.url}/clusters/milvus'}}"
        config = write_config(tmp_path, entry, state=f"{{url: '{postgres.url}'}}")
        with started("run", "-c", config) as one, started("run", "-c", config) as two:
            one.wait_for("poll_finished")
            two.wait_for("poll_finished")
            jobs = [cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 10)) for _ in range(5)]
            both_have(one, two, polls=5)
            for job in jobs:
                set_status(job, state="Failed", reason="no such file")
            both_have(one, two, polls=5)
            expected = sorted(
                (job.id, *step) for job in jobs for step in (("new", "importing"), ("importing", "failed"))
            )
            told, gauges = steps(one, two), [shown(daemon) for daemon in (one, two)]
            one.process.send_signal(signal.SIGKILL)
            one.process.wait(timeout=10)
            late = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Completed", 100))
            two.wait_for("import_job_transition", job_id=late.id)

    assert told == expected
    assert gauges == [{job.id for job in jobs}] * 2
    assert len(one.lines("cluster_baseline")) + len(two.lines("cluster_baseline")) == 1


def both_have(one, two, polls):
    for daemon in (one, two):
        daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + polls)


def shown(daemon):
    return {labels["job_id"] for labels, value in daemon.metrics().named("milvus_import_job_failed") if value == 1}


def test_a_postgres_that_goes_and_comes_back_stops_nothing(postgres, tmp_path):
    world = World()
    cluster = world.add_cluster("other", generation="milvus")
    with SimulatorServer(world) as server:
        entry = f"{{name: other, url: '{server.url}/clusters/other'}}"
        config = write_config(tmp_path, entry, state=f"{{url: '{postgres.url}'}}")
        with started("run", "-c", config) as daemon:
            daemon.wait_for("cluster_baseline")
            postgres.stop()
            try:
                job = cluster.add_job(
                    collection="books", lifecycle=Lifecycle.frozen("Failed", 0, reason="no such file")
                )
                daemon.wait_for("import_job_transition", job_id=job.id)
                daemon.wait_for("store_unavailable")
                sick = daemon.metrics()
            finally:
                postgres.start()
            daemon.wait_for("store_recovered")
            daemon.wait_for("poll_finished", count=len(daemon.lines("poll_finished")) + 3)
            well = daemon.metrics()
        with started("run", "-c", config) as again:
            again.wait_for("poll_finished")
            restarted = again.metrics()

    assert sick.value("milvus_import_store_up") == 0
    assert sick.value("milvus_import_job_failed", job_id=job.id, reason="file_not_found") == 1
    assert well.value("milvus_import_store_up") == 1
    assert restarted.value("milvus_import_job_failed", job_id=job.id, reason="file_not_found") == 1
    assert steps(daemon, again) == [(job.id, "new", "failed")]


def test_a_store_that_does_not_answer_is_tried_once_before_polling_starts(tmp_path):
    world = World()
    world.add_cluster("other", generation="milvus")
    connected = []
    with SimulatorServer(world) as server, socket.create_server(("127.0.0.1", 0)) as silent:

        def accept():
            with suppress(OSError):
                while True:
                    connected.append(silent.accept())

        Thread(target=accept, daemon=True).start()
        config = write_config(
            tmp_path,
            f"{{name: other, url: '{server.url}/clusters/other'}}",
            state=f"{{url: 'postgresql://me@127.0.0.1:{silent.getsockname()[1]}/state'}}",
        )
        with started("run", "-c", config) as daemon:
            daemon.wait_for("monitor_started")
            tried = len(connected)
            daemon.wait_for("cluster_baseline")
        silent.shutdown(socket.SHUT_RDWR)
    for connection, _ in connected:
        connection.close()

    assert tried == 1
