"""The plan of the polls: which points in time, how far apart, and what a failure changes."""

import math
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from queue import Queue
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

import monitor.grid
import monitor.scheduler
from monitor.grid import GridTrigger
from monitor.schedule import BACKOFF_LIMIT
from monitor.scheduler import FIRST_POLL_LIMIT, PollScheduler

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

intervals = st.floats(0.1, 1e6)
shares = st.floats(0, 1, exclude_max=True)
moments = st.integers(0, 4_000_000_000 * 10**6).map(lambda number: EPOCH + number * MICROSECOND)


@dataclass
class Outcome:
    ok: bool
    retry_after: float | None = None


@given(intervals, shares, moments)
def test_the_next_point_is_after_now_and_at_most_one_interval_away(interval, share, now):
    at = GridTrigger(interval, share * interval).get_next_fire_time(None, now)

    assert now < at <= now + timedelta(seconds=interval) + MICROSECOND


@given(intervals, shares, moments)
def test_each_point_is_followed_by_the_next_and_never_by_itself(interval, share, now):
    trigger = GridTrigger(interval, share * interval)
    first = trigger.get_next_fire_time(None, now)
    for seen in (first, first + MICROSECOND, first + timedelta(seconds=interval / 3)):
        following = trigger.get_next_fire_time(first, seen)
        assert following > seen
        assert abs((following - first).total_seconds() - interval) <= 2e-6


@given(intervals, shares, moments, st.integers(1, 10_000))
def test_the_points_do_not_drift(interval, share, now, steps):
    trigger = GridTrigger(interval, share * interval)
    first = trigger.get_next_fire_time(None, now)
    step = trigger.get_next_fire_time(None, first) - first
    much_later = first + steps * step

    assert trigger.get_next_fire_time(None, much_later - MICROSECOND) == much_later


@given(intervals, shares, moments, st.integers(1, 10**9))
def test_points_that_have_passed_are_not_caught_up_one_by_one(interval, share, now, asleep):
    trigger = GridTrigger(interval, share * interval)
    planned = trigger.get_next_fire_time(None, now)
    awake = planned + timedelta(microseconds=asleep)

    assert awake < trigger.get_next_fire_time(planned, awake) <= awake + timedelta(seconds=interval) + MICROSECOND


@given(intervals, shares, moments)
def test_a_restart_keeps_the_points(interval, share, now):
    before, after = (GridTrigger(interval, share * interval) for _ in range(2))
    planned = before.get_next_fire_time(None, now)

    assert after.get_next_fire_time(None, planned - MICROSECOND) == planned


@pytest.mark.parametrize("interval", [1.0, 30.0])
def test_a_point_hit_to_the_microsecond_is_not_fired_again_and_again(interval):
    for number in range(100):
        trigger = GridTrigger(interval, monitor.grid.hash_fraction(f"prod-{number}") * interval)
        now = trigger.get_next_fire_time(None, datetime(2026, 11, 23, 22, tzinfo=UTC))

        assert trigger.get_next_fire_time(now, now) > now


def test_a_clock_that_went_back_does_not_fire_a_point_again():
    trigger = GridTrigger(10.0, 0.0)
    planned = trigger.get_next_fire_time(None, EPOCH + timedelta(seconds=1000))

    assert trigger.get_next_fire_time(planned, planned - timedelta(hours=1)) == planned + timedelta(seconds=10)


@pytest.fixture
def clock(monkeypatch):
    """The seconds that monitor.scheduler believes in."""
    now = SimpleNamespace(seconds=1_000_000.0)
    fake = SimpleNamespace(monotonic=lambda: now.seconds, time=lambda: now.seconds)
    monkeypatch.setattr(monitor.scheduler, "time", fake)
    return now


@pytest.fixture
def scheduler(clock):
    made = PollScheduler(2, clock=lambda: clock.seconds)
    yield made
    made.stop(0)


def next_run(scheduler, name):
    return scheduler.first_poll_at(name)  # what no poll has shown yet


def begin(scheduler, clock):
    """Let every newcomer be polled for the first time."""
    now = clock.seconds
    clock.seconds += FIRST_POLL_LIMIT
    scheduler.start_first_polls()
    clock.seconds = now


