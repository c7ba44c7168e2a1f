"""Schedules polls on a fixed grid with bounded concurrency and backoff."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC
from threading import Lock, Semaphore
from typing import Final
from uuid import uuid4

import msgspec
import structlog
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor as BackgroundExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from monitor.grid import SLOT, GridTrigger, hash_fraction, slot_offset
from monitor.poller import PollOutcome

FIRST_POLL_LIMIT: Final = 5.0
"""Seconds after which a new cluster has been polled for the first time, however long its interval is."""

TAKEOVER_SPREAD: Final = 0.5
"""Seconds within which a cluster is polled that was taken over late, so that not all are polled at once."""

BACKOFF_LIMIT: Final = 10
"""Intervals from one poll to the next of a cluster that keeps failing, at most."""

RETRY_AFTER_LIMIT: Final = 3600.0
"""Seconds for which a server can ask not to be polled."""

SLOW_POLL: Final = 1.0
"""Seconds after which a poll counts as slow, also if it succeeds; others take milliseconds."""

LONGEST_POLL: Final = 600.0
"""Seconds that a poll may take where nobody says otherwise."""

HUNG_INTERVALS: Final = 9
"""Intervals after which a poll that still runs counts as hung, unless it may take longer."""

HEARTBEAT_TIMEOUT: Final = 15.0
"""Seconds without a heartbeat after which the scheduler counts as standing still."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.scheduler")


class _Slot:
    """Clusters with one interval and nearly the same ticks: one scheduled job submits the polls of all of them."""

    def __init__(self, interval: float, offset: float) -> None:
        self.key = (interval, offset)
        self.trigger = GridTrigger(interval, offset)
        self.names: dict[str, None] = {}
        self.job_id = uuid4().hex


class _Schedule(msgspec.Struct):
    """When one cluster is polled, and how its polls went."""

    interval: float
    poll: Callable[[], PollOutcome]
    count_missed: Callable[[int], None]
    longest_poll: float
    show_interval: Callable[[float, float], None]
    failures: int = 0
    pause: float = 0.0
    slow: bool = False
    running_since: float | None = None
    not_before: float = 0.0
    attempted: bool = False
    slot: _Slot | None = None
    first_poll_at: float = 0.0
    last_tick: int | None = None
    last_fired: float = 0.0


