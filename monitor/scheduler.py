"""Which cluster is polled when; what becomes of polls that are late or overlap, and of clusters that keep failing."""

import hashlib
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Condition, Lock
from typing import Final, Protocol
from uuid import uuid4

from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import BasePoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

FIRST_POLL_WITHIN: Final = 5.0
"""Seconds within which a new cluster is polled for the first time, however long its interval is."""

BACKOFF_LIMIT: Final = 10
"""Intervals from one poll to the next of a cluster that keeps failing, at most."""

RETRY_AFTER_LIMIT: Final = 3600.0
"""Seconds for which a server can ask to be left alone."""

CLOCK_TOLERANCE: Final = 1.0
"""Seconds by which the clock may be set back without further ado."""

SLOT: Final = 0.25
"""Seconds: clusters whose points lie so near to each other are polled together, at the first of them."""

BEAT_EVERY: Final = 1.0
STANDS_STILL_AFTER: Final = 15.0
"""Seconds without a beat after which the scheduler counts as standing still."""

_faults: Final = logging.getLogger(__name__)
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class PollOutcome(Protocol):
    """What a poll tells of its end."""

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""

    @property
    def retry_after(self) -> float | None:
        """Seconds for which the server wants to be left alone."""


class GridTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at fixed points in time, ``offset + k * interval`` since the epoch: no drift, the same after a restart.

    Args:
        interval: Seconds between the points.
        offset: Seconds of the first point after the epoch.
    """

    def __init__(self, interval: float, offset: float) -> None:
        # Whole microseconds, as in a datetime: with fractions, a point could round to itself and be fired for ever.
        self._interval = max(1, round(interval * 1e6))
        self._offset = round(offset * 1e6)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the first point after both times: points that have passed are not caught up one by one."""
        after = (max(now, previous_fire_time or now) - _EPOCH) // _MICROSECOND
        steps = (after - self._offset) // self._interval + 1
        return _EPOCH + (self._offset + steps * self._interval) * _MICROSECOND

    def point(self, now: float) -> int:
        """Return the number of the last point up to a time, in seconds since the epoch."""
        return (round(now * 1e6) - self._offset) // self._interval


class _PoolExecutor(BasePoolExecutor):  # type: ignore[misc]
    """Runs work in a pool that others may use too."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        super().__init__(pool)


class _Watch:
    """One cluster's place in the schedule."""

    def __init__(self, interval: float, poll: Callable[[], PollOutcome], missed: Callable[[int], None]) -> None:
        self.interval = interval
        self.poll = poll
        self.missed = missed
        self.failures = 0
        self.not_before = 0.0
        self.attempted = False
        self.slot: _Slot | None = None
        self.begun_at = 0.0
        self.last_point: int | None = None
        self.generation = 0


class _Slot:
    """Clusters of one interval whose points in time are so near to each other that one job begins all their polls."""

    def __init__(self, interval: float, offset: float) -> None:
        self.place = (interval, offset)
        self.trigger = GridTrigger(interval, offset)
        self.names: dict[str, None] = {}
        self.job_id = uuid4().hex


