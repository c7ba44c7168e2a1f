"""The grid of poll times: the same ticks after every restart, spread evenly over the interval."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from apscheduler.triggers.base import BaseTrigger

SLOT: Final = 0.25
"""Seconds: clusters whose ticks lie this near to each other are polled together, at the first of them."""

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class GridTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at ``offset + k * interval`` since the epoch: no drift, and the same ticks after a restart.

    Args:
        interval: Seconds between the ticks.
        offset: Seconds of the first tick after the epoch.
    """

    def __init__(self, interval: float, offset: float) -> None:
        # Whole microseconds, as in a datetime: with fractions, a tick could round to itself and fire for ever.
        self._interval = max(1, round(interval * 1e6))
        self._offset = round(offset * 1e6)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the first tick after both times: ticks that have passed are not caught up one by one."""
        after = (max(now, previous_fire_time or now) - _EPOCH) // _MICROSECOND
        steps = (after - self._offset) // self._interval + 1
        return _EPOCH + (self._offset + steps * self._interval) * _MICROSECOND

    def tick(self, now: float) -> int:
        """Return the number of the last tick up to a time, in seconds since the epoch."""
        return (round(now * 1e6) - self._offset) // self._interval


class Slot:
    """Clusters with one interval and nearly the same ticks: one scheduled job submits the polls of all of them."""

    def __init__(self, interval: float, offset: float) -> None:
        self.key = (interval, offset)
        self.trigger = GridTrigger(interval, offset)
        self.names: dict[str, None] = {}
        self.job_id = uuid4().hex


def slot_offset(name: str, interval: float) -> float:
    """Return the seconds after each multiple of its interval at which a cluster's slot begins."""
    width = min(SLOT, interval)
    return int(hash_fraction(name) * interval / width) * width


def hash_fraction(name: str) -> float:
    """Return a number from 0 to 1 that is always the same for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) / 2**64
