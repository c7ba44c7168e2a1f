"""The series of a cluster's jobs and collections, from its picture."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import inf
from typing import Final

from monitor.config import Cluster
from monitor.jobs import CollectionOutcome, JobState, Picture, TrackedJob, classify, eta_seconds
from monitor.metrics.counts import Counts
from monitor.metrics.samples import Budget, Line, Memo, Samples, labels, line

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: who wants no series of jobs still wants the sums."""


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
    who = ("milvus_cluster", cluster.name)
    present, lasting = Samples(), Samples()
    memo.begin()
    jobs = Budget(cluster.series_per_cluster)
    until = inf
    for at, tracked in _lately_lost(picture, now - cluster.failed_retention):
        until = min(until, at + cluster.failed_retention)
        jobs.add(lasting, memo.lines(tracked.job.job_id, tracked, partial(_of_lost, who, tracked)))
    for tracked in _unfinished(picture):
        eta = eta_seconds(tracked, now)
        until = until if eta is None else now
        rendered = memo.lines(tracked.job.job_id, (tracked, eta), partial(_of_unfinished, who, tracked, eta))
        jobs.add(present, rendered)
    collections = Budget(max(cluster.series_per_cluster, COLLECTION_SERIES))
    for place, outcome in sorted(picture.outcomes.items(), key=lambda item: not item[1].last_failed):
        collections.add(lasting, memo.lines(("ended", *place), outcome, partial(_of_outcome, who, place, outcome)))
    for place, states in _counts(picture).items():
        render = partial(_of_states, "jobs", who, place, states)
        collections.add(present, memo.lines(("listed", *place), states, render))
    for database, collection, finished in counts.of_collections():
        place, states = (database, collection), dict(finished)  # a copy: the counter goes on counting
        render = partial(_of_states, "jobs_finished_total", who, place, states)
        collections.add(lasting, memo.lines(("finished", *place), states, render))
    return JobTexts(present.text(), lasting.text(), jobs.dropped + collections.dropped, until)


def _lately_lost(picture: Picture, since: float) -> list[tuple[float, TrackedJob]]:
    """Return the jobs that failed or vanished since a time, and when; the latest first."""
    lost = [
        (tracked.finished_at, tracked)
        for tracked in picture.jobs.lost.values()
        if tracked.finished_at is not None and tracked.finished_at > since
    ]
    lost.sort(key=lambda pair: pair[0], reverse=True)
    return lost


def _unfinished(picture: Picture) -> Iterable[TrackedJob]:
    """Return the unfinished jobs: stalled ones first, then the oldest, so that those shown stay the same."""
    unfinished = list(picture.jobs.unfinished.values())
    unfinished.sort(key=lambda tracked: (not tracked.stalled, tracked.first_seen, tracked.job.job_id))
    return unfinished


def _of_lost(who: tuple[str, str], tracked: TrackedJob) -> list[Line]:
    text = _job_labels(who, tracked)
    lines = [line("job_state", f'{text},state="{tracked.job.state}"', 1)]
    if tracked.job.state is JobState.FAILED:
        lines.append(line("job_failed", f'{text},reason="{classify(tracked.job.reason)}"', 1))
    return lines


def _of_unfinished(who: tuple[str, str], tracked: TrackedJob, eta: float | None) -> list[Line]:
    job = tracked.job
    text = _job_labels(who, tracked)
    lines = [
        line("job_state", f'{text},state="{job.state}"', 1),
        line("job_stalled", f'{text},state="{job.state}"', int(tracked.stalled)),
        line("job_first_seen_timestamp_seconds", text, tracked.first_seen),
        line("job_last_change_timestamp_seconds", text, tracked.last_change),
    ]
    optional = (
        ("job_progress_ratio", job.progress),
        ("job_imported_rows", job.imported_rows),
        ("job_total_rows", job.total_rows),
        ("job_eta_seconds", eta),
    )
    return lines + [line(family, text, value) for family, value in optional if value is not None]


def _of_outcome(who: tuple[str, str], place: Sequence[str], outcome: CollectionOutcome) -> list[Line]:
    text = _place_labels(who, place)
    lines = []
    if outcome.last_failed is not None:
        lines.append(line("collection_last_finished_failed", text, int(outcome.last_failed)))
    if outcome.last_completed_at is not None:
        lines.append(line("collection_last_completed_timestamp_seconds", text, outcome.last_completed_at))
    return lines


def _of_states(family: str, who: tuple[str, str], place: Sequence[str], states: Mapping[str, int]) -> list[Line]:
    text = _place_labels(who, place)
    return [line(family, f'{text},state="{state}"', count) for state, count in sorted(states.items())]


def _place_labels(who: tuple[str, str], place: Sequence[str]) -> str:
    database, collection = place
    return labels(who, ("database", database), ("collection", collection))


def _job_labels(who: tuple[str, str], tracked: TrackedJob) -> str:
    job = tracked.job
    return labels(who, ("database", job.database), ("collection", job.collection), ("job_id", job.job_id))


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
