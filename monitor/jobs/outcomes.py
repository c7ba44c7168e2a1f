"""How the latest import of each collection ended."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from monitor.jobs.failures import Failure
from monitor.jobs.model import CollectionKey, CollectionOutcome, Job, JobState, Transition
from monitor.jobs.snapshot import Snapshot

OUTCOMES_LIMIT: Final = 10_000
"""Collections of one cluster whose outcome is remembered; those that ended longest ago go first."""

_ENDED: Final = (JobState.COMPLETED, JobState.FAILED)

DECISIONS: Final = {Failure.ABORTED, Failure.COLLECTION_DROPPED}
"""Failures that somebody has decided."""


def update_outcomes(
    previous: Snapshot | None,
    jobs: Iterable[Job],
    transitions: Iterable[Transition],
    now: float,
    found: Iterable[Job] = (),
) -> Mapping[CollectionKey, CollectionOutcome]:
    """Return the outcomes by collection after a poll that changed these jobs, all of them at a baseline.

    A baseline (``previous`` is None) shows them as far as the order of its finished jobs can be known; each later poll
    adds the jobs that have just ended. Where several end in one poll and their order cannot be known, a failure counts
    as the latest: a failed import must not hide. The databases of the jobs in ``found`` were found in this poll: those
    that ended before count as if they had been known then.
    """
    if previous is None:
        ended = [job for job in jobs if job.state in _ENDED]
    else:
        ids = {step.job_id for step in transitions if step.to_state in _ENDED}
        ended = [job for job in jobs if job.job_id in ids] if ids else []
        found = [job for job in found if job.state in _ENDED and job.job_id not in ids]
        ended += [_with_end(job) for job in found if not _ended_before(job, previous)]
    if not ended and previous is not None and not found:
        return previous.outcomes
    outcomes = {} if previous is None else dict(previous.outcomes)
    if previous is not None:
        for key, group in _by_collection(job for job in found if _ended_before(job, previous)).items():
            if key not in outcomes:  # whatever has ended since is later
                outcomes[key] = _updated(CollectionOutcome(), group, now, live=False)
    for key, group in _by_collection(ended).items():
        outcome = outcomes.pop(key, CollectionOutcome())  # to the end: the order is that of the latest change
        outcomes[key] = _updated(outcome, group, now, live=previous is not None)
    for key in list(outcomes)[:-OUTCOMES_LIMIT]:
        del outcomes[key]
    return outcomes


def with_databases(jobs: Iterable[Job]) -> list[Job]:
    """Return the jobs that may decide an outcome where jobs of unknown databases can be of different collections.

    A completed one of an unknown database may not: it proves nothing about the import that failed before it.
    """
    return [job for job in jobs if job.database or job.state is not JobState.COMPLETED]


def _ended_before(job: Job, previous: Snapshot) -> bool:
    """Return whether a job had ended before the baseline, at a time that is not known."""
    return job.completed_at is None and job.finished_at is not None and job.finished_at == previous.baseline_at


def _with_end(job: Job) -> Job:
    return job if job.completed_at is not None else replace(job, completed_at=job.finished_at)


def _by_collection(jobs: Iterable[Job]) -> Mapping[CollectionKey, list[Job]]:
    groups: dict[CollectionKey, list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.database, job.collection].append(job)
    return groups


def _updated(previous: CollectionOutcome, jobs: list[Job], now: float, *, live: bool) -> CollectionOutcome:
    """Return a collection's outcome once these jobs have ended; one that ended before the latest changes nothing."""
    ended = {job.job_id: _ended_at(job, now, live=live) for job in jobs}
    completed = [ended[job.job_id] for job in jobs if job.state is JobState.COMPLETED]
    last_completed_at = max((at for at in (*completed, previous.last_completed_at) if at is not None), default=None)
    last = previous.last_finished_at
    newer = [job for job in jobs if last is None or (ended[job.job_id] or now) >= last]
    if not newer:
        return replace(previous, last_completed_at=last_completed_at)
    failed = _latest_failed(newer, now)
    if failed is None and live:
        failed = True
    return replace(
        previous,
        last_failed=failed,
        last_completed_at=last_completed_at,
        last_finished_at=max((at for job in newer if (at := ended[job.job_id]) is not None), default=last),
        last_aborted=failed is True and _is_aborted(previous, newer),
        failures_in_a_row=_failures_in_a_row(previous.failures_in_a_row, newer, now),
    )


def _failures_in_a_row(before: int, newer: list[Job], now: float) -> int:
    """Return how many imports have failed since one last completed; where the order is unknown, failures were last."""
    order = _order(newer, now) or [int(job.state is JobState.FAILED) for job in newer]
    failures = before
    for _, job in sorted(zip(order, newer, strict=True), key=lambda entry: entry[0]):
        if job.state is JobState.COMPLETED:
            failures = 0
        elif job.failure not in DECISIONS:
            failures += 1
    return failures


def _is_aborted(previous: CollectionOutcome, newer: list[Job]) -> bool:
    """Return whether the failure of a collection's latest import was somebody's decision and hides no other failure."""
    failures = {job.failure for job in newer if job.state is JobState.FAILED}
    if not failures <= DECISIONS:
        return False
    if Failure.COLLECTION_DROPPED in failures or any(job.state is JobState.COMPLETED for job in newer):
        return True  # whatever failed before: the collection that lacks the data is gone, or has been filled since
    return not previous.last_failed or previous.last_aborted


def _ended_at(job: Job, now: float, *, live: bool) -> float | None:
    """Return when a job ended: the server's word where it gives one, else now if we saw it happen."""
    if job.completed_at is not None and 0 < job.completed_at <= now:
        return job.completed_at
    return now if live else None


def _latest_failed(jobs: list[Job], now: float) -> bool | None:
    """Return whether the latest of some ended jobs failed, or None where their order cannot be known."""
    states = {job.state for job in jobs}
    if len(states) == 1:
        return states == {JobState.FAILED}
    order = _order(jobs, now)
    if order is None:
        return None
    newest = max(order)
    latest = {job.state for job, at in zip(jobs, order, strict=True) if at == newest}
    return latest == {JobState.FAILED} if len(latest) == 1 else None


def _order(jobs: list[Job], now: float) -> list[float] | list[int] | None:
    """Return a sort key for each job: time of completion, of creation, or the id, which Milvus allocates in order."""
    completed = [job.completed_at for job in jobs if job.completed_at is not None and job.completed_at <= now]
    if len(completed) == len(jobs):
        return completed
    if all(job.job_id.isascii() and job.job_id.isdigit() for job in jobs):
        return [int(job.job_id) for job in jobs]
    created = [job.created_at for job in jobs if job.created_at is not None]
    return created if len(created) == len(jobs) else None
