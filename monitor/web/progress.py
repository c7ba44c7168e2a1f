"""What is known of the progress of a job over time: its steps and states, and where it stood still."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from math import isfinite
from typing import Final

import msgspec

from monitor.jobs import TERMINAL, Job, JobState, Policy, current_pace, stall_limit
from monitor.store import ProgressSample, moved_at

CLOCK_AHEAD: Final = 86_400.0
"""Seconds by which a point may be in the future: the clock may have gone back since."""

POINTS_DRAWN: Final = 200
"""Points of a chart and rows of its table: those of the store, at most."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """A time in which a job was in a state, or made no progress for too long; in seconds since the epoch."""

    start: float
    end: float
    state: JobState

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


class Progress(msgspec.Struct, frozen=True, gc=False):
    """What is known of the progress of a job."""

    points: tuple[ProgressSample, ...]  # from when on it had which state and progress, in their order; at least one
    end: float  # when it finished, or now
    state: JobState
    phases: tuple[Span, ...]  # the states that it was in
    stalls: tuple[Span, ...]  # when it made no progress for longer than the limit of its state
    seconds_left: float | None  # None where there is no estimate

    @property
    def start(self) -> float:
        """When it was first seen."""
        return self.points[0].at

    @property
    def latest(self) -> float | None:
        """Its latest progress, None where none is known."""
        return next((point.progress for point in reversed(self.points) if point.progress is not None), None)


def follow_progress(job: Job, stored: Iterable[ProgressSample], policy: Policy, now: float) -> Progress:
    """Return what is known of the progress of a job.

    Args:
        job: The job.
        stored: What is stored of it, and its transitions, in any order.
        policy: The policy of its cluster, with the limits of stalls.
        now: Seconds since the epoch.
    """
    finished_at = job.finished_at if job.finished else None
    seen = [ProgressSample(at, job.state, progress) for at, progress in job.samples]
    seen.append(ProgressSample(moved_at(job), job.state, job.progress))
    points = [*_in_order([*stored, *seen])]
    latest = max(now, job.last_change) + CLOCK_AHEAD
    points = [point for point in points if job.first_seen <= point.at <= latest]
    if not points or points[0].at > job.first_seen:
        points.insert(0, ProgressSample(job.first_seen, points[0].state if points else job.state, None))
    end = max(now if finished_at is None else finished_at, points[-1].at)
    stalls = [*_stalls(points, policy)]
    if job.stalled:
        stalls.append(Span(max(job.last_change, points[0].at), end, job.state))
    pace = current_pace(job, now)
    return Progress(
        points=tuple(thinned(points)),
        end=end,
        state=job.state,
        phases=tuple(_phases(points, end)),
        stalls=tuple(stalls),
        seconds_left=None if pace is None else pace.seconds_left(now),
    )


def _in_order(points: Iterable[ProgressSample]) -> Iterator[ProgressSample]:
    """Yield points in the order of their times, without those that repeat the one before."""
    last: ProgressSample | None = None
    for point in sorted(points, key=lambda point: point.at):
        progress = point.progress if point.progress is None or isfinite(point.progress) else None
        if progress is None and last is not None and last.state is point.state:
            progress = last.progress
        if last is None or (last.state, last.progress) != (point.state, progress):
            last = ProgressSample(point.at, point.state, progress)
            yield last


def thinned(points: Sequence[ProgressSample], limit: int = POINTS_DRAWN) -> Iterator[ProgressSample]:
    """Yield at most so many points, evenly, with the first and the last one."""
    if len(points) <= limit:
        yield from points
        return
    for number in range(limit):
        yield points[number * (len(points) - 1) // (limit - 1)]


def _phases(points: Sequence[ProgressSample], end: float) -> Iterator[Span]:
    start = points[0]
    for point in points[1:]:
        if point.state is not start.state:
            yield Span(start.at, point.at, start.state)
            start = point
    if end > start.at or start is points[0]:
        yield Span(start.at, end, start.state)


def _stalls(points: Sequence[ProgressSample], policy: Policy) -> Iterator[Span]:
    for point, following in pairwise(points):
        if point.state not in TERMINAL and following.at - point.at > stall_limit(point.state, policy):
            yield Span(point.at, following.at, point.state)
