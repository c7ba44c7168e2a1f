"""The scheduler with its real threads: polls that hang, overlap, come late or crash."""

import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from monitor.scheduler import PollScheduler

WAIT = 20.0


@dataclass
class Outcome:
    ok: bool = True
    retry_after: float | None = None


class Polls:
    """Counts polls and misses by cluster, and lets a test wait for them."""

    def __init__(self):
        self.done = Counter()
        self.missed = Counter()
        self.changed = threading.Condition()

    def poll(self, name):
        def poll():
            with self.changed:
                self.done[name] += 1
                self.changed.notify_all()
            return Outcome()

        return poll

    def miss(self, name):
        def missed(number):
            with self.changed:
                self.missed[name] += number
                self.changed.notify_all()

        return missed

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, WAIT), (self.done.most_common(3), self.missed.most_common(3))


class Hanging:
    """A poll that hangs until it is let go."""

    def __init__(self):
        self.begun = threading.Semaphore(0)
        self.begins = 0
        self.let_go = threading.Event()

    def __call__(self):
        self.begins += 1
        self.begun.release()
        assert self.let_go.wait(WAIT)
        return Outcome()


@pytest.fixture
def polls():
    return Polls()


@pytest.fixture
def started():
    """Makes running schedulers, and stops them at the end."""
    with ExitStack() as stack:

        def start(concurrency, **settings):
            scheduler = PollScheduler(concurrency, **settings)
            scheduler.start()

            stack.callback(scheduler.stop, WAIT)
            return scheduler

        yield start


@pytest.fixture
def hanging(started):  # noqa: ARG001  # asked for first, so that the poll is let go before the schedulers stop
    """A poll that hangs no longer than the test."""
    poll = Hanging()
    yield poll
    poll.let_go.set()


def test_polls_that_would_overlap_are_left_out_and_counted(started, polls, hanging):
    scheduler = started(4)
    scheduler.schedule("slow", 0.1, hanging, polls.miss("slow"))
    assert hanging.begun.acquire(timeout=WAIT)
    polls.wait(lambda: polls.missed["slow"] >= 3)
    alone = hanging.begins
    hanging.let_go.set()

    assert alone == 1
    assert hanging.begun.acquire(timeout=WAIT)


def test_a_poll_that_is_late_because_the_pool_is_full_is_not_lost(started, polls, hanging):
    scheduler = started(1)
    scheduler.schedule("slow", 1000.0, hanging, polls.miss("slow"))
    assert hanging.begun.acquire(timeout=WAIT)
    scheduler.schedule("late", 0.2, polls.poll("late"), polls.miss("late"))
    polls.wait(lambda: polls.missed["late"] >= 2)
    while_full = polls.done["late"]
    hanging.let_go.set()

    assert while_full == 0
    polls.wait(lambda: polls.done["late"] >= 3)


def test_clusters_that_hang_delay_no_other_while_the_pool_has_room(started, polls, hanging):
    scheduler = started(4)
    for number in range(3):
        scheduler.schedule(f"dead-{number}", 0.1, hanging, polls.miss(f"dead-{number}"))
    for _ in range(3):
        assert hanging.begun.acquire(timeout=WAIT)
    scheduler.schedule("quick", 0.1, polls.poll("quick"), polls.miss("quick"))

    polls.wait(lambda: polls.done["quick"] >= 10)
    assert hanging.begins == 3


def test_a_poll_that_raises_is_told_and_the_cluster_polled_again(started, polls):
    count = polls.poll("broken")

    def broken():
        count()
        raise RuntimeError("a fault of ours")

    with capture_logs() as logged:
        started(2).schedule("broken", 0.1, broken, polls.miss("broken"))
        polls.wait(lambda: polls.done["broken"] >= 3)

    assert {(line["event"], line["milvus_cluster"]) for line in logged} == {("poll_crashed", "broken")}


def test_a_callback_that_raises_stops_nothing(started, polls, hanging):
    def missed(_number):
        raise RuntimeError("a fault of ours")

    scheduler = started(2)
    with capture_logs() as logged:
        scheduler.schedule("slow", 0.1, hanging, missed)
        scheduler.schedule("quick", 0.1, polls.poll("quick"), polls.miss("quick"))
        polls.wait(lambda: polls.done["quick"] >= 10)

    assert scheduler.healthy()
    assert {(line["event"], line["milvus_cluster"]) for line in logged} == {("poll_crashed", "slow")}


def test_stop_waits_no_longer_than_it_may_and_says_how_many_polls_hang(started, polls, hanging):
    scheduler = started(4)
    for name in ("one", "two"):
        scheduler.schedule(name, 0.1, hanging, polls.miss(name))
        assert hanging.begun.acquire(timeout=WAIT)
    began = time.monotonic()
    still_running = scheduler.stop(0.3)

    assert still_running == 2
    assert 0.3 <= time.monotonic() - began < 3


