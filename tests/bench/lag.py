"""How late polls are: when each list was asked for, beside when the schedule wanted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.grid import slot_offset

if TYPE_CHECKING:
    from collections.abc import Iterable


def lags(arrivals: Iterable[tuple[str, float]], interval: float) -> list[float]:
    """Return by how many seconds each poll came after its point in the schedule.

    Args:
        arrivals: Names of clusters, and when a list of each was asked for, in seconds since the epoch.
        interval: Seconds from poll to poll, in whole milliseconds: the schedule counts from 1970, where a third of a
            microsecond an interval adds up to minutes.
    """
    return [(at - slot_offset(name, interval)) % interval for name, at in arrivals]
