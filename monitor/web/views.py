"""Clusters, jobs and transitions as the API and the pages show them. Their fields are a contract: docs/http.md."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import asdict

from monitor.client import ImportFile, commands
from monitor.jobs import Failure, Job, JobState, advise, current_pace, typical_duration
from monitor.store import RecordedTransition
from monitor.web.cluster_status import ClusterStatus

_DIGITS: Final = 6
_MINUTE: Final = 60.0


class ClusterView(msgspec.Struct, frozen=True, kw_only=True):
    """A watched cluster."""

    name: str
    api: str
    url: str
    cluster_id: str
    labels: dict[str, str]  # its own labels in the config
    discovery: str  # the discovery that has found it; empty if it is listed under `clusters` in the config
    source_name: str  # its name at the discovery's source, also if it was renamed there; empty if it was not found
    source_status: str  # its status in the words of the discovery's source, such as RUNNING; empty if it has none
    status: str  # `up`, `down`, `not_polled` before its first poll, `paused` or `removed` while it is not polled
    why: str
    last_success: datetime | None
    last_poll: datetime | None  # when it was last polled, successfully or not
    polled_by: str  # the monitor that polls it; empty where there is only one
    interval_seconds: float  # as now in force: shorter with unfinished jobs, longer while polls fail
    jobs: dict[str, int]
    """Jobs that are listed, unfinished, or recently failed or vanished, by state; every state is present."""
    stalled: int
    missing: int  # unfinished jobs that are missing from the list and not confirmed as deleted


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """An import job, as of the last poll."""

    cluster: str
    labels: dict[str, str]  # those of its cluster
    job_id: str
    database: str  # empty where the API does not report it
    collection: str
    state: JobState
    raw_state: str  # the server's own word where `state` is `unknown`; otherwise empty
    progress: float | None  # from 0 to 1; null where the API gives none
    imported_rows: int | None
    total_rows: int | None
    incomplete: bool  # whether it completed with no rows, or with far fewer or more than its total
    progress_per_minute: float | None  # progress per minute at its recent pace; null where that is unknown
    rows_per_second: float | None
    eta_seconds: float | None  # estimated time left; null while it is unknown
    typical_duration_seconds: float | None  # median of the last 20 completed imports of its collection; null below 5
    typical_duration_low_seconds: float | None  # half of these took between this time and the next one
    typical_duration_high_seconds: float | None
    stalled: bool  # whether it has made no progress for longer than the limit of its state
    listed: bool
    missing_since: datetime | None
    reason: str
    failure: Failure | None  # the failure reason as one of a fixed set of classes
    advice: str  # what to do about it; empty if nothing needs to be done
    first_seen: datetime
    state_since: datetime
    last_change: datetime
    created_at: datetime | None
    finished_at: datetime | None


class CommandView(msgspec.Struct, frozen=True, kw_only=True):
    """A command for people to paste into a shell; the monitor does not run it."""

    title: str
    command: str  # empty if the API of the cluster has no such request
    note: str  # what to know before it is run; may be empty


class JobDetails(JobView, frozen=True, kw_only=True):
    """An import job, and the commands with which people can act on it."""

    commands: list[CommandView]


class TransitionView(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a job from one state to another."""

    id: str  # position in the history; empty in the stream while the database is unavailable
    cluster: str
    labels: dict[str, str]  # those of its cluster; empty once the cluster has left the config
    job_id: str
    database: str
    collection: str
    from_state: str  # `new` for a job that is first seen
    to_state: JobState
    at: datetime
    progress: float | None
    reason: str
    failure: Failure | None
    duration_seconds: float
    unexpected: bool  # whether jobs do not normally take this step


class Clusters(msgspec.Struct, frozen=True, kw_only=True):
    """A page of clusters, by name."""

    clusters: list[ClusterView]
    next_cursor: str | None


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """A page of jobs, by cluster and id; not `complete` while the database is unavailable: without completed jobs."""

    jobs: list[JobView]
    next_cursor: str | None
    complete: bool


class Transitions(msgspec.Struct, frozen=True, kw_only=True):
    """A page of transitions, latest recorded first; not `complete` while the database is unavailable."""

    transitions: list[TransitionView]
    next_cursor: str | None
    complete: bool


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a request, and a hint what to do about it, which may be empty."""

    error: str
    hint: str


def cluster_view(status: ClusterStatus) -> ClusterView:
    """Return a cluster; it contains no secret."""
    cluster, counts = status.cluster, status.count_states()
    computed = {
        "name": cluster.name,
        "api": cluster.api,
        "url": cluster.url,
        "cluster_id": cluster.cluster_id,
        "labels": cluster.labels,
        "interval_seconds": cluster.interval if status.interval is None else status.interval,
        "jobs": {state.value: counts[state] for state in JobState},
        "stalled": sum(job.stalled for job in status.tracked.values()),
        "missing": sum(job.missing_since is not None and not job.finished for job in status.tracked.values()),
    }
    return msgspec.convert(asdict(status) | computed, ClusterView, strict=False)  # not strict: times are numbers


def job_view(cluster: str, job: Job, now: float, status: ClusterStatus | None) -> JobView:
    """Return a job with its pace and time left as of now, and how long the imports of its collection usually take.

    ``status`` is that of its cluster, None if it is not watched any more.
    """
    labels = {} if status is None else status.cluster.labels
    outcomes = {} if status is None else status.snapshot.outcomes
    typical = typical_duration(outcomes.get((job.database, job.collection)))
    pace = current_pace(job, now)
    speed = None if pace is None else pace.per_second
    computed = {
        "cluster": cluster,
        "labels": labels,
        "progress": _rounded(job.progress),
        "progress_per_minute": None if speed is None else _rounded(speed * _MINUTE),
        "rows_per_second": None if speed is None or not job.total_rows else _rounded(speed * job.total_rows),
        "eta_seconds": None if pace is None else _rounded(pace.seconds_left(now)),
        "typical_duration_seconds": None if typical is None else typical.median,
        "typical_duration_low_seconds": None if typical is None else typical.low,
        "typical_duration_high_seconds": None if typical is None else typical.high,
        "listed": job.missing_since is None,
        "advice": advise(job),
    }
    return msgspec.convert(asdict(job) | computed, JobView, strict=False)


def job_details(status: ClusterStatus, job: Job, now: float, files: Iterable[ImportFile] = ()) -> JobDetails:
    """Return a job with the commands with which people can act on it; they contain no secret."""
    view = job_view(status.cluster.name, job, now, status)
    views = [CommandView(**asdict(command)) for command in commands(status.cluster, job, [file.name for file in files])]
    return JobDetails(**asdict(view), commands=views)


def transition_view(recorded: RecordedTransition, labels: Mapping[str, str]) -> TransitionView:
    """Return a recorded transition with the labels of its cluster."""
    step = recorded.transition
    computed = {
        "id": recorded.id,
        "cluster": recorded.cluster,
        "labels": labels,
        "from_state": step.from_state or "new",
        "progress": _rounded(step.progress),
        "duration_seconds": _rounded(step.duration),
    }
    return msgspec.convert(asdict(step) | computed, TransitionView, strict=False)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
