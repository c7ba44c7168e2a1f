"""The series of a cluster's jobs and collections, from its picture."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from monitor.config import Cluster
from monitor.jobs import JobState, Picture, TrackedJob, classify, eta_seconds
from monitor.metrics.counts import Counts
from monitor.metrics.samples import Budget, Line, Samples, labels

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: who wants no series of jobs still wants the sums."""

_REMEMBERED: Final = (JobState.FAILED, JobState.VANISHED)


def add_jobs(
    cluster: Cluster, picture: Picture, counts: Counts, now: float, *, present: Samples, lasting: Samples
) -> int:
    """Add the series of a picture's jobs and collections.

    Args:
        cluster: Whose they are, and how many series of jobs there may be.
        picture: What is known.
        counts: What was counted of each collection.
        now: The time for what depends on it.
        present: Gets what is true only while the cluster answers.
        lasting: Gets what stays true: failures, and how imports ended.

    Returns:
        How many series were left out. Failures are shown first, then stalled jobs, then the oldest; of the
        collections, those whose latest import failed, then the other outcomes, then the counts.
    """
    who = ("milvus_cluster", cluster.name)
    jobs = Budget(cluster.series_per_cluster)
    for tracked in _lately_lost(picture, now - cluster.failed_retention):
        jobs.add(lasting, _of_lost(who, tracked))
    for tracked in _unfinished(picture):
        jobs.add(present, _of_unfinished(who, tracked, now))
    collections = Budget(max(cluster.series_per_cluster, COLLECTION_SERIES))
    for (database, collection), outcome in sorted(picture.outcomes.items(), key=lambda item: not item[1].last_failed):
        text = labels(who, ("database", database), ("collection", collection))
        ended: list[Line] = []
        if outcome.last_failed is not None:
            ended.append(("collection_last_finished_failed", text, int(outcome.last_failed)))
        if outcome.last_completed_at is not None:
            ended.append(("collection_last_completed_timestamp_seconds", text, outcome.last_completed_at))
        collections.add(lasting, ended)
    for (database, collection), states in _counts(picture).items():
        text = labels(who, ("database", database), ("collection", collection))
        collections.add(
            present, [("jobs", f'{text},state="{state}"', count) for state, count in sorted(states.items())]
        )
    for group in counts.of_collections(cluster.name):
        collections.add(lasting, group)
    return jobs.dropped + collections.dropped


def _lately_lost(picture: Picture, since: float) -> Iterable[TrackedJob]:
    """Return the jobs that failed or vanished since a time, the latest first."""
    lost = [
        (tracked.finished_at, tracked)
        for tracked in picture.jobs.values()
        if tracked.job.state in _REMEMBERED and tracked.finished_at is not None and tracked.finished_at > since
    ]
    lost.sort(key=lambda pair: pair[0], reverse=True)
    return [tracked for _, tracked in lost]


def _unfinished(picture: Picture) -> Iterable[TrackedJob]:
    """Return the unfinished jobs: stalled ones first, then the oldest, so that those shown stay the same."""
    unfinished = [tracked for tracked in picture.jobs.values() if not tracked.finished]
    unfinished.sort(key=lambda tracked: (not tracked.stalled, tracked.first_seen, tracked.job.job_id))
    return unfinished


def _of_lost(who: tuple[str, str], tracked: TrackedJob) -> list[Line]:
    text = _job_labels(who, tracked)
    lines: list[Line] = [("job_state", f'{text},state="{tracked.job.state}"', 1)]
    if tracked.job.state is JobState.FAILED:
        lines.append(("job_failed", f'{text},reason="{classify(tracked.job.reason)}"', 1))
    return lines


def _of_unfinished(who: tuple[str, str], tracked: TrackedJob, now: float) -> list[Line]:
    job = tracked.job
    text = _job_labels(who, tracked)
    lines: list[Line] = [
        ("job_state", f'{text},state="{job.state}"', 1),
        ("job_stalled", f'{text},state="{job.state}"', int(tracked.stalled)),
        ("job_first_seen_timestamp_seconds", text, tracked.first_seen),
        ("job_last_change_timestamp_seconds", text, tracked.last_change),
    ]
    optional = (
        ("job_progress_ratio", job.progress),
        ("job_imported_rows", job.imported_rows),
        ("job_total_rows", job.total_rows),
        ("job_eta_seconds", eta_seconds(tracked, now)),
    )
    return lines + [(family, text, value) for family, value in optional if value is not None]


def _job_labels(who: tuple[str, str], tracked: TrackedJob) -> str:
    job = tracked.job
    return labels(who, ("database", job.database), ("collection", job.collection), ("job_id", job.job_id))


def _counts(picture: Picture) -> dict[tuple[str, str], Counter[str]]:
    """Count the jobs of the latest list by collection and state."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for tracked in picture.jobs.values():
        if tracked.missing_since is None:
            job = tracked.job
            counts.setdefault((job.database, job.collection), Counter())[job.state.value] += 1
    return counts
