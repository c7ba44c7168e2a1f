"""Each of several monitors on one PostgreSQL shows the clusters of the others, from the store."""

import time

import pytest
import requests
from structlog.testing import capture_logs

from monitor.cli.monitor_client import MonitorClient
from monitor.cli.watch.remote import RemoteSource
from monitor.discovery import WatchedCluster
from monitor.jobs import JobState
from monitor.replicas import Member
from monitor.sharing import FleetSharing
from tests.integration.test_web_stream import stream
from tests.served_app import ServedApp, WatchedClusters, record
from tests.stored import run

IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
NAMES = ("eu", "us", "asia")


class SharedClusters:
    """The members, and which of them owns each cluster: what a test says."""

    def __init__(self, *names):
        self.all = [Member(name, number) for number, name in enumerate(names, 1)]
        self.owners = dict.fromkeys(NAMES, names[0])

    def of(self, myself):
        return _Replicas(self, myself)


class _Replicas:
    def __init__(self, shared, myself):
        self._shared = shared
        self.myself = myself

    def members(self):
        return tuple(self._shared.all)

    def owns(self, cluster):
        return self._shared.owners[cluster] == self.myself.name


class Monitor(WatchedClusters):
    """What a monitor shows, and what it exchanges with the others."""

    def __init__(self, url, shared, myself):
        super().__init__(*NAMES, url=url)
        self.url = url
        self.sharing = FleetSharing(self.store, self.fleet, shared.of(myself), clock=lambda: self.now)
        self.changes = []
        self.fleet.subscribe(self.changes.append)

    def maintain(self):
        """Write what waits, progress included, and exchange it."""
        self.store.flush()
        self.sharing.exchange()

    def shown(self, name):
        status = self.fleet.cluster(name)
        return status.status, status.polled_by, sorted(status.tracked)

    def close(self):
        self.sharing.stop()
        self.store.close()


