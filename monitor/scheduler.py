"""Schedules polls on a fixed grid with bounded concurrency and backoff."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import UTC
from threading import Lock, Semaphore
from typing import Final

import structlog
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor as BackgroundExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

from monitor.grid import SLOT, GridTrigger, Slot, hash_fraction
from monitor.poller import PollOutcome
from monitor.schedule import Schedule
from monitor.slots import Slots

FIRST_POLL_LIMIT: Final = 5.0
"""Seconds after which a new cluster has been polled for the first time, however long its interval is."""

TAKEOVER_SPREAD: Final = 0.5
"""Seconds within which a cluster is polled that was taken over late, so that not all are polled at once."""

SLOW_POLL: Final = 1.0
"""Seconds after which a poll counts as slow, also if it succeeds; others take milliseconds."""

LONGEST_POLL: Final = 600.0
"""Seconds that a poll may take where nobody says otherwise."""

HEARTBEAT_TIMEOUT: Final = 15.0
"""Seconds without a heartbeat after which the scheduler counts as standing still."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.scheduler")


class PollScheduler:
    """Polls each cluster at its interval, in a bounded pool of threads.

    Clusters that keep failing, or whose polls are slow, occupy at most half of the threads, so that they cannot delay
    the others.

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
        self._schedules: dict[str, Schedule] = {}
        self._pending_first_polls: dict[str, float] = {}
        self._slots_lock = Lock()  # never held while the jobs of slots are updated
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
        self._slots = Slots(self._scheduler, self._fire)

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
                schedule = Schedule(interval, poll, count_missed, longest_poll, show_interval)
                self._schedules[name] = schedule
                spread = max(min(interval, FIRST_POLL_LIMIT), first_polls_within)
                self._pending_first_polls[name] = self._clock() + hash_fraction(name) * spread
                emptied = created = None
            else:
                schedule.poll, schedule.count_missed, schedule.longest_poll = poll, count_missed, longest_poll
                schedule.show_interval = show_interval
                schedule.forget_failures()
                emptied, created = self._slots.change_interval(name, schedule, interval)
        self._slots.update_jobs(emptied, created)
        schedule.show()

    def set_interval(self, name: str, interval: float) -> None:
        """Poll a cluster at another interval, from the next tick of that one on; no poll counts as missed by it."""
        schedule = self._schedules.get(name)
        if schedule is None or schedule.interval == interval:
            return
        with self._slots_lock:
            if self._schedules.get(name) is not schedule:
                return
            emptied, created = self._slots.change_interval(name, schedule, interval)
        self._slots.update_jobs(emptied, created)
        schedule.show()

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
            schedule.forget_failures()
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
            emptied = None if schedule is None else self._slots.leave(name, schedule)
        self._slots.update_jobs(emptied)

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
        return not any(schedule.hangs(now) for schedule in list(self._schedules.values()))

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
                created.append(self._slots.enter(name, schedule))
                schedule.first_poll_at, schedule.last_fired = now if name in ours else 0.0, time.monotonic()
                schedule.last_tick = None if schedule.slot is None else schedule.slot.trigger.tick(now)
        for slot in created:
            self._slots.update_jobs(created=slot)
        for name in ours:
            self._submit(name)
        self._last_heartbeat = time.monotonic()

    def _fire(self, slot: Slot) -> None:
        """Submit the polls of a slot, and count the ticks at which a cluster should have been polled and was not.

        The first tick of a cluster in its slot is no such tick: a poll of its previous slot may still run.
        """
        now, monotonic = self._clock(), time.monotonic()
        tick = slot.trigger.tick(now)
        for name in list(slot.names):
            schedule = self._schedules.get(name)
            if schedule is None or schedule.slot is not slot:
                continue
            skipped = schedule.reach_tick(tick, monotonic)
            if not self._is_ours(name):
                continue
            self._pending_first_polls.pop(name, None)  # of a cluster that was taken over: this is its poll
            if 0 <= now - schedule.first_poll_at < schedule.interval / 2:
                continue  # the first poll has only just been submitted, and counts for this tick
            submitted = self._submit(name)
            if skipped is not None and (missed := skipped + (not submitted)):
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
            if schedule.poll is poll and schedule.back_off(outcome, time.monotonic()):
                schedule.show()
        except Exception:  # noqa: BLE001 - a poll raises nothing; a fault of ours is logged, and the cluster polled again
            _log.exception("poll_crashed", milvus_cluster=name)
        finally:
            schedule.attempted = True
            schedule.running_since = None
            schedule.slow = time.monotonic() - started > self._slow_poll
            if limited:
                self._slow_polls.release()
