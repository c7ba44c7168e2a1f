"""The transitions of a poll: which steps of jobs are reported, and which of these are unexpected."""

from collections.abc import Iterable
from typing import Final

from monitor.jobs.model import STATE_ORDER, TERMINAL, Job, JobPair, JobState, Transition
from monitor.jobs.snapshot import PollResult, Snapshot

CLOCK_SKEW: Final = 60.0
"""Seconds by which the server's clock may be behind ours before what has just happened looks old."""


def reported_changes(previous: Snapshot | None, changes: Iterable[JobPair], result: PollResult) -> list[JobPair]:
    """Return the changes that may be reported: none of a baseline, and no job that may have finished before."""
    if previous is None:
        return []
    unconfirmed = {job_id for job_id, job in result.finished.items() if job is None}
    return [(old, job) for old, job in changes if old is not None or not job.finished or job.job_id not in unconfirmed]


def find_transitions(changes: Iterable[JobPair], baseline_at: float | None, now: float) -> tuple[Transition, ...]:
    """Return the steps from state to state among reported changes."""
    return tuple(
        _transition(old, job, now)
        for old, job in changes
        if (old is None or old.state is not job.state) and _is_news(old, job, baseline_at)
    )


def _is_news(old: Job | None, job: Job, baseline_at: float | None) -> bool:
    """Return whether a step is to be reported: not if the job ended before the baseline and was listed late."""
    if old is not None or not job.finished or job.completed_at is None or baseline_at is None:
        return True
    return job.completed_at >= baseline_at - CLOCK_SKEW


def _transition(old: Job | None, job: Job, now: float) -> Transition:
    from_state = None if old is None else old.state
    return Transition(
        job_id=job.job_id,
        database=job.database,
        collection=job.collection,
        from_state=from_state,
        to_state=job.state,
        at=now,
        progress=job.progress,
        reason=job.reason,
        failure=job.failure,
        duration=max(0.0, now - job.first_seen),
        unexpected=from_state is not None and _is_unexpected(from_state, job.state),
    )


def _is_unexpected(from_state: JobState, to_state: JobState) -> bool:
    """Return whether jobs do not normally take a step: out of a terminal state, or backwards."""
    last = len(STATE_ORDER)
    return from_state in TERMINAL or STATE_ORDER.get(to_state, last) < STATE_ORDER.get(from_state, 0)
