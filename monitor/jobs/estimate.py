"""How long an import still takes, from its own recent pace."""

from itertools import pairwise
from statistics import median_low
from typing import Final

from monitor.jobs.model import Job, JobState, TrackedJob

SAMPLES: Final = 8
"""Points kept of a job's recent progress."""

_ENOUGH: Final = 2
"""Steps forward that make a pace."""

_STANDS_STILL: Final = 3.0
"""A job stands still once it has not moved for this many times its usual step."""


def with_sample(samples: tuple[tuple[float, float], ...], job: Job, now: float) -> tuple[tuple[float, float], ...]:
    """Return the points of a job's progress with the present one, where it is a step forward.

    A step back begins the points anew: what was learned about the pace no longer holds.
    """
    if job.state is not JobState.IMPORTING or job.progress is None:
        return ()
    if samples and job.progress == samples[-1][1]:
        return samples
    if samples and job.progress < samples[-1][1]:
        return ((now, job.progress),)
    return (*samples, (now, job.progress))[-SAMPLES:]


def pace(tracked: TrackedJob, now: float) -> float | None:
    """Return how much of the whole an import gains in a second, at its recent pace.

    The time for which it stood still on the way (Milvus does at about 10, 40, 45, 80 to 90) is no part of its pace.

    Returns:
        Progress a second, above 0; None where it has no pace: in any state but importing, before two steps forward that
        belong together, and once it has not moved for three times its usual step (index building stands at 80 to 90 %,
        Milvus issue 39348).
    """
    samples = tracked.samples
    if tracked.job.state is not JobState.IMPORTING or len(samples) <= _ENOUGH:
        return None
    steps = [(after - before, high - low) for (before, low), (after, high) in pairwise(samples)]
    still = _STANDS_STILL * median_low([took for took, _ in steps])
    moving = [(took, forward) for took, forward in steps if 0 < took <= still]
    if now - samples[-1][0] > still or len(moving) < _ENOUGH:
        return None
    return sum(forward for _, forward in moving) / sum(took for took, _ in moving)


def eta_seconds(tracked: TrackedJob, now: float) -> float | None:
    """Estimate the seconds until a job's progress reaches 1 at its recent pace.

    tests/bench/estimates.py compares this with what comes to pass, and with other ways to estimate.

    Returns:
        Seconds, never negative; None while it would be a guess, which is where the job has no pace.
    """
    speed = pace(tracked, now)
    if speed is None:
        return None
    at, progress = tracked.samples[-1]
    return max(0.0, (1.0 - progress) / speed - (now - at))
