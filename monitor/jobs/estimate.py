"""How long an import still takes, from its own recent pace."""

from typing import Final

from monitor.jobs.model import Job, JobState, TrackedJob

SAMPLES: Final = 8
"""Points kept of a job's recent progress."""

_ENOUGH: Final = 3
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


def eta_seconds(tracked: TrackedJob, now: float) -> float | None:
    """Estimate the seconds until a job's progress reaches 1 at its recent pace.

    Returns:
        Seconds, never negative; None while it would be a guess: before there are three points, and once the job has
        not moved for three times its usual step (index building stands at 80 to 90 %, Milvus issue 39348).
    """
    samples = tracked.samples
    if tracked.job.state is not JobState.IMPORTING or len(samples) < _ENOUGH:
        return None
    (begin, low), (end, high) = samples[0], samples[-1]
    step = (end - begin) / (len(samples) - 1)
    if end <= begin or high <= low or now - end > _STANDS_STILL * step:
        return None
    pace = (high - low) / (end - begin)
    return max(0.0, (1.0 - high) / pace - (now - end))
