"""One job from poll to poll: what is known of it once a poll has seen it again, or has not."""

from typing import Any

from msgspec.structs import replace

from monitor.jobs.estimate import with_sample
from monitor.jobs.model import COMPLETED, FAILED, TERMINAL, WAITING, Job, JobState, TrackedJob
from monitor.jobs.observation import Observation
from monitor.jobs.stalls import StallLimits, is_stalled


def first_seen(job: Job, now: float) -> TrackedJob:
    """Return a job of which nothing was known."""
    return TrackedJob(
        job=_settled(job),
        first_seen=now,
        state_since=now,
        last_change=now,
        peak_progress=job.progress or 0.0,
        peak_rows=job.imported_rows or 0,
        finished_at=_ended(job, now) if job.state in TERMINAL else None,
        samples=with_sample((), job, now),
    )


def followed(was: TrackedJob, told: Job, now: float, limits: StallLimits, missing_since: float | None) -> TrackedJob:
    """Return the job as it is now; the very same object where the answer says nothing new."""
    job = _kept(was.job, told)
    ended = job.state in TERMINAL
    if ended and was.missing_since == missing_since and job == was.job:
        return was
    changed = job.state is not was.job.state
    progress, rows = job.progress or 0.0, job.imported_rows or 0
    further, more = changed or progress > was.peak_progress, changed or rows > was.peak_rows
    moved, stalled = further or more, was.stalled
    if moved:
        stalled = False
    elif _says_how_far(told):
        stalled = is_stalled(was, now, limits)
    after = TrackedJob(
        job=job,
        first_seen=was.first_seen,
        state_since=now if changed else was.state_since,
        last_change=now if moved else was.last_change,
        peak_progress=progress if further else was.peak_progress,
        peak_rows=rows if more else was.peak_rows,
        finished_at=_finished_at(was, job, now, changed=changed) if ended else None,
        stalled=stalled,
        missing_since=missing_since,
        asked_at=was.asked_at,
        answered_at=was.answered_at,
        samples=with_sample(() if changed else was.samples, job, now),
    )
    return after if moved or after != was else was


def vanished(was: TrackedJob, now: float, missing_since: float) -> TrackedJob:
    """Return a job of which the server said that it does not exist."""
    return replace(
        was,
        job=replace(was.job, state=JobState.VANISHED),
        state_since=now,
        last_change=now,
        finished_at=now,
        stalled=False,
        missing_since=missing_since,
        asked_at=now,
        answered_at=now,
        samples=(),
    )


def noted(job: TrackedJob, seen: Observation, now: float) -> TrackedJob:
    """Note when the server was asked about a job, and when it answered."""
    job_id = job.job.job_id
    if job_id not in seen.asked:
        return job
    return replace(job, asked_at=now, answered_at=now if job_id in seen.answered else job.answered_at)


def stalled_in_silence(was: TrackedJob, after: TrackedJob, now: float, limits: StallLimits) -> TrackedJob:
    """Return a job as stalled that only a describe could tell of, where two in a row were not answered."""
    asked_in_vain = after.asked_at == now and after.answered_at != now
    again = was.asked_at is not None and (was.answered_at is None or was.answered_at < was.asked_at)
    if asked_in_vain and again and not after.stalled and is_stalled(after, now, limits):
        return replace(after, stalled=True)
    return after


def _says_how_far(told: Job) -> bool:
    """Say whether an answer could have shown progress, had there been some."""
    return told.progress is not None or told.imported_rows is not None or told.state in WAITING


def _kept(was: Job, told: Job) -> Job:
    """Fill what an answer leaves out with what is known from earlier ones; where that is nothing, return the answer."""
    known: dict[str, Any] = {}
    if (told.progress is None or told.state is FAILED) and told.progress != was.progress:
        known["progress"] = was.progress
    if was.collection and not told.collection:
        known["collection"] = was.collection
    if was.database and not told.database:
        known["database"] = was.database
    if was.imported_rows is not None and told.imported_rows is None:
        known["imported_rows"] = was.imported_rows
    if was.total_rows is not None and told.total_rows is None:
        known["total_rows"] = was.total_rows
    if was.created_at is not None and told.created_at is None:
        known["created_at"] = was.created_at
    if told.state is was.state:
        if was.reason and not told.reason:
            known["reason"] = was.reason
        if was.completed_at is not None and told.completed_at is None:
            known["completed_at"] = was.completed_at
    return _settled(replace(told, **known) if known else told)


def _settled(job: Job) -> Job:
    """A completed job is complete, whatever its answer says or leaves out."""
    return replace(job, progress=1.0) if job.progress != 1.0 and job.state is COMPLETED else job


def _ended(job: Job, now: float) -> float:
    """When a job that was first seen finished did finish: the server's word, where it makes sense."""
    at = job.completed_at
    return at if at is not None and 0 < at <= now else now


def _finished_at(was: TrackedJob, job: Job, now: float, *, changed: bool) -> float | None:
    """Return when a job finished that has."""
    if changed:
        return now
    if was.first_seen == was.state_since and was.job.completed_at is None and job.completed_at is not None:
        return min(_ended(job, now), was.finished_at or now)
    return was.finished_at
