"""Estimates the time left of an import from its recent pace."""

from math import inf
from operator import sub
from typing import Final

import msgspec

from monitor.jobs.model import Job, JobState

SAMPLES: Final = 8
"""Points kept of a job's recent progress."""

_MIN_STEPS: Final = 2
"""Steps forward that make a pace."""

_STANDSTILL: Final = 3.0
"""A job stands still once it has not moved for this many times its usual step."""

Samples = tuple[tuple[float, float], ...]
"""(time, progress) points, oldest first."""


def add_sample(samples: Samples, state: JobState, progress: float | None, now: float) -> Samples:
    """Return the points of a job's progress with the current one, where it is a step forward.

    A step back begins the points anew: the pace before it no longer holds.
    """
    if progress is None or state is not JobState.IMPORTING:
        return ()
    last = samples[-1][1] if samples else -1.0
    if progress == last:
        return samples
    return (*samples[1 - SAMPLES :], (now, progress)) if progress > last else ((now, progress),)


class Pace(msgspec.Struct, frozen=True, gc=False):
    """How fast an import went lately.

    Attributes:
        per_second: Progress a second, above 0.
        done_at: When its progress reaches 1 at this pace.
        valid_until: Until when that is believed if the job does not move: after that it stands still.
    """

    per_second: float
    done_at: float
    valid_until: float

    def seconds_left(self, now: float) -> float:
        """Return the seconds until ``done_at``, never negative."""
        return max(0.0, self.done_at - now)


def recent_pace(job: Job) -> Pace | None:
    """Return the recent pace of an import, which stays the same until the job moves on.

    Time for which it stood still on the way (Milvus does at about 10, 40, 45, 80 to 90) is no part of its pace.

    Returns:
        None in any state but importing, before two steps forward that belong together, and where they are so small that
        the time left is not a number.
    """
    samples = job.samples
    if job.state is not JobState.IMPORTING or len(samples) <= _MIN_STEPS:
        return None
    times = [time for time, _ in samples]
    steps = list(map(sub, times[1:], times))
    ordered = sorted(steps)
    longest = _STANDSTILL * ordered[(len(ordered) - 1) // 2]
    at, progress = samples[-1]
    seconds, gain = at - times[0], progress - samples[0][1]
    if ordered[0] <= 0 or ordered[-1] > longest:  # the clock went back, or it stood still on the way
        moving = [index for index, step in enumerate(steps) if 0 < step <= longest]
        if len(moving) < _MIN_STEPS:
            return None
        seconds = sum(steps[index] for index in moving)
        gain = sum(samples[index + 1][1] - samples[index][1] for index in moving)
    per_second = gain / seconds
    done_at = at + (1.0 - progress) / per_second if per_second else inf  # a step can be the least number there is
    return Pace(per_second, done_at, at + longest) if done_at < inf else None


def current_pace(job: Job, now: float) -> Pace | None:
    """Return the recent pace of an import while it is still believed: not once the job stands still (issue 39348)."""
    pace = recent_pace(job)
    return None if pace is None or now > pace.valid_until else pace


def eta_seconds(job: Job, now: float) -> float | None:
    """Estimate the seconds until a job's progress reaches 1 at its recent pace.

    ``tests/bench/estimates.py`` compares this with what comes to pass, and with other ways to estimate.

    Returns:
        Seconds, never negative; None while it would be a guess.
    """
    pace = current_pace(job, now)
    return None if pace is None else pace.seconds_left(now)
