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
from monitor.metrics.samples import INDEX, Budget, Columns, Memo, Rendered, by_family, joined, labels, line

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: who wants no series of jobs still wants the sums."""

_RUNNING: Final = Columns(
    "job_state",
    "job_stalled",
    "job_first_seen_timestamp_seconds",
    "job_last_change_timestamp_seconds",
    "job_progress_ratio",
    "job_imported_rows",
    "job_total_rows",
)
_LOST: Final = Columns("job_state", "job_failed")
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
    memo.begin()
    render = partial(_job, who)
    jobs = Budget(cluster.series_per_cluster)
    lately_lost = _lately_lost(picture, now - cluster.failed_retention)
    lost = [memo.made(tracked.job.job_id, tracked, render).shown for _, tracked in lately_lost]
    lost_shown = jobs.fitting(lost, [one.series for one in lost])
    unfinished = [memo.made(one.job.job_id, one, render) for one in _unfinished(picture, jobs.left)]
    left = [None if job.pace is None else job.pace.seconds_left(now) for job in unfinished]
    series = [job.shown.series + (seconds is not None) for job, seconds in zip(unfinished, left, strict=True)]
    running = jobs.fitting(unfinished, series)
    etas = [
        f"{job.eta}{round(seconds, 1)}\n" for job, seconds in zip(running, left, strict=False) if seconds is not None
    ]
    places = Budget(max(cluster.series_per_cluster, COLLECTION_SERIES))
    outcomes, listed, finished = (
        places.fitting(things, [one.series for one in things])
        for things in (_outcomes(who, picture, memo), _listed(who, picture, memo), _finished(who, counts, memo))
    )
    ends = [at + cluster.failed_retention for at, _ in lately_lost]
    return JobTexts(
        present=by_family(
            [
                *_RUNNING.text([job.shown for job in running], memo),
                (_ETA, joined(etas)),
                *_LISTED.text(listed, memo),
            ]
        ),
        lasting=by_family(
            [*_LOST.text(lost_shown, memo), *_OUTCOME.text(outcomes, memo), *_FINISHED.text(finished, memo)]
        ),
        dropped=jobs.dropped + places.dropped,
        until=now if any(seconds is not None for seconds in left) else min(ends, default=inf),
    )


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
    text = labels(
        ("milvus_cluster", who), ("database", job.database), ("collection", job.collection), ("job_id", job.job_id)
    )
    state = f'{text},state="{job.state.value}"'
    if tracked.finished:
        failed = job.state is JobState.FAILED
        reason = (f'{text},reason="{classify(job.reason).value}"', 1) if failed else None
        return _RenderedJob(_LOST.rendered((state, 1), reason), "", None)
    shown = _RUNNING.rendered(
        (state, 1),
        (state, int(tracked.stalled)),
        (text, tracked.first_seen),
        (text, tracked.last_change),
        None if job.progress is None else (text, job.progress),
        None if job.imported_rows is None else (text, job.imported_rows),
        None if job.total_rows is None else (text, job.total_rows),
    )
    return _RenderedJob(shown, f"milvus_import_job_eta_seconds{{{text}}} ", pace_of(tracked))


def _outcomes(who: str, picture: Picture, memo: Memo) -> list[Rendered]:
    """Return how imports ended, failures first."""
    outcomes = sorted(picture.outcomes.items(), key=lambda item: not item[1].last_failed)
    return [memo.made(("ended", *place), outcome, partial(_outcome, who, place)) for place, outcome in outcomes]


def _listed(who: str, picture: Picture, memo: Memo) -> list[Rendered]:
    """Return how many jobs of each state the list has."""
    return [
        memo.made(("listed", *place), states, partial(_states, "jobs", who, place))
        for place, states in _counts(picture).items()
    ]


def _finished(who: str, counts: Counts, memo: Memo) -> list[Rendered]:
    """Return how many jobs have finished."""
    return [
        memo.made(
            ("finished", database, collection),
            dict(states),  # a copy: the counter goes on counting
            partial(_states, "jobs_finished_total", who, (database, collection)),
        )
        for database, collection, states in counts.of_collections()
    ]


def _outcome(who: str, place: Place, outcome: CollectionOutcome) -> Rendered:
    text = _place_labels(who, place)
    failed, completed_at = outcome.last_failed, outcome.last_completed_at
    return _OUTCOME.rendered(
        None if failed is None else (text, int(failed)), None if completed_at is None else (text, completed_at)
    )


def _states(family: str, who: str, place: Place, states: Mapping[str, int]) -> Rendered:
    text = _place_labels(who, place)
    lines = [line(family, f'{text},state="{state}"', count)[1] for state, count in sorted(states.items())]
    return Rendered(("".join(lines),), len(lines))


def _place_labels(who: str, place: Place) -> str:
    database, collection = place
    return labels(("milvus_cluster", who), ("database", database), ("collection", collection))


def _counts(picture: Picture) -> dict[tuple[str, str], dict[str, int]]:
    """Count the jobs of the latest list by collection and state."""
    flat = Counter(
        [
            (tracked.job.database, tracked.job.collection, tracked.job.state)
            for tracked in chain(picture.jobs.unfinished.values(), picture.jobs.lost.values())
            if tracked.missing_since is None
        ]
    )
    counts = {place: {JobState.COMPLETED.value: count} for place, count in picture.jobs.completed.places.items()}
    for (database, collection, state), count in flat.items():
        counts.setdefault((database, collection), {})[state.value] = count
    return counts
