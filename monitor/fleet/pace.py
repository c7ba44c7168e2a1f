"""How fast an import goes at the moment."""

from dataclasses import dataclass
from typing import Final

from monitor.jobs import JobState, TrackedJob

_STANDS_STILL: Final = 3.0
"""A job has no pace once it has not moved for this many times its usual step."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast an import goes.

    Attributes:
        progress_per_minute: Ratio of the whole, so 0.05 is five percent a minute.
        rows_per_second: None where the server does not say how many rows there are.
    """

    progress_per_minute: float
    rows_per_second: float | None


def pace(tracked: TrackedJob, now: float) -> Pace | None:
    """Return the recent pace of an import; None where it is not importing, has hardly moved, or stands still."""
    samples = tracked.samples
    if tracked.job.state is not JobState.IMPORTING or len(samples) < 2:  # noqa: PLR2004 - two points make a line
        return None
    (begin, low), (end, high) = samples[0], samples[-1]
    if end <= begin or high <= low or now - end > _STANDS_STILL * (end - begin) / (len(samples) - 1):
        return None
    a_second = (high - low) / (end - begin)
    rows = tracked.job.total_rows
    return Pace(60.0 * a_second, a_second * rows if rows else None)
