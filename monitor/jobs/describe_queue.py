"""Selects the jobs that a poll describes, because the list lacks information about them."""

from typing import Final

from monitor.jobs.model import TERMINAL, Job, JobRecord, JobState, normalize_state
from monitor.jobs.snapshot import PollResult, Snapshot

HARMFUL_DESCRIBES: Final = 2
"""Describes in a row that cut the connection or timed out, after which a job is described more and more rarely."""

FIRST_PAUSE: Final = 60.0
"""Seconds until a job is described again after that; doubled each time."""

LONGEST_PAUSE: Final = 3600.0
"""Seconds until a job is described again, at most."""


def describe_queue(previous: Snapshot | None, result: PollResult, now: float, limit: int) -> list[str]:
    """Return the ids of at most `limit` jobs to describe in this poll, most urgent first.

    These are jobs that have failed without a reason, jobs that have just completed and whose rows are unknown,
    unfinished jobs whose list gives no progress (Zilliz Cloud), and unfinished jobs that are missing from the list.
    While the database cannot say which finished jobs are stored, untracked completed ones are not described: they can
    be all jobs of every cluster that was just taken over.

    Jobs that have just failed come first; then those that have waited longest. ``previous`` is None at a baseline.
    """
    tracked = (previous or Snapshot()).tracked
    waiting: list[tuple[bool, float, bool, str]] = []
    for job_id in {*result.new_ids, *tracked}:
        record = result.listing.records.get(job_id)
        job = tracked.get(job_id) or result.finished.get(job_id)
        if record is None:
            if job is not None and not job.finished:
                waiting.append((True, *_waiting_since(job, now), job_id))
            continue
        state = job.state if job is not None and job_id not in result.new_ids else normalize_state(record.state)
        if state is JobState.FAILED:
            if _lacks_reason(job, record):
                just_failed = previous is not None and (job is None or job.state is not JobState.FAILED)
                waiting.append((not just_failed, *_waiting_since(job, now), job_id))
        elif state is JobState.COMPLETED:
            may_be_stored = job is None and job_id in result.finished  # the database cannot say: it is asked again
            just_completed = not may_be_stored if job is None else job.state is not JobState.COMPLETED
            if previous is not None and just_completed and record.imported_rows is None:
                waiting.append((True, *_waiting_since(job, now), job_id))
        elif record.progress is None and state not in TERMINAL:
            waiting.append((True, *_waiting_since(job, now), job_id))
    waiting = [entry for entry in waiting if not _is_paused(tracked.get(entry[-1]), now)]
    waiting.sort()
    return [job_id for *_, job_id in waiting[:limit]]


def _is_paused(job: Job | None, now: float) -> bool:
    """Return whether describing a job does harm and has to wait: it makes some servers crash (Milvus issue 33671)."""
    if job is None or job.harmful_describes < HARMFUL_DESCRIBES:
        return False
    pause = min(FIRST_PAUSE * 2.0 ** min(job.harmful_describes - HARMFUL_DESCRIBES, 10), LONGEST_PAUSE)
    return now < (job.describe_sent_at or 0.0) + pause


def _lacks_reason(job: Job | None, record: JobRecord) -> bool:
    """Return whether a failed job's reason is unknown and no describe has succeeded since it failed."""
    if record.reason:
        return False
    if job is None or job.state is not JobState.FAILED:
        return True
    return not job.reason and (job.described_at is None or job.described_at < job.state_since)


def _waiting_since(job: Job | None, now: float) -> tuple[float, bool]:
    """Return since when a job has waited for a describe, and whether it has had one before."""
    if job is None:
        return now, False
    if job.describe_sent_at is not None:
        return job.describe_sent_at, True
    return (job.state_since if job.missing_since is None else job.missing_since), False
