"""Two daemons on one PostgreSQL: each polls its clusters, and the other ones when one dies."""

import signal
import socket
import time
from contextlib import suppress
from threading import Thread

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import WAIT, started, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.postgres import running_postgres


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server


def steps(*daemons, **fields):
    return sorted(
        (line["job_id"], line["from_state"], line["to_state"])
        for daemon in daemons
        for line in daemon.lines("import_job_transition", **fields)
    )


def owned(daemon):
    return {labels["milvus_cluster"] for labels, _ in daemon.metrics().named("milvus_import_cluster_owned")}


def wait_until(condition):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_two_monitors_share_the_clusters_and_the_other_one_takes_over_from_one_that_dies(postgres, tmp_path):
    world = World()
    clusters = {name: world.add_cluster(name, generation="milvus") for name in ("one", "two", "three", "four")}
    with SimulatorServer(world) as server:
        entries = [f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in clusters]
        config = write_config(tmp_path, *entries, state=f"{{url: '{postgres.url}'}}", replicas="{takeover: 5s}")
        with started("run", "-c", config, POD_NAME="pod-a") as one, started("run", "-c", config) as two:
            wait_until(lambda: one.metrics().value("milvus_import_replicas") == 2)
            wait_until(lambda: len(owned(one)) + len(owned(two)) == len(owned(one) | owned(two)) == len(clusters))
            wait_until(lambda: len(one.lines("cluster_baseline")) + len(two.lines("cluster_baseline")) == len(clusters))
            jobs = {
                name: cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 10))
                for name, cluster in clusters.items()
            }
            wait_until(lambda: len(steps(one, two)) == len(jobs))
            for job in jobs.values():
                set_status(job, state="Failed", reason="no such file")
            wait_until(lambda: shown(one) | shown(two) == {job.id for job in jobs.values()})
            told = steps(one, two)
            shown_by_both = shown(one) & shown(two)
            polled_by_one = owned(one)
            ready = [daemon.get("/-/ready").status_code for daemon in (one, two)]
            one.process.send_signal(signal.SIGKILL)
            one.process.wait(timeout=10)
            two.wait_for("replica_lost", replica="pod-a")
            wait_until(lambda: owned(two) == clusters.keys())
            late = [
                cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Completed", 100))
                for cluster in clusters.values()
            ]
            for job in late:
                two.wait_for("import_job_transition", job_id=job.id)
            taken_over = two.metrics()

    assert told == sorted(
        (job.id, *step) for job in jobs.values() for step in (("new", "importing"), ("importing", "failed"))
    )
    assert shown_by_both == set()
    assert ready == [200, 200]
    assert sum(line["clusters"] for line in two.lines("clusters_taken_over")) >= len(polled_by_one)
    assert {labels["job_id"] for labels, _ in taken_over.named("milvus_import_job_failed")} == {
        job.id for job in jobs.values()
    }
    assert taken_over.value("milvus_import_clusters") == len(clusters)


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
    assert steps(daemon, again, milvus_cluster="other") == [(job.id, "new", "failed")]


def test_a_store_that_does_not_answer_is_tried_once_before_polling_starts(tmp_path):
    world = World()
    world.add_cluster("other", generation="milvus")
    connected = []
    with SimulatorServer(world) as server, socket.create_server(("127.0.0.1", 0)) as silent:

        def accept():
            with suppress(OSError):
                while True:
                    connection, _ = silent.accept()
                    connected.append((connection, connection.recv(4096)))

        Thread(target=accept, daemon=True).start()
        config = write_config(
            tmp_path,
            f"{{name: other, url: '{server.url}/clusters/other'}}",
            state=f"{{url: 'postgresql://me@127.0.0.1:{silent.getsockname()[1]}/state?sslmode=disable'}}",
        )
        with started("run", "-c", config) as daemon:
            daemon.wait_for("monitor_started")
            tried = [b"milvus-import-monitor\0" in greeting for _, greeting in connected].count(True)
            daemon.wait_for("cluster_baseline")
        silent.shutdown(socket.SHUT_RDWR)
    for connection, _ in connected:
        connection.close()

    assert tried == 1
