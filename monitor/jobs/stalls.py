"""Decides when a job without progress counts as stalled; the limit depends on its state."""

from monitor.jobs.model import TERMINAL, WAITING, Job, JobRecord, JobState, Policy


def stall_limit(state: JobState, policy: Policy) -> float:
    """Return the seconds without progress after which a job in an unfinished state counts as stalled."""
    if state is JobState.PENDING:
        return policy.pending_after
    if state is JobState.UNCOMMITTED:
        return policy.uncommitted_after
    return policy.stall_after


def is_stalled(job: Job, now: float, policy: Policy) -> bool:
    """Return whether a job has made no progress for longer than the limit of its state; a finished job never is.

    Call it only if the server has just reported what could have shown progress, or has not responded for as long: no
    response is no proof.
    """
    limit = stall_limit(job.state, policy)
    if job.state in TERMINAL or now - job.last_change <= limit:
        return False
    stepped = sum(step.seconds for step in policy.clock_steps if step.at > job.last_change)
    return now - job.last_change - stepped > limit


def is_stalled_when_listed(job: Job, record: JobRecord, now: float, policy: Policy) -> bool:
    """Return whether a job that has not moved is stalled; a record that cannot show progress proves nothing."""
    can_show_progress = record.progress is not None or record.imported_rows is not None or job.state in WAITING
    return is_stalled(job, now, policy) if can_show_progress else job.stalled and job.state not in TERMINAL


def is_stalled_in_silence(previous: Job, job: Job, now: float, policy: Policy) -> bool:
    """Return whether a job that only describes report on counts as stalled: two of them failed in a row."""
    unanswered = job.describe_sent_at == now and job.described_at != now
    sent, answered = previous.describe_sent_at, previous.described_at
    unanswered_before = sent is not None and (answered is None or answered < sent)
    return job.stalled or (unanswered and unanswered_before and is_stalled(job, now, policy))


def is_stalled_while_missing(job: Job, missing_since: float, now: float, policy: Policy) -> bool:
    """Return whether a job that is missing from the list, and has not vanished, counts as stalled."""
    return job.stalled or (is_stalled(job, now, policy) and now - missing_since > stall_limit(job.state, policy))
