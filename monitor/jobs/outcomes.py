"""How the latest import of each collection ended."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from monitor.jobs.model import CollectionOutcome, Job, JobState, Picture, TrackedJob, Transition

OUTCOMES_LIMIT: Final = 10_000
"""Collections of one cluster whose outcome is remembered; those that ended longest ago go first."""

_ENDED: Final = (JobState.COMPLETED, JobState.FAILED)


def updated_outcomes(
    previous: Picture | None,
    jobs: Iterable[TrackedJob],
    transitions: Iterable[Transition],
    now: float,
) -> Mapping[tuple[str, str], CollectionOutcome]:
    """Return the outcomes by (database, collection) after a poll.

    Args:
        previous: The previous picture, None for a baseline.
        jobs: All jobs of the new picture.
        transitions: What happened in this poll.
        now: When the poll was made.

    Returns:
        For a baseline, what the list shows, as far as the order of its finished jobs can be known; afterwards the
        previous outcomes with every job that has just ended. The same mapping where none has. Where several end in
        one poll and their order cannot be known, a failure counts as the latest: a failed import must not hide.
    """
    if previous is None:
        ended = [tracked.job for tracked in jobs if tracked.job.state in _ENDED]
    else:
        ids = {step.job_id for step in transitions if step.to_state in _ENDED}
        ended = [tracked.job for tracked in jobs if tracked.job.job_id in ids] if ids else []
    if not ended and previous is not None:
        return previous.outcomes
    outcomes = {} if previous is None else dict(previous.outcomes)
    for key, group in _by_collection(ended).items():
        was = outcomes.pop(key, CollectionOutcome())
        failed = _latest_failed(group)
        completed = [_completed_at(job, now, live=previous is not None) for job in group if _completed(job)]
        times = [at for at in (*completed, was.last_completed_at) if at is not None]
        outcomes[key] = CollectionOutcome(
            last_failed=failed if failed is not None or previous is None else True,
            last_completed_at=max(times, default=None),
        )
    surplus = list(outcomes)[: max(0, len(outcomes) - OUTCOMES_LIMIT)]
    for key in surplus:
        del outcomes[key]
    return outcomes


def _by_collection(jobs: Iterable[Job]) -> Mapping[tuple[str, str], list[Job]]:
    groups: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.database, job.collection].append(job)
    return groups


def _completed(job: Job) -> bool:
    return job.state is JobState.COMPLETED


def _completed_at(job: Job, now: float, *, live: bool) -> float | None:
    """When a job completed: the server's word where it gives one, else now if we saw it happen."""
    if job.completed_at is not None and 0 < job.completed_at <= now:
        return job.completed_at
    return now if live else None


def _latest_failed(jobs: list[Job]) -> bool | None:
    """Say whether the latest of some ended jobs failed, or None where their order cannot be known."""
    states = {job.state for job in jobs}
    if len(states) == 1:
        return states == {JobState.FAILED}
    order = _order(jobs)
    if order is None:
        return None
    newest = max(order)
    latest = {job.state for job, at in zip(jobs, order, strict=True) if at == newest}
    return latest == {JobState.FAILED} if len(latest) == 1 else None


def _order(jobs: list[Job]) -> list[float] | list[int] | None:
    """Return a sort key for each job: time of completion, of creation, or the id, which Milvus allocates in order."""
    completed = [job.completed_at for job in jobs if job.completed_at is not None]
    if len(completed) == len(jobs):
        return completed
    if all(job.job_id.isascii() and job.job_id.isdigit() for job in jobs):
        return [int(job.job_id) for job in jobs]
    created = [job.created_at for job in jobs if job.created_at is not None]
    return created if len(created) == len(jobs) else None
