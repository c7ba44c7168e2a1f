"""How far the intervals of the clusters of one API key have to be stretched so that the key's rate holds. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

HEADROOM: Final = 0.8
"""Share of a key's rate that polls are planned to use; the rest is for retries, bursts and pages."""

IDLE_SHARE: Final = 0.25
"""Share of the planned requests that idle clusters get, at most, before active ones are stretched."""

STEP: Final = 1.1
"""Intervals are stretched by powers of this, so that small changes of the load move nothing."""


class Demand(msgspec.Struct, frozen=True, gc=False):
    """What the polls of one cluster need.

    Attributes:
        interval: Seconds from one poll to the next, as configured.
        active: Whether the cluster has unfinished jobs.
        seconds: Of each endpoint, the seconds for which one poll uses up the key's rate: requests / rate.
    """

    interval: float
    active: bool
    seconds: Mapping[str, float]


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """By which powers of ``STEP`` intervals are stretched."""

    idle_steps: int = 0
    active_steps: int = 0

    @property
    def idle(self) -> float:
        """The factor of the intervals of idle clusters."""
        return STEP**self.idle_steps

    @property
    def active(self) -> float:
        """The factor of the intervals of clusters with unfinished jobs; not larger than that of idle ones."""
        return STEP**self.active_steps


UNSTRETCHED: Final = Stretch()


def plan(demands: Iterable[Demand], previous: Stretch = UNSTRETCHED) -> Stretch:
    """Return how far the intervals of one key's clusters are stretched: idle ones first, evenly, active ones last.

    Args:
        demands: What each of the clusters needs.
        previous: The plan so far, which is kept while it is enough and hardly more than that.
    """
    idle, active = 0.0, 0.0
    for load in _loads(demands).values():
        needed = _needed(*load)
        idle, active = max(idle, needed[0]), max(active, needed[1])
    active_steps = _steps(active, previous.active_steps)
    return Stretch(max(_steps(idle, previous.idle_steps), active_steps), active_steps)


def _loads(demands: Iterable[Demand]) -> Mapping[str, tuple[float, float]]:
    """Return the shares of each endpoint's rate that idle and active clusters need."""
    loads: dict[str, tuple[float, float]] = {}
    for demand in demands:
        for endpoint, seconds in demand.seconds.items():
            idle, active = loads.get(endpoint, (0.0, 0.0))
            load = seconds / demand.interval
            loads[endpoint] = (idle, active + load) if demand.active else (idle + load, active)
    return loads


def _needed(idle: float, active: float) -> tuple[float, float]:
    """Return the factors of idle and active clusters that keep an endpoint within its rate; below 1 if it is enough."""
    if idle + active <= HEADROOM:
        return (idle + active) / HEADROOM, active / HEADROOM
    reserved_for_idle = min(idle, IDLE_SHARE * HEADROOM)
    active_factor = max(1.0, active / (HEADROOM - reserved_for_idle))
    left_to_idle = max(reserved_for_idle, HEADROOM - active)
    return (idle / left_to_idle if idle else 1.0), active_factor


def _steps(factor: float, previous: int) -> int:
    """Return the steps that are at least a factor, or those so far where they are at most one more."""
    steps = math.ceil(math.log(factor, STEP) - 1e-9) if factor > 0 else -2
    return previous if steps <= previous <= steps + 1 else max(0, steps)