@pytest.fixture
def url(postgres):
    run(postgres.url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return postgres.url


@pytest.fixture
def shared():
    return SharedClusters("pod-0", "pod-1")


@pytest.fixture
def monitors(url, shared):
    both = [Monitor(url, shared, member) for member in shared.all]
    yield both
    for one in both:
        one.close()


def until(monitor, condition):
    """Exchange until something is shown: PostgreSQL delivers notifications when it likes."""
    deadline = time.monotonic() + 20
    while True:
        monitor.sharing.exchange()
        if condition():
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_monitor_shows_what_another_one_polls_and_who_polls_it(monitors):
    one, two = monitors
    one.sharing.exchange()
    one.poll("eu", record("1", progress=0.25), record("2", state=COMPLETED))
    one.fail("us", "connection refused")
    one.maintain()
    two.sharing.exchange()
    eu, us = two.fleet.cluster("eu"), two.fleet.cluster("us")

    assert two.shown("eu") == ("up", "pod-0", ["1"])
    assert two.shown("us") == ("down", "pod-0", [])
    assert us.why == "connection refused"
    assert (eu.last_poll, eu.last_success) == (one.now, one.now)
    assert us.last_success is None
    assert eu.count_states() == {IMPORTING: 1, COMPLETED: 1}
    assert eu.tracked == one.fleet.cluster("eu").tracked
    assert two.fleet.cluster("asia").status == "not_polled"
    assert one.shown("eu") == ("up", "pod-0", ["1"])


def test_jobs_that_finish_elsewhere_are_published_as_if_they_were_polled_here(monitors):
    one, two = monitors
    one.poll("eu", record("1"), record("2"), record("3"))
    one.maintain()
    two.sharing.exchange()
    two.changes.clear()
    one.poll("eu", record("1", state=COMPLETED), record("2", state=FAILED, reason="no such file"), absent={"3"})
    one.maintain()
    until(two, lambda: two.changes)
    (change,) = two.changes

    assert {job.job_id: job.state.value for job in change.diff.changed} == {
        "1": "completed",
        "2": "failed",
        "3": "vanished",
    }
    assert change.diff.removed_ids == ()
    assert sorted((step.transition.job_id, step.transition.to_state.value) for step in change.transitions) == [
        ("1", "completed"),
        ("2", "failed"),
        ("3", "vanished"),
    ]
    assert two.shown("eu") == ("up", "pod-0", ["2", "3"])


def test_progress_elsewhere_is_shown_once_it_is_stored(monitors):
    one, two = monitors
    one.poll("eu", record("1", progress=0.25))
    one.maintain()
    two.sharing.exchange()
    one.poll("eu", record("1", progress=0.5))
    one.sharing.exchange()
    two.sharing.exchange()
    before = two.fleet.cluster("eu").tracked["1"].progress
    one.maintain()
    until(two, lambda: two.fleet.cluster("eu").tracked["1"].progress == 0.5)

    assert before == 0.25


def test_nothing_is_read_again_that_has_not_changed(monitors):
    one, two = monitors
    one.poll("eu", record("1"))
    one.maintain()
    two.sharing.exchange()
    version = two.fleet.version
    for _ in range(3):
        one.poll("eu", record("1"))
        one.maintain()
        two.sharing.exchange()

    assert two.fleet.version == version


def test_the_time_of_the_latest_poll_follows_without_a_change(monitors, monkeypatch):
    monkeypatch.setattr("monitor.sharing.exchange.TIMES_INTERVAL", 0.0)
    one, two = monitors
    one.poll("eu", record("1"))
    one.maintain()
    two.sharing.exchange()
    one.poll("eu", record("1"))
    one.maintain()
    two.sharing.exchange()

    assert two.fleet.cluster("eu").last_poll == one.now
    assert two.fleet.cluster("eu").last_success == one.now


def test_a_cluster_that_changes_hands_is_shown_as_the_new_owner_polls_it(monitors, shared):
    one, two = monitors
    one.poll("eu", record("1", progress=0.25))
    one.maintain()
    two.sharing.exchange()
    shared.owners["eu"] = "pod-1"
    two.now = one.now
    two.poll("eu", record("1", progress=0.75), record("2"))
    two.fail("us", "not mine")
    two.maintain()
    until(one, lambda: one.shown("eu") == ("up", "pod-1", ["1", "2"]))
    one.poll("us")
    one.maintain()
    until(two, lambda: two.shown("us") == ("up", "pod-0", []))

    assert one.fleet.cluster("eu").tracked == two.fleet.cluster("eu").tracked
    assert two.shown("eu") == ("up", "pod-1", ["1", "2"])


def test_the_database_away_leaves_what_was_known_and_says_how_old_it_is(monitors, monkeypatch):
    monkeypatch.setattr("monitor.sharing.other_clusters.READ_INTERVAL", 0.0)
    one, two = monitors
    one.poll("eu", record("1"))
    one.maintain()
    two.sharing.exchange()
    known_at, two.now = two.now, two.now + 100
    run(one.url, "ALTER TABLE cluster_status RENAME TO stolen")
    with capture_logs() as logs:
        two.sharing.exchange()
        two.sharing.exchange()
        away = two.fleet.outdated_since, two.shown("eu")
        with ServedApp(two) as served:
            page = served.get("/").text
        run(one.url, "ALTER TABLE stolen RENAME TO cluster_status")
        two.sharing.exchange()

    assert away == (known_at, ("up", "pod-0", ["1"]))
    assert "clusters that other monitors poll are shown as of" in page
    assert "1 min 40 s ago" in page
    assert two.fleet.outdated_since is None
    assert [line["event"] for line in logs] == ["other_monitors_unknown", "other_monitors_known"]


def test_a_monitor_alone_stores_no_status(url):
    alone = SharedClusters("pod-0")
    one = Monitor(url, alone, alone.all[0])
    one.poll("eu", record("1"))
    one.maintain()
    rows = run(url, "SELECT * FROM cluster_status")
    alone.all.append(Member("pod-1", 2))
    one.maintain()
    joined = run(url, "SELECT name, owner, status FROM cluster_status")
    one.close()

    assert rows == []
    assert joined == [("eu", "pod-0", "up")]
    assert one.shown("eu") == ("up", "pod-0", ["1"])


def test_pages_and_the_api_show_the_whole_fleet_with_who_polls_each_cluster(monitors, shared):
    one, two = monitors
    shared.owners["us"] = "pod-1"
    one.poll("eu", record("1"), record("2", state=COMPLETED))
    two.poll("us", record("3"))
    one.maintain()
    two.maintain()
    until(one, lambda: one.shown("us")[0] == "up")
    until(two, lambda: two.shown("eu")[0] == "up")
    two.now = one.now
    with ServedApp(two) as served:
        clusters = served.json("/api/v1/clusters")["clusters"]
        jobs = served.json("/api/v1/jobs")["jobs"]
        completed = served.json("/api/v1/job", cluster="eu", id="2")
        page = served.get("/").text
    with ServedApp(one) as served:
        same = served.json("/api/v1/jobs")["jobs"]

    assert {each["name"]: (each["status"], each["polled_by"]) for each in clusters} == {
        "asia": ("not_polled", ""),
        "eu": ("up", "pod-0"),
        "us": ("up", "pod-1"),
    }
    assert [(job["cluster"], job["job_id"]) for job in jobs] == [("eu", "1"), ("eu", "2"), ("us", "3")]
    assert [(job["cluster"], job["job_id"]) for job in same] == [("eu", "1"), ("eu", "2"), ("us", "3")]
    assert completed["state"] == "completed"
    assert "Polled by" in page
    assert "pod-0" in page


def test_a_stream_has_what_happens_at_other_monitors(monitors):
    one, two = monitors
    one.poll("eu", record("1", progress=0.25))
    one.maintain()
    two.sharing.exchange()
    two.now = one.now
    with ServedApp(two) as served, stream(served) as events:
        one.poll("eu", record("1", state=COMPLETED), record("2"))
        one.maintain()
        until(two, lambda: sorted(two.fleet.cluster("eu").tracked) == ["2"])
        seen = events.take(5)

    assert [(name, data.get("status") or data.get("state") or data.get("to_state")) for name, data in seen] == [
        ("cluster", "up"),
        ("job", "importing"),
        ("job", "completed"),
        ("transition", "completed"),
        ("transition", "importing"),
    ]


def test_a_lost_connection_for_notifications_is_made_anew(monitors, monkeypatch):
    monkeypatch.setattr("monitor.sharing.other_clusters.READ_INTERVAL", 1e9)
    monkeypatch.setattr("monitor.sharing.exchange.TIMES_INTERVAL", 1e9)
    monkeypatch.setattr("monitor.store.listening.RECONNECT_INTERVAL", 0.0)
    one, two = monitors
    one.sharing.exchange()
    two.sharing.exchange()
    run(one.url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    two.sharing.exchange()
    two.sharing.exchange()
    one.poll("eu", record("1"))
    one.maintain()

    until(two, lambda: two.shown("eu") == ("up", "pod-0", ["1"]))


def test_changes_are_found_without_notifications(monitors, monkeypatch):
    monkeypatch.setattr("monitor.sharing.other_clusters.READ_INTERVAL", 0.0)
    monkeypatch.setattr("monitor.store.listening.Listener.notified", lambda _: False)
    one, two = monitors
    two.sharing.exchange()
    one.poll("eu", record("1"))
    one.maintain()
    two.sharing.exchange()

    assert two.shown("eu") == ("up", "pod-0", ["1"])


def test_many_clusters_are_loaded_a_few_at_a_time(monitors, monkeypatch):
    monkeypatch.setattr("monitor.sharing.other_clusters.LOADED_AT_ONCE", 2)
    monkeypatch.setattr("monitor.sharing.batches.CLUSTERS_AT_ONCE", 1)
    one, two = monitors
    for name in NAMES:
        one.poll(name, record("1"))
    one.maintain()
    two.sharing.exchange()
    first = [name for name in NAMES if two.fleet.cluster(name).polled_by]
    two.sharing.exchange()

    assert len(first) == 2
    assert [two.shown(name) for name in NAMES] == [("up", "pod-0", ["1"])] * 3


def test_the_thread_exchanges_until_it_is_stopped(monitors):
    one, two = monitors
    two.sharing.start()
    one.sharing.start()
    one.poll("eu", record("1"))
    deadline = time.monotonic() + 20
    while two.shown("eu") != ("up", "pod-0", ["1"]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    two.sharing.stop()
    one.sharing.stop()


def test_watch_shows_the_whole_fleet_of_any_monitor(monitors):
    one, two = monitors
    one.poll("eu", record("1"))
    one.fail("us", "connection refused")
    one.maintain()
    until(two, lambda: two.shown("us") == ("down", "pod-0", []))
    two.now = one.now
    with ServedApp(two) as served, requests.Session() as session:
        view = RemoteSource(MonitorClient(served.url, session))()

    assert list(view.jobs) == [("eu", "1")]
    assert view.clusters == {"asia": None, "eu": "", "us": "connection refused (polled by pod-0)"}


def test_a_cluster_that_is_not_to_be_polled_is_shown_so_until_it_is(monitors):
    one, two = monitors
    one.poll("eu", record("1"))
    one.maintain()
    paused = [WatchedCluster(config, status="SUSPENDED", polled=config.name != "eu") for config in two.configs]
    two.fleet.apply_config(paused)
    two.sharing.exchange()
    suspended = two.fleet.cluster("eu").status
    two.fleet.apply_config(map(WatchedCluster, two.configs))
    two.sharing.exchange()

    assert suspended == "paused"
    assert two.shown("eu") == ("up", "pod-0", ["1"])


def test_old_failures_elsewhere_are_not_shown_among_recent_ones(monitors):
    one, two = monitors
    one.poll("eu", record("1"), record("2"))
    one.poll("eu", record("1", state=FAILED, reason="no such file"), record("2"))
    one.maintain()
    until(two, lambda: two.shown("eu") == ("up", "pod-0", ["1", "2"]))
    two.now = one.now = one.now + one.configs[0].failed_retention
    one.poll("eu", record("2"))
    one.maintain()
    two.now = one.now

    until(two, lambda: two.shown("eu") == ("up", "pod-0", ["2"]))
