"""Notices steps of the system clock: it was set, or the machine was suspended."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from monitor.jobs import ClockStep

TOLERANCE: Final = 1.0
"""Seconds by which the clock may differ from one look to the next without a step."""

MAX_STEPS: Final = 100
"""Latest steps that are remembered."""


class ClockSteps:
    """Compares the system clock with the monotonic one, which neither steps nor counts while the machine is suspended.

    Args:
        clock: Seconds since the epoch.
        monotonic: Seconds since any point in time.
    """

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._lock = Lock()
        self._offset = clock() - monotonic()
        self._steps: tuple[ClockStep, ...] = ()

    def latest(self) -> tuple[ClockStep, ...]:
        """Return the latest steps up to now, oldest first; to be called often, so that drift does not look like one."""
        with self._lock:
            now = self._clock()
            offset = now - self._monotonic()
            seconds, self._offset = offset - self._offset, offset
            if abs(seconds) > TOLERANCE:
                self._steps = (*self._steps, ClockStep(now, seconds))[-MAX_STEPS:]
            return self._steps