class PollScheduler:
    """Polls each cluster at its interval, in a bounded pool of threads.

    APScheduler fires one job for each slot, which submits the polls of its clusters: a scheduled job for each cluster
    would cost more than the poll. Clusters that keep failing, or whose polls are slow, occupy at most half of the
    threads, so that they cannot delay the others.

    Args:
        concurrency: Polls that run at the same time, at most.
        clock: Seconds since the epoch.
        heartbeat_timeout: Seconds without a heartbeat after which the scheduler counts as standing still.
        slow_poll: Seconds after which a poll counts as slow.
        is_ours: Says of a cluster whether to poll it now: another monitor may do so. It is asked before each poll.
    """

    def __init__(
        self,
        concurrency: int,
        clock: Callable[[], float] = time.time,
        *,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
        slow_poll: float = SLOW_POLL,
        is_ours: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self._heartbeat_timeout = heartbeat_timeout
        self._slow_poll = slow_poll
        self._is_ours = is_ours
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="poll")
        self._clock = clock
        self._schedules: dict[str, _Schedule] = {}
        self._slots: dict[tuple[float, float], _Slot] = {}
        self._pending_first_polls: dict[str, float] = {}
        self._slots_lock = Lock()
        self._polls: dict[str, Future[None]] = {}
        self._slow_polls = Semaphore(max(1, concurrency // 2))
        self._ready = False
        self._last_heartbeat = time.monotonic()
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": BackgroundExecutor(2), "inline": DebugExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def run_every(self, seconds: float, task: Callable[[], None]) -> None:
        """Run a background task periodically; one that is still running is not started again."""
        self._scheduler.add_job(task, GridTrigger(seconds, 0.0))

    def run_soon(self, task: Callable[[], None]) -> None:
        """Run a background task once, as soon as there is a thread for it."""
        self._scheduler.add_job(task)

    def start(self) -> None:
        """Start scheduling."""
        self._scheduler.start()
        self._scheduler.add_job(self.start_first_polls, GridTrigger(SLOT, 0.0), executor="inline")

    def stop(self, timeout: float) -> int:
        """Start no more polls, wait for running ones for at most `timeout` seconds, and return how many still run."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._pool.shutdown(wait=False, cancel_futures=True)
        running = [poll for poll in self._polls.copy().values() if not poll.done()]
        return len(wait(running, timeout).not_done)

    def schedule(
        self,
        name: str,
        interval: float,
        poll: Callable[[], PollOutcome],
        count_missed: Callable[[int], None],
        longest_poll: float = LONGEST_POLL,
        show_interval: Callable[[float, float], None] = lambda _interval, _in_force: None,
        first_polls_within: float = 0.0,
    ) -> None:
        """Poll a cluster from now on; one that is scheduled already gets the new interval and keeps its ticks.

        Args:
            name: The cluster's name; its hash spreads the polls of many clusters over the interval.
            interval: Seconds from one poll to the next.
            poll: Polls once, raises nothing.
            count_missed: Takes the number of polls that did not run because the previous one was still running, or
                because too many slow ones were.
            longest_poll: Seconds that a poll may take before it counts as hung, if that is longer than 9 intervals.
            show_interval: Takes the interval, and the one in force, which is longer while polls fail, when either has
                changed.
            first_polls_within: Seconds over which the first polls are spread, if that is longer than 5 s.
        """
        with self._slots_lock:
            schedule = self._schedules.get(name)
            if schedule is None:
                self._schedules[name] = _Schedule(interval, poll, count_missed, longest_poll, show_interval)
                spread = max(min(interval, FIRST_POLL_LIMIT), first_polls_within)
                self._pending_first_polls[name] = self._clock() + hash_fraction(name) * spread
                emptied = created = None
            else:
                schedule.poll, schedule.count_missed, schedule.longest_poll = poll, count_missed, longest_poll
                schedule.show_interval = show_interval
                schedule.failures, schedule.not_before, schedule.pause = 0, 0.0, 0.0
                emptied, created = self._change_interval(name, schedule, interval)
        self._remove_slot_job(emptied)
        self._add_slot_job(created)
        show_interval(interval, interval)

    def set_interval(self, name: str, interval: float) -> None:
        """Poll a cluster at another interval, from the next tick of that one on; no poll counts as missed by it."""
        schedule = self._schedules.get(name)
        if schedule is None or schedule.interval == interval:
            return
        with self._slots_lock:
            if self._schedules.get(name) is not schedule:
                return
            emptied, created = self._change_interval(name, schedule, interval)
        self._remove_slot_job(emptied)
        self._add_slot_job(created)
        schedule.show_interval(interval, max(interval, schedule.pause))

    def take_over(self, name: str, not_polled_for: float, first_polls_within: float = 0.0) -> None:
        """Poll a cluster soon that has become ours, if a tick of it may have been missed; else at its next tick.

        Args:
            name: The cluster's name.
            not_polled_for: Seconds for which nobody may have polled it.
            first_polls_within: Seconds over which such polls are spread, if that is longer than 0.5 s.
        """
        with self._slots_lock:
            schedule, now = self._schedules.get(name), self._clock()
            if schedule is None:
                return
            schedule.failures, schedule.not_before, schedule.pause = 0, 0.0, 0.0
            if schedule.slot is None:  # its first poll is pending
                return
            trigger = schedule.slot.trigger
            if not schedule.attempted or trigger.tick(now) != trigger.tick(now - not_polled_for):
                spread = max(min(schedule.interval, TAKEOVER_SPREAD), first_polls_within)
                self._pending_first_polls[name] = now + hash_fraction(name) * spread

    def unschedule(self, name: str) -> None:
        """Stop polling a cluster; a poll that runs is not cut short."""
        with self._slots_lock:
            schedule = self._schedules.pop(name, None)
            self._pending_first_polls.pop(name, None)
            emptied = None if schedule is None else self._leave_slot(name, schedule)
        self._remove_slot_job(emptied)

    def reschedule(self) -> None:
        """Schedule everything anew after the clock was set back, for what was scheduled would run much too late.

        To be called from outside the scheduler's threads.
        """
        for schedule in list(self._schedules.values()):
            schedule.last_tick = None
        for job in self._scheduler.get_jobs():
            with suppress(JobLookupError):  # removed meanwhile
                job.reschedule(job.trigger)
        with self._slots_lock:
            self._pending_first_polls = dict.fromkeys(self._pending_first_polls, self._clock())

    def healthy(self) -> bool:
        """Return whether the scheduler is alive, and no poll hangs: each has an end of its own, whatever servers do."""
        now = time.monotonic()
        if now - self._last_heartbeat >= self._heartbeat_timeout:
            return False
        return not any(
            since is not None and now - since > max(HUNG_INTERVALS * schedule.interval, schedule.longest_poll)
            for schedule in list(self._schedules.values())
            for since in [schedule.running_since]
        )

    def ready(self) -> bool:
        """Return whether each cluster of ours has been polled once, whatever came of it; it stays so."""
        self._ready = self._ready or all(
            schedule.attempted or not self._is_ours(name) for name, schedule in list(self._schedules.items())
        )
        return self._ready

    @property
    def slots(self) -> int:
        """The number of slots: one scheduled job each."""
        return len(self._slots)

    def first_poll_at(self, name: str) -> float | None:
        """Return when a cluster's first poll is due, in seconds since the epoch; None once it has been submitted."""
        return self._pending_first_polls.get(name)

    def start_first_polls(self) -> None:
        """Submit the first polls that are due, and schedule their clusters at their ticks from now on.

        Runs every ``SLOT`` seconds, so it is the scheduler's heartbeat as well.
        """
        now = self._clock()
        with self._slots_lock:
            due = [name for name, at in self._pending_first_polls.items() if at <= now]
            ours, created = dict.fromkeys(filter(self._is_ours, due)), []
            for name in due:
                self._pending_first_polls.pop(name, None)
                schedule = self._schedules[name]
                if schedule.slot is not None:  # taken over: its ticks are those that it had
                    continue
                created.append(self._enter_slot(name, schedule))
                schedule.first_poll_at, schedule.last_fired = now if name in ours else 0.0, time.monotonic()
                schedule.last_tick = None if schedule.slot is None else schedule.slot.trigger.tick(now)
        for slot in created:
            self._add_slot_job(slot)
        for name in ours:
            self._submit(name)
        self._last_heartbeat = time.monotonic()

    def _change_interval(self, name: str, schedule: _Schedule, interval: float) -> tuple[_Slot | None, _Slot | None]:
        """Move a cluster to the slot of an interval; return the slot that is empty now, and the one that was created.

        A cluster whose first poll is pending enters its slot then.
        """
        changed, schedule.interval = schedule.interval != interval, interval
        if not changed or schedule.slot is None:
            return None, None
        schedule.first_poll_at = 0.0
        return self._leave_slot(name, schedule), self._enter_slot(name, schedule)

    def _enter_slot(self, name: str, schedule: _Schedule) -> _Slot | None:
        """Put a cluster into its slot; return the slot where it was created."""
        slot = _Slot(schedule.interval, slot_offset(name, schedule.interval))
        slot = schedule.slot = self._slots.setdefault(slot.key, slot)
        schedule.last_tick = None
        slot.names[name] = None
        return slot if len(slot.names) == 1 else None

    def _leave_slot(self, name: str, schedule: _Schedule) -> _Slot | None:
        """Take a cluster out of its slot; return the slot where it is empty now."""
        slot, schedule.slot = schedule.slot, None
        if slot is None:
            return None
        del slot.names[name]
        return None if slot.names else self._slots.pop(slot.key)

    # APScheduler fires while it holds a lock of its own: it is never called while `_slots_lock` is held.

    def _add_slot_job(self, slot: _Slot | None) -> None:
        if slot is not None:
            self._scheduler.add_job(self._fire, slot.trigger, args=(slot,), id=slot.job_id, executor="inline")
            if self._slots.get(slot.key) is not slot:  # its last cluster has left it meanwhile
                self._remove_slot_job(slot)

    def _remove_slot_job(self, slot: _Slot | None) -> None:
        if slot is not None:
            with suppress(JobLookupError):  # the monitor stops, or its job is only about to be added
                self._scheduler.remove_job(slot.job_id)

    def _fire(self, slot: _Slot) -> None:
        """Submit the polls of a slot, and count the ticks at which a cluster should have been polled and was not.

        Ticks that a clock which was set forward has skipped are no such ticks: only as many count as fit into the time
        that has passed. Nor is the first tick of a cluster in its slot, where a poll of its previous slot still runs.
        """
        now, monotonic = self._clock(), time.monotonic()
        tick = slot.trigger.tick(now)
        for name in list(slot.names):
            schedule = self._schedules.get(name)
            if schedule is None or schedule.slot is not slot:
                continue
            previous_tick, previously_fired = schedule.last_tick, schedule.last_fired
            schedule.last_tick, schedule.last_fired = tick, monotonic
            if not self._is_ours(name):
                continue
            self._pending_first_polls.pop(name, None)  # of a cluster that was taken over: this is its poll
            if 0 <= now - schedule.first_poll_at < schedule.interval / 2:
                continue  # the first poll has only just been submitted, and counts for this tick
            missed = 0
            if previous_tick is not None and tick - previous_tick > 1:
                missed = min(tick - previous_tick - 1, int((monotonic - previously_fired) / schedule.interval))
            missed += not self._submit(name) and previous_tick is not None
            if missed:
                try:
                    schedule.count_missed(missed)
                except Exception:  # noqa: BLE001 - a fault in counting must not stop the scheduler: it is logged
                    _log.exception("poll_crashed", milvus_cluster=name)

    def _submit(self, name: str) -> bool:
        """Submit a poll to the pool; return False where the cluster's previous poll has not ended."""
        if name in self._polls:
            return False
        with suppress(RuntimeError):  # the pool was shut down: the monitor stops
            poll = self._polls[name] = self._pool.submit(self.run_poll, name)
            poll.add_done_callback(lambda _: self._polls.pop(name))
        return True

    def run_poll(self, name: str) -> None:
        """Poll a cluster, unless it backs off; the pool does this at each tick."""
        schedule = self._schedules.get(name)
        if schedule is None or time.monotonic() < schedule.not_before or not self._is_ours(name):
            return
        limited = schedule.failures > 0 or schedule.slow
        if limited and not self._slow_polls.acquire(blocking=False):
            if not schedule.failures:
                schedule.count_missed(1)
            return
        poll = schedule.poll
        started = schedule.running_since = time.monotonic()
        try:
            outcome = poll()
            # An outcome under settings that have changed since delays nothing.
            if schedule.poll is poll and _back_off(schedule, outcome):
                schedule.show_interval(schedule.interval, max(schedule.interval, schedule.pause))
        except Exception:  # noqa: BLE001 - a poll raises nothing; a fault of ours is logged, and the cluster polled again
            _log.exception("poll_crashed", milvus_cluster=name)
        finally:
            schedule.attempted = True
            schedule.running_since = None
            schedule.slow = time.monotonic() - started > self._slow_poll
            if limited:
                self._slow_polls.release()


def _back_off(schedule: _Schedule, outcome: PollOutcome) -> bool:
    """Decide when a cluster may be polled again: at its next tick, or later while it keeps failing.

    Returns whether the pause until then has changed.
    """
    previous = schedule.pause
    if outcome.ok:
        schedule.failures, schedule.not_before, schedule.pause = 0, 0.0, 0.0
        return previous > 0
    schedule.failures += 1
    pause = min(2 ** min(schedule.failures - 1, BACKOFF_LIMIT), BACKOFF_LIMIT) * schedule.interval
    retry_after = min(outcome.retry_after or 0.0, RETRY_AFTER_LIMIT)
    # Half an interval less than the pause: the tick that it means must not be missed by a hair.
    schedule.not_before = time.monotonic() + max(pause - schedule.interval / 2, retry_after)
    schedule.pause = max(pause, retry_after)
    return schedule.pause != previous
