"""How long and how many jobs are remembered that have left the list, and when there is something to do about a job."""

from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import Final

from monitor.jobs.model import TrackedJob
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


@dataclass(frozen=True, slots=True)
class Terms:
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
    if tracked.missing_since is not None:
        return forgotten_at(tracked, tracked.missing_since, terms.kept_for) if tracked.finished else -inf
    if tracked.finished or tracked.stalled:
        return inf
    return tracked.last_change + terms.limits.of(tracked.job.state)


def surplus_at(jobs: Jobs) -> float:
    """Return when missing jobs that are too many may be missing for long enough, though the list says the same."""
    everybody = chain(jobs.retired.values(), jobs.lost.values(), jobs.unfinished.values())
    if len(jobs.unfinished) + len(jobs.lost) + len(jobs.retired) <= REMEMBERED_LIMIT:
        return inf
    missing = [tracked.missing_since for tracked in everybody if tracked.missing_since is not None]
    return min(missing) + MAY_COME_BACK if len(missing) > REMEMBERED_LIMIT else inf


def surplus(jobs: Jobs, now: float) -> dict[str, TrackedJob]:
    """Return the missing jobs that are too many: those missing longest go first, finished ones before the others."""
    if len(jobs.unfinished) + len(jobs.lost) + len(jobs.retired) <= min(REMEMBERED_LIMIT, MOST_REMEMBERED):
        return {}
    # Of those that have left at the same time, the first go first: failures are still shown, completed jobs are not.
    everybody = chain(jobs.retired.values(), jobs.lost.values(), jobs.unfinished.values())
    missing = [(now - tracked.missing_since, tracked) for tracked in everybody if tracked.missing_since is not None]
    long_gone = sum(gone_for > MAY_COME_BACK for gone_for, _ in missing)
    too_many = max(min(len(missing) - REMEMBERED_LIMIT, long_gone), len(missing) - MOST_REMEMBERED)
    if too_many <= 0:
        return {}
    missing.sort(key=lambda pair: (pair[0] <= MAY_COME_BACK, not pair[1].retired, -pair[0]))
    return {tracked.job.job_id: tracked for _, tracked in missing[:too_many]}
