"""Follows one job from poll to poll."""

from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from monitor.jobs.eta import Samples, add_sample
from monitor.jobs.failures import Failure, classify
from monitor.jobs.model import TERMINAL, Job, JobRecord, JobState, Policy, normalize_state
from monitor.jobs.stalls import is_stalled_when_listed

_STEADY_RISES: Final = 2
"""Rises in a row after a fall that make progress of it."""

ROWS_TOLERANCE: Final = 0.01
"""Share of a completed job's total by which its imported rows may differ from it."""

_YEAR_10000: Final = 253_402_300_800.0


def first_seen(record: JobRecord, now: float) -> Job:
    """Return a job that is seen for the first time."""
    state = normalize_state(record.state)
    progress = 1.0 if state is JobState.COMPLETED else _ratio(record.progress)
    completed_at = parse_time(record.complete_time)
    return Job(
        job_id=record.job_id,
        collection=record.collection,
        state=state,
        first_seen=now,
        state_since=now,
        last_change=now,
        database=record.database,
        progress=progress,
        reason=record.reason,
        failure=classify(record.reason) if state is JobState.FAILED else None,
        raw_state=record.state if state is JobState.UNKNOWN else "",
        imported_rows=record.imported_rows,
        total_rows=record.total_rows,
        incomplete=_is_incomplete(state, record.imported_rows, record.total_rows),
        created_at=parse_time(record.create_time),
        completed_at=completed_at,
        peak_progress=progress or 0.0,
        peak_rows=record.imported_rows or 0,
        finished_at=_end_by_server(completed_at, now) if state in TERMINAL else None,
        samples=add_sample((), state, progress, now),
    )


def follow(job: Job, record: JobRecord, now: float, policy: Policy, missing_since: float | None = None) -> Job:
    """Return a job updated by a record; what the record lacks stays as it was.

    A failed job reports progress 0, which is no step back. The first reason of a failure decides its class.
    """
    state = normalize_state(record.state) if record.state else job.state
    changed = state is not job.state
    progress = job.progress if record.progress is None or state is JobState.FAILED else _ratio(record.progress)
    if state is JobState.COMPLETED:
        progress = 1.0
    reason = record.reason if changed else record.reason or job.reason
    completed_at = parse_time(record.complete_time)
    if completed_at is None and not changed:
        completed_at = job.completed_at
    rows = job.imported_rows if record.imported_rows is None else record.imported_rows
    total_rows = job.total_rows if record.total_rows is None else record.total_rows
    samples = add_sample(() if changed else job.samples, state, progress, now)
    retried = not changed and (job.retried or _rises_after_a_fall(job, samples))
    further = changed or (progress or 0.0) > job.peak_progress or retried is not job.retried
    more_rows = changed or (rows or 0) > job.peak_rows
    moved = further or more_rows
    return replace(
        job,
        collection=record.collection or job.collection,
        state=state,
        state_since=now if changed else job.state_since,
        last_change=now if moved else job.last_change,
        database=record.database or job.database,
        progress=progress,
        reason=reason,
        failure=_failure(job, state, reason),
        raw_state=(record.state or job.raw_state) if state is JobState.UNKNOWN else "",
        imported_rows=rows,
        total_rows=total_rows,
        incomplete=_is_incomplete(state, record.imported_rows, total_rows) or (job.incomplete and not changed),
        created_at=parse_time(record.create_time) or job.created_at,
        completed_at=completed_at,
        peak_progress=(progress or 0.0) if further else job.peak_progress,
        peak_rows=(rows or 0) if more_rows else job.peak_rows,
        retried=retried,
        finished_at=_finished_at(job, completed_at, now, changed=changed) if state in TERMINAL else None,
        stalled=False if moved else is_stalled_when_listed(job, record, now, policy),
        missing_since=missing_since,
        samples=samples,
    )


def vanish(job: Job, now: float, missing_since: float) -> Job:
    """Return a job that no longer exists, as the server reported."""
    return replace(
        job,
        state=JobState.VANISHED,
        state_since=now,
        last_change=now,
        finished_at=now,
        stalled=False,
        missing_since=missing_since,
        samples=(),
    )


def merge(listed: JobRecord, described: JobRecord) -> JobRecord:
    """Return a listed record completed by a described one.

    The list's state counts, because the next list is compared with it: the two can disagree for a moment, and taking
    now one and now the other would report steps that no job took.
    """
    use_described = (
        normalize_state(listed.state) is JobState.UNKNOWN and normalize_state(described.state) is not JobState.UNKNOWN
    )
    return replace(
        listed,
        state=described.state if use_described else listed.state,
        collection=listed.collection or described.collection,
        progress=listed.progress if described.progress is None else described.progress,
        reason=described.reason or listed.reason,
        database=listed.database or described.database,
        imported_rows=listed.imported_rows if described.imported_rows is None else described.imported_rows,
        total_rows=listed.total_rows if described.total_rows is None else described.total_rows,
        create_time=described.create_time or listed.create_time,
        complete_time=described.complete_time or listed.complete_time,
    )


def parse_time(text: str) -> float | None:
    """Return seconds since the epoch from ISO 8601 or from seconds, None where the text is neither.

    Go writes "no time" as the year 1; a time after the year 9999 cannot be shown.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
            seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            return None
    return seconds if 0 < seconds < _YEAR_10000 else None


def _rises_after_a_fall(job: Job, samples: Samples) -> bool:
    """Return whether progress that had fallen has risen twice since: the server retries the import on another node.

    It counts once in a state, so that a crash loop is still a stall.
    """
    return len(samples) > _STEADY_RISES and samples is not job.samples and samples[-1][1] < job.peak_progress


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100.0


def _is_incomplete(state: JobState, rows: int | None, total_rows: int | None) -> bool:
    """Return whether a completed job lacks rows (Milvus issues 16682, 39885, 43387); not where none are reported."""
    if state is not JobState.COMPLETED or rows is None:
        return False
    return rows == 0 or (total_rows is not None and abs(rows - total_rows) > ROWS_TOLERANCE * total_rows)


def _failure(job: Job, state: JobState, reason: str) -> Failure | None:
    if state is not JobState.FAILED:
        return None
    if job.state is JobState.FAILED and job.reason:
        return job.failure
    return classify(reason)


def _end_by_server(completed_at: float | None, now: float) -> float:
    """Return when a job ended that was first seen finished: by the server's word, where that is in the past."""
    return completed_at if completed_at is not None and completed_at <= now else now


def _finished_at(job: Job, completed_at: float | None, now: float, *, changed: bool) -> float | None:
    if changed:
        return now
    if job.first_seen == job.state_since and job.completed_at is None and completed_at is not None:
        return min(_end_by_server(completed_at, now), job.finished_at or now)
    return job.finished_at