@pytest.mark.parametrize("interval", [0.1, 1.0, 5.0, 30.0, 86_400.0])
def test_the_first_poll_comes_within_five_seconds_or_the_interval(scheduler, clock, interval):
    for number in range(50):
        scheduler.schedule(f"cluster-{number}", interval, lambda: Outcome(ok=True), lambda _: None)
    waits = [next_run(scheduler, f"cluster-{number}") - clock.seconds for number in range(50)]

    assert min(waits) >= 0
    assert max(waits) <= min(interval, FIRST_POLL_LIMIT) == min(interval, 5.0)
    assert max(waits) - min(waits) > min(interval, 5.0) / 2


def test_ten_thousand_names_spread_evenly_over_the_interval():
    buckets = Counter()
    for number in range(10_000):
        at = GridTrigger(10.0, monitor.grid.hash_fraction(f"prod-{number}") * 10.0)
        buckets[int(at.get_next_fire_time(None, EPOCH + timedelta(days=1)).timestamp() % 10)] += 1
    chi_square = sum((buckets[bucket] - 1000) ** 2 / 1000 for bucket in range(10))

    assert chi_square < 27.9  # 9 degrees of freedom, p = 0.001; and the names are always the same


class Simulated:
    """One cluster's polls at its points in time, one second apart, with a clock of ours."""

    def __init__(self, scheduler, clock, *outcomes):
        self.scheduler, self.clock = scheduler, clock
        self.outcomes = list(outcomes)
        self.asked = []
        scheduler.schedule("c", 1.0, self.poll, lambda _: None)

    def poll(self):
        self.asked.append(round(self.clock.seconds - 1_000_000))
        return self.outcomes.pop(0)

    def run(self, seconds):
        """Reach each point a hair early or late, as threads do."""
        for number in range(seconds):
            self.clock.seconds = 1_000_000 + number + (-0.01 if number % 2 else 0.02)
            if self.outcomes:
                self.scheduler.run_poll("c")  # what the pool calls at each point
        return self.asked


def test_a_failing_cluster_is_asked_less_and_less_often_up_to_every_tenth_interval(scheduler, clock):
    asked = Simulated(scheduler, clock, *[Outcome(ok=False)] * 8).run(60)

    assert [later - earlier for earlier, later in pairwise(asked)] == [1, 2, 4, 8, 10, 10, 10]
    assert BACKOFF_LIMIT == 10


def test_a_thousand_failures_are_no_more_than_ten_intervals_apart(scheduler, clock):
    asked = Simulated(scheduler, clock, *[Outcome(ok=False)] * 1000).run(10_100)

    assert asked[-1] - asked[-2] == 10


def test_one_success_and_a_cluster_is_asked_normally_again(scheduler, clock):
    down, up = Outcome(ok=False), Outcome(ok=True)
    asked = Simulated(scheduler, clock, down, down, down, up, up, up, down, up).run(30)

    assert asked == [0, 1, 3, 7, 8, 9, 10, 11]


@pytest.mark.parametrize(
    ("retry_after", "second_poll"),
    [(None, 1), (0.0, 1), (-5.0, 1), (math.nan, 1), (5.0, 6), (5.5, 6), (1e9, 3600)],
)
def test_a_server_that_asks_to_be_left_alone_is_left_alone_for_an_hour_at_most(
    scheduler, clock, retry_after, second_poll
):
    asked = Simulated(scheduler, clock, Outcome(ok=False, retry_after=retry_after), Outcome(ok=True)).run(3700)

    assert asked == [0, second_poll]


def test_a_short_wait_that_the_server_wants_does_not_shorten_the_pause(scheduler, clock):
    asked = Simulated(scheduler, clock, *[Outcome(ok=False, retry_after=1.5)] * 5).run(40)

    assert asked == [0, 2, 4, 8, 16]


def test_new_settings_end_the_pause_of_a_failing_cluster(scheduler, clock):
    simulated = Simulated(scheduler, clock, *[Outcome(ok=False, retry_after=3600.0)] * 2)
    simulated.run(5)
    scheduler.schedule("c", 1.0, simulated.poll, lambda _: None)
    simulated.run(7)

    assert simulated.asked == [0, 0]