def test_stop_waits_for_a_poll_that_ends_in_time(started, polls, hanging):
    scheduler = started(4)
    scheduler.schedule("slow", 0.1, hanging, polls.miss("slow"))
    assert hanging.begun.acquire(timeout=WAIT)
    stopped = []
    stopping = threading.Thread(target=lambda: stopped.append(scheduler.stop(WAIT)))
    stopping.start()
    hanging.let_go.set()
    stopping.join(WAIT)

    assert stopped == [0]


def test_polls_that_wait_for_a_thread_when_it_stops_never_begin(started, polls, hanging):
    scheduler = started(1)
    scheduler.schedule("slow", 1000.0, hanging, polls.miss("slow"))
    assert hanging.begun.acquire(timeout=WAIT)
    scheduler.schedule("queued", 0.1, polls.poll("queued"), polls.miss("queued"))
    polls.wait(lambda: polls.missed["queued"] >= 1)
    assert scheduler.stop(0) == 1
    hanging.let_go.set()
    scheduler.stop(0)

    assert polls.done["queued"] == 0


def test_a_changed_interval_counts_at_once(started, polls):
    scheduler = started(2)
    scheduler.schedule("c", 1000.0, polls.poll("old"), polls.miss("c"))
    polls.wait(lambda: polls.done["old"] == 1)
    time.sleep(0.6)  # so that the first poll does not count for a point of the new interval
    scheduler.schedule("c", 1.0, polls.poll("new"), polls.miss("c"))

    polls.wait(lambda: polls.done["new"] >= 3)
    assert polls.done["old"] == 1
    assert polls.missed["c"] == 0


def test_a_cluster_that_moves_between_two_intervals_with_every_poll_misses_none(started, polls):
    scheduler = started(4)
    count = polls.poll("moves")

    def poll():
        outcome = count()
        scheduler.set_interval("moves", (0.5, 1.0)[polls.done["moves"] % 2])
        return outcome

    scheduler.schedule("moves", 1.0, poll, polls.miss("moves"))
    scheduler.schedule("stays", 0.5, polls.poll("stays"), polls.miss("stays"))
    polls.wait(lambda: polls.done["moves"] >= 8)

    assert polls.missed["moves"] == 0
    assert polls.done["stays"] >= 2
    assert scheduler.slots <= 2


def test_a_move_while_a_poll_runs_is_no_missed_poll_but_a_second_tick_is(started, polls, hanging):
    scheduler = started(2)
    scheduler.schedule("slow", 1000.0, hanging, polls.miss("slow"))
    assert hanging.begun.acquire(timeout=WAIT)
    moved = time.monotonic()
    scheduler.set_interval("slow", 1.0)
    polls.wait(lambda: polls.missed["slow"] == 1)

    assert time.monotonic() - moved > 0.9  # the second tick is an interval after the first


def test_a_cluster_that_is_no_longer_watched_is_polled_no_more(started, polls):
    scheduler = started(2)
    for name in ("goes", "stays"):
        scheduler.schedule(name, 0.1, polls.poll(name), polls.miss(name))
    polls.wait(lambda: polls.done["goes"] >= 2)
    scheduler.unschedule("goes")
    gone_at, stayed_at = polls.done["goes"], polls.done["stays"]

    polls.wait(lambda: polls.done["stays"] >= stayed_at + 8)
    assert polls.done["goes"] <= gone_at + 1  # the one that was under way


def test_a_name_that_is_taken_anew_while_its_old_poll_hangs_is_polled_once_that_ends(started, polls, hanging):
    scheduler = started(2)
    scheduler.schedule("c", 0.1, hanging, polls.miss("old"))
    assert hanging.begun.acquire(timeout=WAIT)
    scheduler.unschedule("c")
    scheduler.schedule("c", 0.1, polls.poll("new"), polls.miss("new"))
    polls.wait(lambda: polls.missed["new"] >= 2)
    hanging.let_go.set()

    polls.wait(lambda: polls.done["new"] >= 3)


def eventually(condition):
    """Wait for what no event announces."""
    deadline = time.monotonic() + WAIT
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_a_cluster_whose_first_poll_was_due_before_it_was_ours_is_polled_at_its_next_tick(polls):
    now, ours = [1000.0], set()
    scheduler = PollScheduler(2, clock=lambda: now[0], is_ours=ours.__contains__)
    scheduler.schedule("c", 1.0, polls.poll("c"), polls.miss("c"))
    now[0] += 1.0  # and stands still: its ticks seem to be just after that
    scheduler.start_first_polls()
    ours.add("c")
    scheduler.take_over("c", not_polled_for=10.0, first_polls_within=1e9)
    scheduler.start()
    try:
        polls.wait(lambda: polls.done["c"])
    finally:
        scheduler.stop(WAIT)


