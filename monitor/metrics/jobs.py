"""The series of a cluster's jobs and collections, from its picture."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import inf
from typing import Final

from monitor.config import Cluster
from monitor.jobs import CollectionOutcome, JobState, Pace, Picture, Place, TrackedJob, classify, pace_of
from monitor.metrics.counts import Counts
from monitor.metrics.samples import INDEX, Budget, Columns, Line, Memo, Rendered, empty, encoded, labels, line

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: who wants no series of jobs still wants the sums."""

_JOB: Final = Columns(
    "job_state",
    "job_stalled",
    "job_failed",
    "job_first_seen_timestamp_seconds",
    "job_last_change_timestamp_seconds",
    "job_progress_ratio",
    "job_imported_rows",
    "job_total_rows",
)
_ETA: Final = INDEX["job_eta_seconds"]
_MOST_OF_A_JOB: Final = 9
_OUTCOME: Final = Columns("collection_last_finished_failed", "collection_last_completed_timestamp_seconds")
_LISTED: Final = Columns("jobs")
_FINISHED: Final = Columns("jobs_finished_total")


@dataclass(frozen=True, slots=True)
class JobTexts:
    """The text of a cluster's jobs and collections, by family.

    Attributes:
        present: What is true only while the cluster answers.
        lasting: What stays true: failures, and how imports ended.
        dropped: How many series were left out.
        until: Up to when this is the text of the same picture.
    """

    present: tuple[bytes, ...]
    lasting: tuple[bytes, ...]
    dropped: int
    until: float


def render_jobs(cluster: Cluster, picture: Picture, counts: Counts, now: float, memo: Memo) -> JobTexts:
    """Render the series of a picture's jobs and collections.

    Failures are shown first, then stalled jobs, then the oldest; of the collections, those whose latest import failed,
    then the other outcomes, then the counts.

    Args:
        cluster: Whose they are, and how many series of jobs there may be.
        picture: What is known.
        counts: What was counted of each collection.
        now: The time for what depends on it.
        memo: What was rendered before.
    """
    who = cluster.name
    present, lasting = empty(), empty()
    memo.begin()
    jobs = Budget(cluster.series_per_cluster)
    until = inf
    lost: list[Rendered] = []
    for at, tracked in _lately_lost(picture, now - cluster.failed_retention):
        until = min(until, at + cluster.failed_retention)
        job = memo.made(tracked.job.job_id, tracked, partial(_job, who))
        if jobs.takes(job.shown.series):
            lost.append(job.shown)
    running: list[Rendered] = []
    left: list[str] = []
    for tracked in _unfinished(picture, jobs.left):
        job = memo.made(tracked.job.job_id, tracked, partial(_job, who))
        seconds = None if job.pace is None else job.pace.seconds_left(now)
        if seconds is not None:
            until = now
        if jobs.takes(job.shown.series + (seconds is not None)):
            running.append(job.shown)
            if seconds is not None:
                left.append(f"{job.eta}{round(seconds, 1)}\n")
    _JOB.add(lost, lasting)
    _JOB.add(running, present)
    present[_ETA] = "".join(left)
    collections = Budget(max(cluster.series_per_cluster, COLLECTION_SERIES))

    def add(texts: list[str], columns: Columns, things: Iterable[Rendered]) -> None:
        columns.add([thing for thing in things if collections.takes(thing.series)], texts)

    outcomes = sorted(picture.outcomes.items(), key=lambda item: not item[1].last_failed)
    add(
        lasting, _OUTCOME, [memo.made(("ended", *place), one, partial(_outcome, who, place)) for place, one in outcomes]
    )
    listed = _counts(picture).items()
    add(present, _LISTED, [memo.made(("listed", *place), one, partial(_listed, who, place)) for place, one in listed])
    # Copies: the counters go on counting.
    finished = [((database, collection), dict(states)) for database, collection, states in counts.of_collections()]
    ended = [memo.made(("finished", *place), one, partial(_finished, who, place)) for place, one in finished]
    add(lasting, _FINISHED, ended)
    return JobTexts(encoded(present), encoded(lasting), jobs.dropped + collections.dropped, until)


