"""How long and how many jobs are remembered that have left the list, and when there is something to do about a job."""

from itertools import chain
from math import inf
from typing import Final

import msgspec

from monitor.jobs.model import TERMINAL, TrackedJob
from monitor.jobs.picture import Jobs
from monitor.jobs.stalls import StallLimits

REMEMBERED_FOR: Final = 7 * 86400.0
"""Seconds for which a finished job that has left the list is remembered at least, so that its return is no news."""

REMEMBERED_LIMIT: Final = 10_000
"""Jobs of one cluster that are remembered though the list has left them out for longer than ``MAY_COME_BACK``."""

MAY_COME_BACK: Final = 86400.0
"""Seconds for which every missing job is remembered: a list that was empty and wrong may be whole again."""

MOST_REMEMBERED: Final = 200_000
"""Jobs of one cluster that are remembered though the list leaves them out, however short a time."""


class Terms(msgspec.Struct, frozen=True, gc=False):
    """By what a cluster's jobs are followed.

    Attributes:
        limits: When an unfinished job counts as stalled.
        kept_for: Seconds for which a finished job is remembered that has left the list.
    """

    limits: StallLimits
    kept_for: float


def forgotten_at(tracked: TrackedJob, missing_since: float, kept_for: float) -> float:
    """Return when a finished job that has left the list need not be remembered any more."""
    return max(missing_since, tracked.finished_at or missing_since) + kept_for


def due_at(tracked: TrackedJob, terms: Terms) -> float:
    """Return when there is something to do about a job, though the list says of it what it said before."""
    state = tracked.job.state
    if tracked.missing_since is not None:
        return forgotten_at(tracked, tracked.missing_since, terms.kept_for) if state in TERMINAL else -inf
    if tracked.stalled or state in TERMINAL:
        return inf
    return tracked.last_change + terms.limits.of(state)


def surplus_at(jobs: Jobs) -> float:
    """Return when missing jobs that are too many may be missing for long enough, though the list says the same."""
    if _at_most_missing(jobs) <= REMEMBERED_LIMIT:
        return inf
    missing = _missing(jobs)
    return min(since for since, _ in missing) + MAY_COME_BACK if len(missing) > REMEMBERED_LIMIT else inf


def surplus(jobs: Jobs, now: float) -> dict[str, TrackedJob]:
    """Return the missing jobs that are too many: those missing longest go first, finished ones before the others."""
    if _at_most_missing(jobs) <= min(REMEMBERED_LIMIT, MOST_REMEMBERED):
        return {}
    missing = [(now - since, tracked) for since, tracked in _missing(jobs)]
    long_gone = sum(gone_for > MAY_COME_BACK for gone_for, _ in missing)
    too_many = max(min(len(missing) - REMEMBERED_LIMIT, long_gone), len(missing) - MOST_REMEMBERED)
    if too_many <= 0:
        return {}
    missing.sort(key=lambda pair: (pair[0] <= MAY_COME_BACK, not pair[1].retired, -pair[0]))
    return {tracked.job.job_id: tracked for _, tracked in missing[:too_many]}


def _at_most_missing(jobs: Jobs) -> int:
    """Return how many jobs the list leaves out at most, without a look at any."""
    return len(jobs.unfinished) + len(jobs.lost) + len(jobs.retired)


def _missing(jobs: Jobs) -> list[tuple[float, TrackedJob]]:
    """Return the jobs that the list leaves out, and since when.

    Of those that have left at the same time, the first are forgotten first: failures are still shown, completed jobs
    are not.
    """
    everybody = chain(jobs.retired.values(), jobs.lost.values(), jobs.unfinished.values())
    return [(tracked.missing_since, tracked) for tracked in everybody if tracked.missing_since is not None]
