"""The rate of an API key holds, whatever is configured, and a real server that answers 429 is asked less."""

import time

import pytest

from monitor.simulator import Lifecycle, World
from tests.daemon import WAIT, started, write_config
from tests.fakes.quota import Quota
from tests.fakes.simulator import SimulatorServer

CLUSTERS, ACTIVE = 30, 3
RATE = 5.0


@pytest.fixture
def world():
    return World()


@pytest.fixture
def fleet(world):
    """Clusters of one API key, of which the first ones import."""
    clusters = [
        world.add_cluster(f"in01-{number:02}", generation="zilliz", api_key="key") for number in range(CLUSTERS)
    ]
    for cluster in clusters[:ACTIVE]:
        cluster.add_job(lifecycle=Lifecycle.frozen("Uncommitted", 100))
    return clusters


@pytest.fixture
def server(world):
    with SimulatorServer(world) as server:
        yield server


def config_of(tmp_path, server, fleet, **poll):
    entries = [f"{{name: {one.id}, url: '{server.url}', cluster_id: {one.id}, api_key: key}}" for one in fleet]
    settings = {"timeout": "5s", "requests_per_second": RATE} | poll
    return write_config(
        tmp_path, *entries, poll="{" + ", ".join(f"{key}: {text}" for key, text in settings.items()) + "}"
    )


def values(daemon, name, clusters):
    shown = {labels["milvus_cluster"]: value for labels, value in daemon.metrics().named(name)}
    return [shown[cluster.id] for cluster in clusters]


def polls(daemon):
    return sum(value for _, value in daemon.metrics().named("milvus_import_polls_total"))


def wait_until(condition):
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_key_with_too_many_clusters_keeps_its_rate_and_misses_no_poll(server, fleet, tmp_path):
    quota = Quota(requests_per_second=1000)
    for cluster in fleet:
        cluster.trouble(quota.trouble)
    config = config_of(tmp_path, server, fleet, interval="4s", active_interval="2s")
    with started("run", "-c", config) as daemon:
        wait_until(lambda: daemon.get("/-/ready").status_code == 200)
        began = time.monotonic()
        wait_until(lambda: polls(daemon) >= 3 * CLUSTERS)
        took = time.monotonic() - began
        intervals = values(daemon, "milvus_import_poll_interval_seconds", fleet)
        stretches = values(daemon, "milvus_import_poll_interval_stretch_ratio", fleet)
        missed = values(daemon, "milvus_import_polls_missed_total", fleet)
        up = values(daemon, "milvus_import_cluster_up", fleet)
        finished = polls(daemon)

    sent = sum(began <= at <= began + took for at in quota.accepted["list"])
    assert sent < RATE * took
    assert sum(missed) < 0.1 * finished  # a busy machine misses some; the rate alone would make it more than half
    assert up == [1] * CLUSTERS
    assert len(set(stretches[ACTIVE:])) == 1
    assert stretches[-1] > 1.5
    assert intervals[-1] == pytest.approx(4 * stretches[-1], rel=0.001)
    assert intervals[0] < intervals[-1]
    assert [line["clusters"] for line in daemon.lines("poll_intervals_stretched")] == [CLUSTERS]
    assert daemon.lines("cluster_unreachable") == []


def test_a_server_that_answers_429_is_asked_less_until_it_refuses_nothing_more(server, fleet, tmp_path):
    quota, clusters = Quota(requests_per_second=4), fleet[ACTIVE : ACTIVE + 12]
    for cluster in clusters:
        cluster.trouble(quota.trouble)
    config = config_of(tmp_path, server, clusters, interval="2s", requests_per_second=10)
    with started("run", "-c", config) as daemon:
        daemon.wait_for("poll_intervals_stretched")
        last_refusal = (0, 0.0)

        def two_polls_each_without_a_refusal():
            nonlocal last_refusal
            finished = polls(daemon)
            if quota.refused != last_refusal[0]:
                last_refusal = (quota.refused, finished)
            return finished >= last_refusal[1] + 2 * len(clusters)

        def up():
            return sum(values(daemon, "milvus_import_cluster_up", clusters))

        wait_until(two_polls_each_without_a_refusal)
        missed = values(daemon, "milvus_import_polls_missed_total", clusters)
        wait_until(lambda: up() == len(clusters))  # one that was refused pauses for longer than the others
        finished = polls(daemon)
        stretches = values(daemon, "milvus_import_poll_interval_stretch_ratio", clusters)

    assert quota.refused > 0
    assert sum(missed) < 0.1 * finished  # as above
    assert min(stretches) > 1