def _lately_lost(picture: Picture, since: float) -> list[tuple[float, TrackedJob]]:
    """Return the jobs that failed or vanished since a time, and when; the latest first."""
    lost = [
        (tracked.finished_at, tracked)
        for tracked in picture.jobs.lost.values()
        if tracked.finished_at is not None and tracked.finished_at > since
    ]
    lost.sort(key=lambda pair: pair[0], reverse=True)
    return lost


def _unfinished(picture: Picture, series: int) -> Iterable[TrackedJob]:
    """Return the unfinished jobs: stalled ones first, then the oldest, where so many series will not do for all."""
    unfinished = list(picture.jobs.unfinished.values())
    if len(unfinished) * _MOST_OF_A_JOB > series:
        unfinished.sort(key=lambda tracked: (not tracked.stalled, tracked.first_seen, tracked.job.job_id))
    return unfinished


@dataclass(frozen=True, slots=True)
class _RenderedJob:
    """A job, rendered, but for the time left, which is another one at each moment.

    Attributes:
        shown: Its lines.
        eta: How the line of the time left begins.
        pace: What that is estimated by.
    """

    shown: Rendered
    eta: str
    pace: Pace | None


def _job(who: str, tracked: TrackedJob) -> _RenderedJob:
    job = tracked.job
    text = f"{_place_labels(who, (job.database, job.collection))},{labels(('job_id', job.job_id))}"
    state = f'{text},state="{job.state.value}"'
    if tracked.finished:
        lines = [line("job_state", state, 1)]
        if job.state is JobState.FAILED:
            lines.append(line("job_failed", f'{text},reason="{classify(job.reason).value}"', 1))
        return _RenderedJob(_JOB.texts(lines), "", None)
    lines = [
        line("job_state", state, 1),
        line("job_stalled", state, int(tracked.stalled)),
        line("job_first_seen_timestamp_seconds", text, tracked.first_seen),
        line("job_last_change_timestamp_seconds", text, tracked.last_change),
    ]
    optional = (
        ("job_progress_ratio", job.progress),
        ("job_imported_rows", job.imported_rows),
        ("job_total_rows", job.total_rows),
    )
    lines += [line(family, text, value) for family, value in optional if value is not None]
    return _RenderedJob(_JOB.texts(lines), f"milvus_import_job_eta_seconds{{{text}}} ", pace_of(tracked))


def _outcome(who: str, place: Place, outcome: CollectionOutcome) -> Rendered:
    text = _place_labels(who, place)
    lines = []
    if outcome.last_failed is not None:
        lines.append(line("collection_last_finished_failed", text, int(outcome.last_failed)))
    if outcome.last_completed_at is not None:
        lines.append(line("collection_last_completed_timestamp_seconds", text, outcome.last_completed_at))
    return _OUTCOME.texts(lines)


def _listed(who: str, place: Place, states: Mapping[str, int]) -> Rendered:
    return _LISTED.texts(_of_states("jobs", who, place, states))


def _finished(who: str, place: Place, states: Mapping[str, int]) -> Rendered:
    return _FINISHED.texts(_of_states("jobs_finished_total", who, place, states))


def _of_states(family: str, who: str, place: Place, states: Mapping[str, int]) -> list[Line]:
    text = _place_labels(who, place)
    return [line(family, f'{text},state="{state}"', count) for state, count in sorted(states.items())]


def _place_labels(who: str, place: Place) -> str:
    database, collection = place
    return labels(("milvus_cluster", who), ("database", database), ("collection", collection))


def _counts(picture: Picture) -> dict[tuple[str, str], dict[str, int]]:
    """Count the jobs of the latest list by collection and state."""
    flat = Counter(
        [
            (tracked.job.database, tracked.job.collection, tracked.job.state.value)
            for tracked in chain(picture.jobs.unfinished.values(), picture.jobs.lost.values())
            if tracked.missing_since is None
        ]
    )
    counts = {place: {JobState.COMPLETED.value: count} for place, count in picture.jobs.completed.places.items()}
    for (database, collection, state), count in flat.items():
        counts.setdefault((database, collection), {})[state] = count
    return counts
