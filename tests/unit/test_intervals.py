"""The interval of each cluster: by whether it has unfinished jobs, and by the rate of its API key."""

import pytest
from structlog.testing import capture_logs

from monitor.client import Usage
from monitor.intervals import PollIntervals
from monitor.poller import PollOutcome
from tests.clusters import cluster
from tests.jobs import poll, record

PROD = cluster("http://prod", name="prod", interval=30.0, active_interval=10.0)


T = 1_750_000_000.0


def active_snapshot():
    return poll(None, record("1", "Importing"), now=T).snapshot


class Intervals(PollIntervals):
    """With a list of what was changed."""

    def __init__(self):
        self.changed = []
        self.shares = {}
        self.theirs = set()
        self.parts = {}
        super().__init__(
            self.change,
            lambda key: self.shares.get(key[1], 1.0),
            is_ours=lambda name: name not in self.theirs,
            divide=self.divide,
        )

    def divide(self, parts):
        self.parts = parts

    def change(self, name, interval, stretch):
        self.changed.append((name, interval, stretch))

    def begin(self, cluster, snapshot=None):
        """Watch a cluster, and return its interval."""
        self.watch(cluster, snapshot, Usage())
        return self.interval(cluster.name)[0]

    def poll(self, previous, *records):
        """Finish a poll of prod that listed these jobs, and return its snapshot."""
        changes = poll(previous, *records, now=T)
        self.poll_finished("prod", PollOutcome(ok=True, diff=changes))
        return changes.snapshot


def test_a_cluster_is_active_from_its_first_unfinished_job_to_the_end_of_the_last():
    intervals = Intervals()
    at_first = intervals.begin(PROD)
    snapshot = intervals.poll(None, record("1", "Completed"))
    idle = list(intervals.changed)
    snapshot = intervals.poll(snapshot, record("1", "Completed"), record("2", "Pending"))
    snapshot = intervals.poll(snapshot, record("2", "Importing"), record("3", "Importing"))
    snapshot = intervals.poll(snapshot, record("2", "Completed"), record("3", "Importing"))
    active = list(intervals.changed)
    intervals.poll(snapshot, record("2", "Completed"), record("3", "Failed"))

    assert (at_first, idle, active) == (30.0, [], [("prod", 10.0, 1.0)])
    assert intervals.changed == [("prod", 10.0, 1.0), ("prod", 30.0, 1.0)]


def test_a_job_that_is_missing_from_the_list_is_still_unfinished():
    intervals = Intervals()
    intervals.begin(PROD)
    intervals.poll(intervals.poll(None, record("1", "Importing")))

    assert intervals.changed == [("prod", 10.0, 1.0)]


def test_a_cluster_that_the_store_knows_as_active_starts_active():
    active, idle = active_snapshot(), poll(None, record("1", "Failed"), now=T).snapshot

    assert (Intervals().begin(PROD, active), Intervals().begin(PROD, idle)) == (10.0, 30.0)


def test_an_active_cluster_is_never_polled_less_often_than_an_idle_one():
    short = cluster("http://short", name="short", interval=5.0, active_interval=10.0)

    assert Intervals().begin(short, active_snapshot()) == 5.0


def test_a_failed_poll_and_a_cluster_that_is_not_watched_change_nothing():
    intervals = Intervals()
    intervals.begin(PROD)
    intervals.poll_finished("prod", PollOutcome(ok=False, error="refused"))
    intervals.forget("prod")
    intervals.poll(None, record("1", "Importing"))

    assert intervals.changed == []


class Fleet:
    """Clusters of one key with 10 requests a second, which is used up beyond 8; the first ones are active."""

    def __init__(self, clusters, active=0):
        self.intervals = Intervals()
        self.usages = {}
        for number in range(clusters):
            name = f"c{number:03}"
            usage = self.usages[name] = Usage()
            snapshot = active_snapshot() if number < active else None
            self.intervals.watch(
                cluster(
                    "http://api",
                    name=name,
                    api_key="key",
                    requests_per_second=10.0,
                    interval=30.0,
                    active_interval=10.0,
                ),
                snapshot,
                usage,
            )
        self.intervals.plan()

    def poll(self, **requests):
        """Poll each cluster once, with so many requests by endpoint, and plan."""
        for name, usage in self.usages.items():
            usage.requests.update(requests)
            self.intervals.poll_finished(name, PollOutcome(ok=True))
        self.intervals.plan()

    def interval(self, name="c000"):
        return round(self.intervals.interval(name)[0], 1)