def test_a_cluster_that_is_no_longer_watched_is_not_polled(scheduler, clock):
    simulated = Simulated(scheduler, clock, Outcome(ok=True))
    scheduler.unschedule("c")
    scheduler.unschedule("never-known")

    assert simulated.run(3) == []


def test_it_is_ready_once_every_cluster_was_tried_and_stays_so(scheduler):
    def crash():
        raise RuntimeError("a fault of ours")

    scheduler.schedule("up", 1.0, lambda: Outcome(ok=True), lambda _: None)
    scheduler.schedule("crashes", 1.0, crash, lambda _: None)
    steps = [scheduler.ready()]
    scheduler.run_poll("up")
    steps.append(scheduler.ready())
    with capture_logs() as logged:
        scheduler.run_poll("crashes")
    steps.append(scheduler.ready())
    scheduler.schedule("late", 1.0, lambda: Outcome(ok=True), lambda _: None)
    steps.append(scheduler.ready())

    assert steps == [False, False, True, True]
    assert [(line["event"], line["milvus_cluster"]) for line in logged] == [("poll_crashed", "crashes")]


def test_no_poll_begins_once_stop_has_begun(scheduler, clock):
    polled = []
    scheduler.schedule("c", 1000.0, lambda: polled.append(1) or Outcome(ok=True), lambda _: None)
    scheduler.stop(0)
    begin(scheduler, clock)

    assert polled == []


def test_it_is_unhealthy_once_no_beat_has_come_for_a_while(scheduler, clock):
    clock.seconds += 14
    fresh = scheduler.healthy()
    clock.seconds += 2

    assert (fresh, scheduler.healthy()) == (True, False)


def test_the_real_clocks_are_the_defaults():
    scheduler = PollScheduler(1)
    before = time.time()
    scheduler.schedule("c", 1.0, lambda: Outcome(ok=True), lambda _: None)

    assert before <= next_run(scheduler, "c") + 1e-6 <= time.time() + 1
    scheduler.stop(0)


def test_ten_thousand_clusters_are_a_few_scheduled_jobs(scheduler, clock):
    for number in range(10_000):
        scheduler.schedule(f"cluster-{number}", 30.0, lambda: Outcome(ok=True), lambda _: None)
    begin(scheduler, clock)

    assert scheduler.slots == 30 / monitor.grid.SLOT


def test_a_slot_ends_with_the_last_cluster_in_it(scheduler, clock):
    for name in ("a", "b"):
        scheduler.schedule(name, 0.1, lambda: Outcome(ok=True), lambda _: None)
    begin(scheduler, clock)
    counts = [scheduler.slots]
    scheduler.unschedule("a")
    counts.append(scheduler.slots)
    scheduler.schedule("b", 1000.0, lambda: Outcome(ok=True), lambda _: None)
    counts.append(scheduler.slots)
    scheduler.unschedule("b")

    assert [*counts, scheduler.slots] == [1, 1, 1, 0]


def test_a_cluster_moves_to_the_slot_of_its_new_interval_and_back(scheduler, clock):
    scheduler.schedule("a", 1000.0, lambda: Outcome(ok=True), lambda _: None)
    scheduler.schedule("b", 1000.0, lambda: Outcome(ok=True), lambda _: None)
    begin(scheduler, clock)
    counts = []
    for interval in (0.1, 0.1, 1000.0):
        scheduler.set_interval("a", interval)
        counts.append(scheduler.slots)
    scheduler.set_interval("never-known", 1.0)

    assert counts == [2, 2, 2]


def test_the_interval_in_force_is_shown_whenever_it_changes(scheduler, clock):
    shown, outcomes = [], [Outcome(ok=True), *[Outcome(ok=False)] * 2, Outcome(ok=False, retry_after=60.0)]

    def poll():
        return outcomes.pop(0) if outcomes else Outcome(ok=True)

    scheduler.schedule("a", 1.0, poll, lambda _: None, show_interval=lambda *interval: shown.append(interval))
    scheduler.set_interval("a", 5.0)
    for _ in range(6):
        clock.seconds += 100.0
        scheduler.run_poll("a")
    scheduler.set_interval("a", 5.0)

    assert shown == [(1.0, 1.0), (5.0, 5.0), (5.0, 5.0), (5.0, 10.0), (5.0, 60.0), (5.0, 5.0)]


