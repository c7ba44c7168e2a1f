"""How late polls are: when each list was asked for, beside when the schedule wanted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.scheduler import SLOT, _share

if TYPE_CHECKING:
    from collections.abc import Iterable


def lags(arrivals: Iterable[tuple[str, float]], interval: float) -> list[float]:
    """Return by how many seconds each poll came after its point in the schedule.

    Where those points lie is said by nobody outside, so this looks inside the scheduler: every cluster has a slot of
    the interval, and is polled at the slot's beginning.

    Args:
        arrivals: Names of clusters, and when a list of each was asked for, in seconds since the epoch.
        interval: Seconds from poll to poll, in whole milliseconds: the schedule counts from 1970, where a third of a
            microsecond an interval adds up to minutes.
    """
    width = min(SLOT, interval)
    return [(at - int(_share(name) * interval / width) * width) % interval for name, at in arrivals]