class PollScheduler:
    """Polls each cluster at its interval, in a bounded pool of threads.

    APScheduler fires one job for each slot, and a slot begins the polls of its clusters: a job for each cluster would
    cost more than the poll. Clusters that keep failing have at most half of the threads at a time: they may hang until
    their timeout, and the others need somebody to poll them.

    Args:
        concurrency: Polls that run at the same time, at most.
        clock: Seconds since the epoch.
    """

    def __init__(self, concurrency: int, clock: Callable[[], float] = time.time) -> None:
        self.pool = ThreadPoolExecutor(concurrency, thread_name_prefix="poll")
        self._clock = clock
        self._watches: dict[str, _Watch] = {}
        self._slots: dict[tuple[float, float], _Slot] = {}
        self._newcomers: dict[str, float] = {}
        self._placing = Lock()
        self._busy: set[str] = set()
        self._running = 0
        self._running_failing = 0
        self._most_failing = max(1, concurrency // 2)
        self._idle = Condition()
        self._stopping = False
        self._ready = False
        self._beat = time.monotonic()
        self._ahead = clock() - time.monotonic()
        logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": _PoolExecutor(self.pool), "clockwork": DebugExecutor()},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def every(self, seconds: float, work: Callable[[], None]) -> None:
        """Do something else again and again, in the same pool; one that is still running is not begun again."""
        self._scheduler.add_job(work, GridTrigger(seconds, 0.0))

    def start(self) -> None:
        """Start the clockwork."""
        self._scheduler.start()
        self._scheduler.add_job(self._heartbeat, GridTrigger(BEAT_EVERY, 0.0), executor="clockwork")
        self._scheduler.add_job(self._begin, GridTrigger(SLOT, 0.0), executor="clockwork")

    def stop(self, within: float) -> int:
        """Start no poll any more, wait for those that run, and return how many still do.

        Args:
            within: The longest wait, in seconds.
        """
        with self._idle:
            self._stopping = True
        self._scheduler.shutdown(wait=False)
        self.pool.shutdown(wait=False, cancel_futures=True)
        with self._idle:
            self._idle.wait_for(lambda: self._running == 0, within)
            return self._running

    def watch(self, name: str, interval: float, poll: Callable[[], PollOutcome], missed: Callable[[int], None]) -> None:
        """Poll a cluster from now on; one that is watched already gets the new interval and keeps its state.

        Args:
            name: The cluster's name; its hash spreads the polls of many clusters over the interval.
            interval: Seconds from one poll to the next.
            poll: Polls once, raises nothing.
            missed: Is told how many polls did not run because the previous one was still running or time jumped.
        """
        with self._placing:
            watch = self._watches.get(name)
            if watch is None:
                self._watches[name] = _Watch(interval, poll, missed)
                self._newcomers[name] = self._clock() + _share(name) * min(interval, FIRST_POLL_WITHIN)
                return
            changed = watch.interval != interval
            watch.interval, watch.poll, watch.missed = interval, poll, missed
            watch.generation, watch.failures, watch.not_before = watch.generation + 1, 0, 0.0
            if not changed or watch.slot is None:
                return
            empty, new = self._leave_slot(name, watch), self._enter_slot(name, watch)
        self._drop(empty)
        self._plan_slot(new)

    def unwatch(self, name: str) -> None:
        """Poll a cluster no more; a poll that runs is not cut short."""
        with self._placing:
            watch = self._watches.pop(name, None)
            self._newcomers.pop(name, None)
            empty = None if watch is None else self._leave_slot(name, watch)
        self._drop(empty)

    def follow_clock(self) -> float:
        """Plan anew where the clock was set back, for what was planned would come much too late.

        To be called again and again from outside the clockwork.

        Returns:
            By how many seconds it was set back; 0 where it was not.
        """
        ahead = self._clock() - time.monotonic()
        jump, self._ahead = ahead - self._ahead, ahead
        if jump > -CLOCK_TOLERANCE:
            return 0.0
        for watch in list(self._watches.values()):
            watch.last_point = None
        for job in self._scheduler.get_jobs():
            with suppress(JobLookupError):  # it was removed meanwhile
                job.reschedule(job.trigger)
        with self._placing:
            self._newcomers = dict.fromkeys(self._newcomers, self._clock())
        return -jump

    def healthy(self) -> bool:
        """Say whether the clockwork turns."""
        return time.monotonic() - self._beat < STANDS_STILL_AFTER

    def ready(self) -> bool:
        """Say whether every cluster has been polled once, whatever came of it; one added later changes nothing."""
        self._ready = self._ready or all(watch.attempted for watch in list(self._watches.values()))
        return self._ready

    def _begin(self) -> None:
        """Poll the newcomers whose time has come for the first time, and at their points from now on."""
        now = self._clock()
        with self._placing:
            due = [name for name, at in self._newcomers.items() if at <= now]
            new = []
            for name in due:
                del self._newcomers[name]
                watch = self._watches[name]
                new.append(self._enter_slot(name, watch))
                watch.begun_at = now
                watch.last_point = None if watch.slot is None else watch.slot.trigger.point(now)
        for slot in new:
            self._plan_slot(slot)
        for name in due:
            self._submit(name)

    def _enter_slot(self, name: str, watch: _Watch) -> _Slot | None:
        """Put a cluster into its slot; return the slot where it is a new one."""
        slot = _Slot(watch.interval, slot_offset(name, watch.interval))
        slot = watch.slot = self._slots.setdefault(slot.place, slot)
        watch.last_point = None
        slot.names[name] = None
        return slot if len(slot.names) == 1 else None

    def _leave_slot(self, name: str, watch: _Watch) -> _Slot | None:
        """Take a cluster out of its slot; return the slot where it was the last one."""
        slot, watch.slot = watch.slot, None
        if slot is None:
            return None
        del slot.names[name]
        if slot.names:
            return None
        return self._slots.pop(slot.place)

    # APScheduler fires while it holds a lock of its own: it is never called while `_placing` is held.

    def _plan_slot(self, slot: _Slot | None) -> None:
        if slot is not None:
            self._scheduler.add_job(self._fire, slot.trigger, args=(slot,), id=slot.job_id, executor="clockwork")

    def _drop(self, slot: _Slot | None) -> None:
        if slot is not None:
            with suppress(JobLookupError):  # the monitor stops
                self._scheduler.remove_job(slot.job_id)

    def _fire(self, slot: _Slot) -> None:
        """Begin the polls of a slot, and count the points at which a cluster should have been polled and was not."""
        now = self._clock()
        point = slot.trigger.point(now)
        for name in list(slot.names):
            watch = self._watches.get(name)
            if watch is None:
                continue
            if 0 <= now - watch.begun_at < watch.interval / 2:
                watch.last_point = point  # its first poll was only just begun, and counts for this point
                continue
            missed = 0 if watch.last_point is None else max(0, point - watch.last_point - 1)
            watch.last_point = point
            missed += not self._submit(name)
            if missed:
                try:
                    watch.missed(missed)
                except Exception:  # noqa: BLE001 - who counts must not stop the clockwork: it is told
                    _faults.exception("the count of missed polls of %s was not taken", name)

    def _submit(self, name: str) -> bool:
        """Give a poll to the pool; return False where the previous one of the cluster has not ended."""
        if name in self._busy:
            return False
        self._busy.add(name)
        with suppress(RuntimeError):  # the pool was shut down: the monitor stops
            self.pool.submit(self._run, name)
        return True

    def _run(self, name: str) -> None:
        """Poll a cluster, unless it is to be left alone for a while."""
        try:
            watch = self._watches.get(name)
            if watch is not None and time.monotonic() >= watch.not_before:
                self._poll(watch)
        except Exception:  # noqa: BLE001 - a poll raises nothing; a fault of ours is told, and the cluster polled again
            _faults.exception("a poll of %s crashed", name)
        finally:
            self._busy.discard(name)

    def _poll(self, watch: _Watch) -> None:
        failing = watch.failures > 0
        with self._idle:
            if self._stopping or (failing and self._running_failing >= self._most_failing):
                return
            self._running += 1
            self._running_failing += failing
        generation = watch.generation
        try:
            outcome = watch.poll()
            if watch.generation == generation:
                self._plan(watch, outcome)
        finally:
            watch.attempted = True
            with self._idle:
                self._running -= 1
                self._running_failing -= failing
                if not self._running:
                    self._idle.notify_all()

    def _plan(self, watch: _Watch, outcome: PollOutcome) -> None:
        """Decide when a cluster may be polled again: at its next point, or later while it keeps failing."""
        if outcome.ok:
            watch.failures, watch.not_before = 0, 0.0
            return
        watch.failures += 1
        pause = min(2 ** min(watch.failures - 1, BACKOFF_LIMIT), BACKOFF_LIMIT) * watch.interval
        asked_for = min(outcome.retry_after or 0.0, RETRY_AFTER_LIMIT)
        # Half an interval less than the pause: the point that it means must not be missed by a hair.
        watch.not_before = time.monotonic() + max(pause - watch.interval / 2, asked_for)

    def _heartbeat(self) -> None:
        self._beat = time.monotonic()


def slot_offset(name: str, interval: float) -> float:
    """Return how many seconds after each multiple of its interval a cluster's polls begin: where its slot does."""
    width = min(SLOT, interval)
    return int(_share(name) * interval / width) * width


def _share(name: str) -> float:
    """Return a number from 0 to 1 that is always the same for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) / 2**64