def test_a_cluster_keeps_backing_off_in_its_new_interval(scheduler, clock):
    asked = Simulated(scheduler, clock, *[Outcome(ok=False)] * 4)
    asked.run(2)
    scheduler.set_interval("c", 2.0)

    assert asked.run(30) == [0, 1, 3, 3 + 7]  # four intervals, less the half by which a tick may be missed


class Shared:
    """A scheduler of some clusters, each polled every 30 s, of which a test says which are ours."""

    def __init__(self, clock):
        self.clock = clock
        self.ours = set()
        self.polled = []
        self.scheduler = PollScheduler(2, clock=lambda: clock.seconds, is_ours=lambda name: name in self.ours)

    def schedule(self, *names):
        for name in names:
            self.scheduler.schedule(
                name, 30.0, lambda name=name: self.polled.append(name) or Outcome(ok=False), _ignore
            )

    def begin(self):
        """Submit the first polls that are due within five seconds, and wait for them."""
        begin(self.scheduler, self.clock)
        self.scheduler.stop(10)


def _ignore(_missed):
    pass


def test_a_cluster_of_another_monitor_is_neither_polled_nor_waited_for(clock):
    shared = Shared(clock)
    shared.ours = {"ours"}
    shared.schedule("ours", "theirs")
    before = shared.scheduler.ready()
    shared.scheduler.run_poll("theirs")
    shared.begin()

    assert not before
    assert shared.scheduler.ready()
    assert shared.polled == ["ours"]


def test_a_cluster_that_was_taken_over_is_polled_soon_where_its_tick_may_have_been_missed(clock):
    shared = Shared(clock)
    names = [f"prod-{number}" for number in range(200)]
    shared.schedule(*names)
    begin(shared.scheduler, clock)
    shared.ours = set(names)
    for name in names:
        shared.scheduler.run_poll(name)  # fails
    clock.seconds += 1000.0
    for name in names:
        shared.scheduler.take_over(name, not_polled_for=10.0)
    soon = [at for name in names if (at := shared.scheduler.first_poll_at(name)) is not None]

    assert len(names) / 4 < len(soon) < len(names) / 2  # a third of the interval
    assert clock.seconds <= min(soon) <= max(soon) <= clock.seconds + 0.5


def test_a_cluster_that_was_never_polled_is_polled_soon_after_it_was_taken_over(clock):
    shared = Shared(clock)
    shared.schedule("new")
    begin(shared.scheduler, clock)
    skipped = list(shared.polled)
    shared.ours = {"new"}
    shared.scheduler.take_over("new", not_polled_for=0.0, first_polls_within=4.0)
    shared.scheduler.take_over("never-known", not_polled_for=0.0)
    due = shared.scheduler.first_poll_at("new")
    shared.begin()

    assert skipped == []
    assert clock.seconds <= due <= clock.seconds + 4.0
    assert shared.polled == ["new"]
    assert shared.scheduler.slots == 1


def test_what_was_learned_of_a_cluster_before_it_was_anothers_does_not_delay_its_polls(clock):
    shared = Shared(clock)
    shared.ours = {"c"}
    shared.schedule("c")
    for _ in range(5):
        clock.seconds += 1000.0
        shared.scheduler.run_poll("c")
    shared.scheduler.take_over("c", not_polled_for=10.0)
    shared.scheduler.run_poll("c")

    assert len(shared.polled) == 6


def test_a_task_runs_soon_once_the_scheduler_runs_and_not_after_its_end():
    scheduler, runs = PollScheduler(1), Queue()
    scheduler.run_soon(lambda: runs.put("before the start"))
    scheduler.start()
    scheduler.run_soon(lambda: runs.put("meanwhile"))
    ran = {runs.get(timeout=20), runs.get(timeout=20)}
    scheduler.stop(1.0)
    scheduler.run_soon(lambda: runs.put("after the end"))

    assert ran == {"before the start", "meanwhile"}
    assert runs.empty()


def test_polls_can_be_stopped_before_they_are_started():
    assert PollScheduler(1).stop(1.0) == 0
