"""Clusters, jobs and transitions as the API and the pages show them. Their fields are a contract: docs/http.md."""

from datetime import UTC, datetime
from typing import Final

import msgspec

from monitor.jobs import Job, JobState, current_pace
from monitor.store import RecordedTransition
from monitor.web.overview import ClusterStatus

_DIGITS: Final = 6
_MINUTE: Final = 60.0


class ClusterView(msgspec.Struct, frozen=True, kw_only=True):
    """A watched cluster."""

    name: str
    api: str
    url: str
    cluster_id: str
    status: str
    """`up`, `down`, or `not_polled` before its first poll."""
    why: str
    last_success: datetime | None
    last_poll: datetime | None
    """When it was last polled, successfully or not."""
    interval_seconds: float
    jobs: dict[str, int]
    """Jobs that are listed, unfinished, or recently failed or vanished, by state; every state is present."""
    stalled: int
    missing: int
    """Unfinished jobs that the list is without, while the server has not said what became of them."""


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """An import job, as of the last poll."""

    cluster: str
    job_id: str
    database: str
    """Empty where the API does not report it."""
    collection: str
    state: str
    raw_state: str
    """The server's own word where `state` is `unknown`; otherwise empty."""
    progress: float | None
    """From 0 to 1; null where the API gives none."""
    imported_rows: int | None
    total_rows: int | None
    progress_per_minute: float | None
    """Progress per minute at its recent pace; null where that is unknown."""
    rows_per_second: float | None
    eta_seconds: float | None
    """Estimated time left; null while it is unknown."""
    stalled: bool
    """Whether it has made no progress for longer than the limit of its state."""
    listed: bool
    missing_since: datetime | None
    reason: str
    failure: str | None
    """The failure reason as one of a fixed set of classes."""
    first_seen: datetime
    state_since: datetime
    last_change: datetime
    created_at: datetime | None
    finished_at: datetime | None


class TransitionView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a job from one state to another."""

    id: str
    """Position in the history; empty in the stream while the database is unavailable."""
    cluster: str
    job_id: str
    database: str
    collection: str
    from_state: str
    to_state: str
    at: datetime
    progress: float | None
    reason: str
    failure: str | None
    duration_seconds: float
    unexpected: bool
    """Whether jobs do not normally take this step."""


def cluster_view(status: ClusterStatus) -> ClusterView:
    """Return a cluster; it contains no secret."""
    cluster, counts = status.cluster, status.count_states()
    return ClusterView(
        name=cluster.name,
        api=cluster.api,
        url=cluster.url,
        cluster_id=cluster.cluster_id,
        status=status.status,
        why=status.why,
        last_success=optional_time(status.last_success),
        last_poll=optional_time(status.last_poll),
        interval_seconds=cluster.interval,
        jobs={state.value: counts[state] for state in JobState},
        stalled=sum(job.stalled for job in status.tracked),
        missing=sum(job.missing_since is not None and not job.finished for job in status.tracked),
    )


def job_view(cluster: str, job: Job, now: float) -> JobView:
    """Return a job, with its pace and time left as of now."""
    pace = current_pace(job, now)
    speed = None if pace is None else pace.per_second
    return JobView(
        cluster=cluster,
        job_id=job.job_id,
        database=job.database,
        collection=job.collection,
        state=job.state.value,
        raw_state=job.raw_state,
        progress=_rounded(job.progress),
        imported_rows=job.imported_rows,
        total_rows=job.total_rows,
        progress_per_minute=None if speed is None else _rounded(speed * _MINUTE),
        rows_per_second=None if speed is None or not job.total_rows else _rounded(speed * job.total_rows),
        eta_seconds=None if pace is None else _rounded(pace.seconds_left(now)),
        stalled=job.stalled,
        listed=job.missing_since is None,
        missing_since=optional_time(job.missing_since),
        reason=job.reason,
        failure=None if job.failure is None else job.failure.value,
        first_seen=utc_time(job.first_seen),
        state_since=utc_time(job.state_since),
        last_change=utc_time(job.last_change),
        created_at=optional_time(job.created_at),
        finished_at=optional_time(job.finished_at),
    )


def transition_view(recorded: RecordedTransition) -> TransitionView:
    """Return a recorded transition."""
    step = recorded.transition
    return TransitionView(
        id=recorded.id,
        cluster=recorded.cluster,
        job_id=step.job_id,
        database=step.database,
        collection=step.collection,
        from_state="new" if step.from_state is None else step.from_state.value,
        to_state=step.to_state.value,
        at=utc_time(step.at),
        progress=_rounded(step.progress),
        reason=step.reason,
        failure=None if step.failure is None else step.failure.value,
        duration_seconds=round(step.duration, 3),
        unexpected=step.unexpected,
    )


def optional_time(seconds: float | None) -> datetime | None:
    """Return a time that may be unknown, in UTC."""
    return None if seconds is None else utc_time(seconds)


def utc_time(seconds: float) -> datetime:
    """Return seconds since the epoch as a time in UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
