"""The interval of each cluster: by whether it has unfinished jobs."""

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
        super().__init__(lambda name, interval: self.changed.append((name, interval)))

    def poll(self, previous, *records):
        """Finish a poll of prod that listed these jobs, and return its snapshot."""
        changes = poll(previous, *records, now=T)
        self.poll_finished("prod", PollOutcome(ok=True, diff=changes))
        return changes.snapshot


def test_a_cluster_is_active_from_its_first_unfinished_job_to_the_end_of_the_last():
    intervals = Intervals()
    at_first = intervals.watch(PROD, None)
    snapshot = intervals.poll(None, record("1", "Completed"))
    idle = list(intervals.changed)
    snapshot = intervals.poll(snapshot, record("1", "Completed"), record("2", "Pending"))
    snapshot = intervals.poll(snapshot, record("2", "Importing"), record("3", "Importing"))
    snapshot = intervals.poll(snapshot, record("2", "Completed"), record("3", "Importing"))
    active = list(intervals.changed)
    intervals.poll(snapshot, record("2", "Completed"), record("3", "Failed"))

    assert (at_first, idle, active) == (30.0, [], [("prod", 10.0)])
    assert intervals.changed == [("prod", 10.0), ("prod", 30.0)]


def test_a_job_that_is_missing_from_the_list_is_still_unfinished():
    intervals = Intervals()
    intervals.watch(PROD, None)
    intervals.poll(intervals.poll(None, record("1", "Importing")))

    assert intervals.changed == [("prod", 10.0)]


def test_a_cluster_that_the_store_knows_as_active_starts_active():
    active, idle = active_snapshot(), poll(None, record("1", "Failed"), now=T).snapshot

    assert (Intervals().watch(PROD, active), Intervals().watch(PROD, idle)) == (10.0, 30.0)


def test_an_active_cluster_is_never_polled_less_often_than_an_idle_one():
    short = cluster("http://short", name="short", interval=5.0, active_interval=10.0)

    assert Intervals().watch(short, active_snapshot()) == 5.0


def test_a_failed_poll_and_a_cluster_that_is_not_watched_change_nothing():
    intervals = Intervals()
    intervals.watch(PROD, None)
    intervals.poll_finished("prod", PollOutcome(ok=False, error="refused"))
    intervals.forget("prod")
    intervals.poll(None, record("1", "Importing"))

    assert intervals.changed == []