def test_it_is_unhealthy_while_its_thread_is_blocked_and_healthy_again_afterwards(started, hanging):
    let_go = threading.Event()
    scheduler = started(2, heartbeat_timeout=1.0)
    beating = eventually(scheduler.healthy)
    scheduler.schedule("slow", 0.1, hanging, lambda _: let_go.wait(WAIT))
    blocked = eventually(lambda: not scheduler.healthy())
    let_go.set()

    assert beating
    assert blocked
    assert eventually(scheduler.healthy)


def test_clusters_that_hang_do_not_make_it_unhealthy(started, polls, hanging):
    scheduler = started(1, heartbeat_timeout=1.0)
    for number in range(3):
        scheduler.schedule(f"dead-{number}", 0.1, hanging, polls.miss(f"dead-{number}"))
    polls.wait(lambda: all(polls.missed[f"dead-{number}"] >= 10 for number in range(3)))

    assert eventually(scheduler.healthy)
    assert not scheduler.ready()


def test_a_thousand_clusters_are_each_polled_every_second(started, polls):
    scheduler = started(32)
    for number in range(1000):
        scheduler.schedule(f"c{number}", 1.0, polls.poll(number), polls.miss(number))
    began = time.monotonic()
    polls.wait(lambda: len(polls.done) == 1000 and min(polls.done.values()) >= 4)

    assert time.monotonic() - began < 10
    assert scheduler.ready()
    assert scheduler.healthy()


def test_skipped_polls_write_no_line(started, polls, hanging):
    with capture_logs() as logged:
        started(2).schedule("slow", 0.1, hanging, polls.miss("slow"))
        polls.wait(lambda: polls.missed["slow"] >= 3)

    assert logged == []


class ThenHangs:
    """A poll that ends at first, with an outcome after a time, and hangs ever after."""

    def __init__(self, hanging, outcome, seconds=0.0):
        self._hanging = hanging
        self._outcome = outcome
        self._seconds = seconds
        self._first = True

    def __call__(self):
        if not self._first:
            self._hanging()
        self._first = False
        time.sleep(self._seconds)  # is what is tried
        return self._outcome


def test_clusters_that_keep_failing_take_at_most_half_of_the_threads(started, polls, hanging):
    scheduler = started(4)
    for number in range(8):
        name = f"bad-{number}"
        scheduler.schedule(name, 0.1, ThenHangs(hanging, Outcome(ok=False)), polls.miss(name))
    for _ in range(2):
        assert hanging.begun.acquire(timeout=WAIT)
    scheduler.schedule("good", 0.1, polls.poll("good"), polls.miss("good"))
    polls.wait(lambda: polls.done["good"] >= 20)

    assert hanging.begins == 2


def test_clusters_whose_polls_are_slow_take_at_most_half_of_the_threads_and_their_skipped_polls_count(
    started, polls, hanging
):
    scheduler = started(4, slow_poll=0.05)
    for number in range(4):
        name = f"slow-{number}"
        scheduler.schedule(name, 0.1, ThenHangs(hanging, Outcome(), 0.1), polls.miss(name))
    for _ in range(2):
        assert hanging.begun.acquire(timeout=WAIT)
    scheduler.schedule("good", 0.1, polls.poll("good"), polls.miss("good"))
    polls.wait(lambda: polls.done["good"] >= 20)

    assert hanging.begins == 2
    assert all(polls.missed[f"slow-{number}"] for number in range(4))


def test_a_poll_that_never_ends_is_an_illness_of_the_monitor(started, polls, hanging):
    scheduler = started(2)
    scheduler.schedule("prod", 0.1, hanging, polls.miss("prod"), longest_poll=0.5)
    assert hanging.begun.acquire(timeout=WAIT)
    healthy_at_first = scheduler.healthy()

    assert eventually(lambda: not scheduler.healthy())
    assert healthy_at_first


def test_a_poll_that_began_before_its_settings_changed_plans_nothing(started, polls):
    began, go_on = threading.Event(), threading.Event()

    def old():
        began.set()
        assert go_on.wait(WAIT)
        return Outcome(ok=False, retry_after=3600.0)

    scheduler = started(2)
    scheduler.schedule("prod", 0.1, old, polls.miss("prod"))
    assert began.wait(WAIT)
    scheduler.schedule("prod", 0.1, polls.poll("prod"), polls.miss("prod"))
    go_on.set()

    polls.wait(lambda: polls.done["prod"] >= 2)
