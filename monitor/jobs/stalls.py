"""When a job that makes no progress counts as stalled: the limit depends on its state."""

from monitor.jobs.model import TERMINAL, Job, JobState, Policy


def stall_limit(state: JobState, policy: Policy) -> float:
    """Return the seconds without progress after which a job in an unfinished state counts as stalled."""
    if state is JobState.PENDING:
        return policy.pending_after
    if state is JobState.UNCOMMITTED:
        return policy.uncommitted_after
    return policy.stall_after


def is_stalled(job: Job, now: float, policy: Policy) -> bool:
    """Say whether a job has made no progress for longer than the limit of its state; a finished job never is.

    Flat is not always stuck and silence is no proof: ask this only when the server has just answered something that
    could have shown progress, or has been asked and has not answered for as long.
    """
    return job.state not in TERMINAL and now - job.last_change > stall_limit(job.state, policy)


def is_stalled_in_silence(previous: Job, job: Job, now: float, policy: Policy) -> bool:
    """Say whether a job that only a describe can report on counts as stalled: two describes in a row had no answer."""
    unanswered = job.describe_sent_at == now and job.described_at != now
    sent, answered = previous.describe_sent_at, previous.described_at
    unanswered_before = sent is not None and (answered is None or answered < sent)
    return job.stalled or (unanswered and unanswered_before and is_stalled(job, now, policy))


def is_stalled_while_missing(job: Job, missing_since: float, now: float, policy: Policy) -> bool:
    """Say whether a job that the list is without, and of which there is no verdict, counts as stalled."""
    return job.stalled or (is_stalled(job, now, policy) and now - missing_since > stall_limit(job.state, policy))
