"""Clusters, jobs and transitions in the words of the API. Their fields are a contract: docs/http.md."""

from datetime import UTC, datetime

import msgspec

from monitor.fleet.index import ClusterIndex
from monitor.fleet.seen import Seen
from monitor.jobs import JobState, TrackedJob, classify, pace
from monitor.store import Recorded

_KEPT = 6
_MINUTE = 60.0


class ClusterView(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster that is watched."""

    name: str
    """Its name in the config, and the label `milvus_cluster`."""
    api: str
    """Which generation of the import API it speaks: v2, v1 or milvus-2.3."""
    url: str
    cluster_id: str
    """Its id on Zilliz Cloud; empty for others."""
    status: str
    """`up`, `down`, or `not_polled` before its first poll."""
    why: str
    """Why it is down; else empty."""
    last_success: datetime | None
    """When a poll last succeeded."""
    last_poll: datetime | None
    """When it was last polled, with success or without."""
    interval_seconds: float
    jobs: dict[str, int]
    """How many jobs the latest list has, by state; every state is there."""
    stalled: int
    """How many of them are stalled."""
    missing: int
    """How many unfinished ones the list leaves out without a verdict."""


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """An import job, as it was last seen."""

    cluster: str
    job_id: str
    database: str
    """Empty where the API does not say."""
    collection: str
    state: str
    raw_state: str
    """The server's own word where `state` is `unknown`; else empty."""
    progress: float | None
    """From 0 to 1; null where the API gives none."""
    imported_rows: int | None
    total_rows: int | None
    progress_per_minute: float | None
    """How much of the whole it gains in a minute at its recent pace; null where it has none."""
    rows_per_second: float | None
    """The same in rows, where the server says how many there are."""
    eta_seconds: float | None
    """Estimated time left; null while it would be a guess."""
    stalled: bool
    """Whether it has made no progress for longer than the limit of its state."""
    listed: bool
    """Whether the latest list has it."""
    missing_since: datetime | None
    reason: str
    """The server's text on a failure."""
    failure: str | None
    """The class of a failure."""
    first_seen: datetime
    state_since: datetime
    last_change: datetime
    """When its state changed or it last made progress."""
    created_at: datetime | None
    """When the server says it was created."""
    finished_at: datetime | None


class TransitionView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a job from a state to another."""

    id: str
    """Where it stands in the history. One that begins with `m` counts only until the monitor is restarted."""
    cluster: str
    job_id: str
    database: str
    collection: str
    from_state: str
    """`new` for a job first seen."""
    to_state: str
    at: datetime
    progress: float | None
    reason: str
    failure: str | None
    duration_seconds: float
    """From when the job was first seen."""
    unexpected: bool
    """Whether jobs do not normally take this step."""


def cluster_view(seen: Seen, index: ClusterIndex | None) -> ClusterView:
    """Return a cluster; nothing secret is in it."""
    cluster = seen.cluster
    return ClusterView(
        name=cluster.name,
        api=cluster.api,
        url=cluster.url,
        cluster_id=cluster.cluster_id,
        status=seen.status,
        why=seen.why,
        last_success=moment(seen.last_success),
        last_poll=moment(seen.last_poll),
        interval_seconds=cluster.interval,
        jobs={state.value: 0 if index is None else index.counts[state] for state in JobState},
        stalled=0 if index is None else index.stalled,
        missing=0 if index is None else index.missing,
    )


def job_view(cluster: str, tracked: TrackedJob, now: float) -> JobView:
    """Return a job, with its pace and time left as they are now."""
    job = tracked.job
    recent = pace(tracked, now)
    speed = None if recent is None else recent.per_second
    rows = job.total_rows
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
        rows_per_second=None if speed is None or not rows else _rounded(speed * rows),
        eta_seconds=None if recent is None else _rounded(recent.seconds_left(now)),
        stalled=tracked.stalled,
        listed=tracked.missing_since is None,
        missing_since=moment(tracked.missing_since),
        reason=job.reason,
        failure=classify(job.reason).value if job.state is JobState.FAILED else None,
        first_seen=moment_of(tracked.first_seen),
        state_since=moment_of(tracked.state_since),
        last_change=moment_of(tracked.last_change),
        created_at=moment(job.created_at),
        finished_at=moment(tracked.finished_at),
    )


def transition_view(one: Recorded) -> TransitionView:
    """Return a recorded transition."""
    step = one.transition
    return TransitionView(
        id=one.id,
        cluster=one.cluster,
        job_id=step.job_id,
        database=step.database,
        collection=step.collection,
        from_state="new" if step.from_state is None else step.from_state.value,
        to_state=step.to_state.value,
        at=moment_of(step.at),
        progress=_rounded(step.progress),
        reason=step.reason,
        failure=None if step.failure is None else step.failure.value,
        duration_seconds=round(step.duration, 3),
        unexpected=step.unexpected,
    )


def moment(seconds: float | None) -> datetime | None:
    """Return a time that may be unknown, in UTC."""
    return None if seconds is None else moment_of(seconds)


def moment_of(seconds: float) -> datetime:
    """Return a time in UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _KEPT)
