"""The slots in which clusters are polled together, each with one job of APScheduler."""

from collections.abc import Callable
from contextlib import suppress

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.base import BaseScheduler

from monitor.grid import Slot, slot_offset
from monitor.schedule import Schedule


class Slots:
    """Keeps a scheduled job for each slot with clusters in it: one for each cluster would cost more than its poll.

    APScheduler fires while it holds a lock of its own. So those who move clusters, under a lock of theirs, update the
    jobs once they have released it.

    Args:
        scheduler: Fires the jobs.
        fire: Called with a slot at each of its ticks, in the scheduler's thread.
    """

    def __init__(self, scheduler: BaseScheduler, fire: Callable[[Slot], None]) -> None:
        self._scheduler = scheduler
        self._fire = fire
        self._slots: dict[tuple[float, float], Slot] = {}

    def __len__(self) -> int:
        """Return the number of slots."""
        return len(self._slots)

    def enter(self, name: str, schedule: Schedule) -> Slot | None:
        """Put a cluster into its slot; return the slot where it was created."""
        slot = Slot(schedule.interval, slot_offset(name, schedule.interval))
        slot = schedule.slot = self._slots.setdefault(slot.key, slot)
        schedule.last_tick = None
        slot.names[name] = None
        return slot if len(slot.names) == 1 else None

    def leave(self, name: str, schedule: Schedule) -> Slot | None:
        """Take a cluster out of its slot; return the slot where it is empty now."""
        slot, schedule.slot = schedule.slot, None
        if slot is None:
            return None
        del slot.names[name]
        return None if slot.names else self._slots.pop(slot.key)

    def change_interval(self, name: str, schedule: Schedule, interval: float) -> tuple[Slot | None, Slot | None]:
        """Move a cluster to the slot of an interval; return the slot that is empty now, and the one that was created.

        A cluster whose first poll is pending enters its slot then.
        """
        changed, schedule.interval = schedule.interval != interval, interval
        if not changed or schedule.slot is None:
            return None, None
        schedule.first_poll_at = 0.0
        return self.leave(name, schedule), self.enter(name, schedule)

    def update_jobs(self, emptied: Slot | None = None, created: Slot | None = None) -> None:
        """Remove the job of a slot that is empty, and add one for a slot that was created."""
        if emptied is not None:
            with suppress(JobLookupError):  # the monitor stops, or its job is only about to be added
                self._scheduler.remove_job(emptied.job_id)
        if created is not None:
            self._scheduler.add_job(self._fire, created.trigger, args=(created,), id=created.job_id, executor="inline")
            if self._slots.get(created.key) is not created:  # its last cluster has left it meanwhile
                self.update_jobs(emptied=created)