def test_a_key_with_too_many_clusters_polls_them_less_often_from_the_start():
    fleet = Fleet(480, active=4)

    assert 61 <= fleet.interval("c479") <= 70
    assert fleet.interval("c000") == 10
    assert fleet.intervals.first_polls_within("c000") == pytest.approx(60)
    assert ("c000", 10, 1) in fleet.intervals.changed


def test_clusters_of_other_keys_are_left_alone():
    fleet = Fleet(480)
    other = fleet.intervals.begin(cluster("http://api", name="other", api_key="other", interval=30.0))
    fleet.intervals.plan()

    assert other == fleet.interval("other") == 30


def test_pages_and_describes_count_as_they_were_in_recent_polls():
    fleet = Fleet(60, active=60)
    at_first = fleet.interval()
    fleet.poll(list=1, describe=20)  # the first poll describes what it finds, once
    after_one = fleet.interval()
    for _ in range(10):
        fleet.poll(list=1, describe=10)
    describing = fleet.interval()
    for _ in range(20):
        fleet.poll(list=1)

    assert (at_first, after_one) == (10, 10)
    assert 75 <= describing <= 83
    assert fleet.interval() == 10


def test_a_rate_that_the_server_has_lowered_counts():
    fleet = Fleet(200)
    before = fleet.interval()
    fleet.intervals.shares["list"] = 0.5
    fleet.poll(list=1)

    assert before == 30
    assert 50 <= fleet.interval() <= 55


def test_the_rate_of_a_key_is_divided_among_the_monitors_that_poll_its_clusters():
    fleet = Fleet(480)
    alone = fleet.interval(), fleet.intervals.parts, fleet.intervals.first_polls_within("c000")
    fleet.intervals.theirs = {f"c{number:03}" for number in range(160, 480)}
    fleet.intervals.plan()
    shared = fleet.interval(), fleet.intervals.parts, fleet.intervals.first_polls_within("c000")
    fleet.intervals.theirs = set()
    fleet.intervals.plan()

    assert 60 <= alone[0] <= 70
    assert shared == (alone[0], {"key": 1 / 3}, pytest.approx(60))
    assert alone[1] == fleet.intervals.parts == {}


def test_a_cluster_that_is_taken_over_again_is_measured_anew():
    fleet = Fleet(60)
    fleet.poll(list=1000)
    name, usage = "c000", fleet.usages["c000"]
    for each in (fleet.intervals, Fleet(0).intervals):
        each.forget(name)
        each.watch(
            cluster("http://api", name=name, api_key="other", requests_per_second=10.0), active_snapshot(), usage
        )
        usage.requests.update(list=1)
        each.poll_finished(name, PollOutcome(ok=True))
        each.plan()

        assert each.interval(name) == (10.0, 1.0)


def test_it_is_logged_once_when_a_key_begins_to_be_too_small_and_once_when_it_is_enough_again():
    with capture_logs() as logged:
        fleet = Fleet(480)
        for requests in (1, 2, 4):
            fleet.poll(list=requests)
        for number in range(20, 480):
            fleet.intervals.forget(f"c{number:03}")
            del fleet.usages[f"c{number:03}"]
        for _ in range(10):
            fleet.poll(list=1)

    names = ["c000", "c001", "c002"]
    assert [(line["event"], line["clusters"], line["for_example"]) for line in logged] == [
        ("poll_intervals_stretched", 480, names),
        ("poll_intervals_restored", 20, names),
    ]
    assert "key" not in str(logged[0].values())
    assert (logged[0]["log_level"], logged[0]["requests_per_second"], logged[0]["active_factor"]) == ("warning", 10, 1)
