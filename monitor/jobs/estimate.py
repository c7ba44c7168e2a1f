"""How long an import still takes, from its own recent pace."""

from itertools import pairwise
from math import inf
from typing import Final

import msgspec

from monitor.jobs.model import IMPORTING, Job, TrackedJob

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
    progress = job.progress
    if progress is None or job.state is not IMPORTING:
        return ()
    last = samples[-1][1] if samples else -1.0
    if progress == last:
        return samples
    return (*samples[1 - SAMPLES :], (now, progress)) if progress > last else ((now, progress),)


class Pace(msgspec.Struct, frozen=True, gc=False):
    """How fast an import went of late.

    Attributes:
        per_second: Progress a second, above 0.
        done_at: When its progress reaches 1, if it goes on like that.
        until: Up to when that is believed, if the job does not move: then it stands still.
    """

    per_second: float
    done_at: float
    until: float

    def seconds_left(self, now: float) -> float:
        """Return the seconds until ``done_at``, never negative."""
        return max(0.0, self.done_at - now)


def pace_of(tracked: TrackedJob) -> Pace | None:
    """Return the recent pace of an import, which is the same until it moves on.

    The time for which it stood still on the way (Milvus does at about 10, 40, 45, 80 to 90) is no part of its pace.

    Returns:
        None where it has no pace: in any state but importing, before two steps forward that belong together, and where
        they are so small that it would be done at no time that is a number. It is not believed any more once the job
        has not moved for three times its usual step (index building stands at 80 to 90 %, Milvus issue 39348).
    """
    samples = tracked.samples
    if tracked.job.state is not IMPORTING or len(samples) <= _ENOUGH:
        return None
    lengths, earlier = [], samples[0][0]
    for at, _ in samples[1:]:
        lengths.append(at - earlier)
        earlier = at
    lengths.sort()
    still = _STANDS_STILL * lengths[(len(lengths) - 1) // 2]  # the lower median
    (since, low), (at, progress) = samples[0], samples[-1]
    if lengths[0] > 0 and lengths[-1] <= still:  # it stood still nowhere: the ends say it all
        per_second = (progress - low) / (at - since)
    else:
        steps = [(later - earlier, high - low) for (earlier, low), (later, high) in pairwise(samples)]
        moving = [(length, forward) for length, forward in steps if 0 < length <= still]
        if len(moving) < _ENOUGH:
            return None
        per_second = sum([forward for _, forward in moving]) / sum([length for length, _ in moving])
    done_at = at + (1.0 - progress) / per_second if per_second else inf  # a step can be the least number there is
    return Pace(per_second, done_at, at + still) if done_at < inf else None


def pace(tracked: TrackedJob, now: float) -> Pace | None:
    """Return the recent pace of an import, where it is still believed now."""
    recent = pace_of(tracked)
    return None if recent is None or now > recent.until else recent


def eta_seconds(tracked: TrackedJob, now: float) -> float | None:
    """Estimate the seconds until a job's progress reaches 1 at its recent pace.

    tests/bench/estimates.py compares this with what comes to pass, and with other ways to estimate.

    Returns:
        Seconds, never negative; None while it would be a guess, which is where the job has no pace.
    """
    recent = pace(tracked, now)
    return None if recent is None else recent.seconds_left(now)
