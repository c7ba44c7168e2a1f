"""What ``watch`` shows."""

from collections.abc import Mapping
from typing import Final

import msgspec

from monitor.jobs import UNSUCCESSFUL, Job, JobState

COMPLETED_SHOWN: Final = 15.0
"""Seconds for which a job that has completed while it was watched is still shown."""

_RANKS: Final = {
    JobState.FAILED: 0,
    JobState.VANISHED: 0,
    JobState.UNKNOWN: 2,
    JobState.UNCOMMITTED: 2,
    JobState.COMMITTING: 3,
    JobState.IMPORTING: 3,
    JobState.COMPLETED: 4,
    JobState.PENDING: 5,
}
_STALLED: Final = 1

JobKey = tuple[str, str]
"""The name of a cluster, and the id of a job."""


class View(msgspec.Struct, frozen=True):
    """Jobs and clusters at one moment.

    `done_at` has the time at which a job is expected to be done, where there is an estimate, `usual` the seconds that
    imports of its collection usually take. `clusters` has why each one is down: empty for one that is up, None for one
    that has not been polled. `note` is what is wrong with the source of all this, or what it leaves out.
    """

    jobs: Mapping[JobKey, Job] = {}
    done_at: Mapping[JobKey, float] = {}
    clusters: Mapping[str, str | None] = {}
    note: str = ""
    usual: Mapping[JobKey, float] = {}


def completed_job(job_id: str, database: str, collection: str, at: float, duration: float) -> Job:
    """Return a job that was completed at a time, so many seconds after it was first seen."""
    return Job(job_id, collection, JobState.COMPLETED, at - duration, at, at, database=database, progress=1.0)


def sort_key(item: tuple[JobKey, Job]) -> tuple[int, float, JobKey]:
    """Return the key of the order: problems first, latest first; then the jobs with the most progress."""
    key, job = item
    rank = _STALLED if job.stalled else _RANKS[job.state]
    return rank, -(job.finished_at or job.state_since) if rank <= _STALLED else -(job.progress or 0.0), key


def is_problem(job: Job) -> bool:
    """Return whether a job has failed, vanished or stalled."""
    return job.stalled or job.state in UNSUCCESSFUL


def is_shown(job: Job, now: float) -> bool:
    """Return whether a job has a line; a completed one only if it has just completed while it was watched."""
    if job.state is not JobState.COMPLETED:
        return True
    return job.first_seen < job.state_since and now - job.state_since < COMPLETED_SHOWN
