"""Two daemons on one PostgreSQL: each shows the clusters of both, within seconds, also when one of them is killed."""

import signal
import time
from contextlib import contextmanager
from threading import Thread

import pytest
import requests

from monitor.simulator import Lifecycle, World
from tests.daemon import started, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.integration.test_web_stream import Stream
from tests.postgres import running_postgres

CLUSTERS = [f"milvus-{number}" for number in range(16)]  # so many that each monitor has some
WAIT = 60.0

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server


@pytest.fixture
def fleet(postgres, tmp_path):
    """Two daemons that share some clusters of a simulator, and the simulated clusters by name."""
    world = World()
    clusters = {name: world.add_cluster(name, generation="milvus") for name in CLUSTERS}
    with SimulatorServer(world) as server:
        entries = [f"{{name: {name}, url: '{server.url}/clusters/{name}'}}" for name in CLUSTERS]
        config = write_config(
            tmp_path, *entries, state=f"{{url: '{postgres.url}'}}", poll="{interval: 1s, timeout: 5s}"
        )
        with (
            started("run", "-c", config, POD_NAME="pod-0") as one,
            started("run", "-c", config, POD_NAME="pod-1") as two,
        ):
            yield one, two, clusters


def polled_by(daemon):
    clusters = daemon.get("/api/v1/clusters").json()["clusters"]
    return {each["name"]: each["polled_by"] for each in clusters if each["status"] == "up"}


def jobs(daemon):
    return {(each["cluster"], each["job_id"]): each["state"] for each in daemon.get("/api/v1/jobs").json()["jobs"]}


def seconds_until(condition):
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() < begin + WAIT
        time.sleep(0.05)
    return time.monotonic() - begin


def wait_until_shared(one, two):
    def shared():
        owners = polled_by(one)
        return len(owners) == len(CLUSTERS) and set(owners.values()) == {"pod-0", "pod-1"} and owners == polled_by(two)

    try:
        seconds_until(shared)
    except AssertionError:
        raise AssertionError(f"{polled_by(one)} at one monitor, {polled_by(two)} at the other") from None


@contextmanager
def heard(daemon):
    """The events of a stream, as they come."""
    events = []
    with requests.get(daemon.url + "/api/v1/stream", stream=True, timeout=WAIT) as answer:
        reader = Thread(target=lambda: events.extend(_each(answer, events)), daemon=True)
        reader.start()
        seconds_until(lambda: events)
        yield events
        daemon.stop()
        reader.join(10)


def _each(answer, events):
    for event in Stream(answer):
        events.append(event)
        if event[0] == "end":
            return ()
    return ()


def test_each_shows_the_whole_fleet_within_seconds(fleet):
    one, two, clusters = fleet
    wait_until_shared(one, two)
    with heard(two) as events:
        added = {
            name: cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 10))
            for name, cluster in clusters.items()
        }
        keys = [(name, job.id) for name, job in added.items()]
        expected = dict.fromkeys(keys, "importing")
        shown = seconds_until(lambda: jobs(one) == expected and jobs(two) == expected)
        for job in added.values():
            set_status(job, state="Failed", reason="no such file")
        failed = dict.fromkeys(keys, "failed")
        changed = seconds_until(lambda: jobs(one) == failed and jobs(two) == failed)

        def transitions():
            steps = [data for name, data in list(events) if name == "transition"]
            return sorted((step["cluster"], step["to_state"]) for step in steps)

        seconds_until(lambda: len(transitions()) >= 2 * len(CLUSTERS))
        streamed = transitions()
        page = one.get("/").text

    assert streamed == sorted((name, state) for name in CLUSTERS for state in ("failed", "importing"))
    assert all(f"?cluster={name}" in page for name in CLUSTERS)
    assert "pod-0" in page
    assert "pod-1" in page
    assert max(shown, changed) < 15, "within 5 s, and an idle interval; more on a busy machine"


def test_the_survivor_shows_the_whole_fleet_as_its_own(fleet):
    one, two, _ = fleet
    wait_until_shared(one, two)
    two.process.send_signal(signal.SIGKILL)
    two.process.wait(timeout=10)
    seconds_until(lambda: polled_by(one) == dict.fromkeys(CLUSTERS, ""))


def test_what_the_other_one_polled_stays_while_the_database_is_away(fleet, postgres):
    one, two, clusters = fleet
    job = clusters[CLUSTERS[0]].add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 10))
    wait_until_shared(one, two)
    seconds_until(lambda: jobs(one).get((CLUSTERS[0], job.id)) == jobs(two).get((CLUSTERS[0], job.id)) == "importing")
    before = polled_by(one)
    postgres.stop()
    try:
        for daemon in (one, two):
            daemon.wait_for("other_monitors_unknown")
        away = polled_by(one), jobs(one).get((CLUSTERS[0], job.id)), one.get("/").text
    finally:
        postgres.start()
    one.wait_for("other_monitors_known")

    assert away[:2] == (before, "importing")
    assert "clusters that other monitors poll are shown as of" in away[2]
