"""The series of a cluster's jobs and collections, from its picture."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from math import inf
from typing import Final

from monitor.config import Cluster
from monitor.jobs import (
    COMPLETED,
    CollectionOutcome,
    Job,
    JobState,
    Pace,
    Picture,
    Place,
    TrackedJob,
    classify,
    eta_seconds,
    pace_of,
)
from monitor.metrics.samples import INDEX, Budget, Counted, Piece, Sheet, escaped, lines

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: who wants no series of jobs still wants the sums."""

_RUNNING: Final = (
    INDEX["job_state"],
    INDEX["job_stalled"],
    INDEX["job_first_seen_timestamp_seconds"],
    INDEX["job_last_change_timestamp_seconds"],
    INDEX["job_progress_ratio"],
    INDEX["job_imported_rows"],
    INDEX["job_total_rows"],
    INDEX["job_eta_seconds"],
)
_LOST: Final = (INDEX["job_state"], INDEX["job_failed"])
_OUTCOME: Final = (
    INDEX["collection_last_finished_failed"],
    INDEX["collection_last_completed_timestamp_seconds"],
)

_LEAST_OF_A_JOB: Final = 4


@dataclass(frozen=True, slots=True)
class JobTexts:
    """The text of a cluster's jobs and collections.

    Attributes:
        present: What is true only while the cluster answers.
        lasting: What stays true: failures, and how imports ended.
        dropped: How many series were left out.
        until: Up to when this is the text of the same picture.
    """

    present: Sequence[Piece]
    lasting: Sequence[Piece]
    dropped: int
    until: float


class JobSeries:
    """Renders the series of one cluster's jobs and collections, anew only where they have changed.

    Failures are shown first, then stalled jobs, then the oldest; of the collections, those whose latest import failed,
    then the other outcomes, then the counts.

    Args:
        who: The cluster's label.
    """

    def __init__(self, who: str) -> None:
        self._paces: list[Pace | None] = []
        self._running = Sheet(_RUNNING, partial(_running, who))
        self._lost = Sheet(_LOST, partial(_lost, who))
        self._outcomes = Sheet(_OUTCOME, partial(_outcome, who))
        self._listed = Sheet((INDEX["jobs"],), partial(_count, "jobs", who))
        self._finished = Sheet((INDEX["jobs_finished_total"],), partial(_count, "jobs_finished_total", who))

    def render(self, cluster: Cluster, picture: Picture, finished: Mapping[Counted, int], now: float) -> JobTexts:
        """Render the series of a picture.

        Args:
            cluster: How many series of jobs there may be, and for how long failures are shown.
            picture: What is known.
            finished: How many jobs have finished.
            now: The time for what depends on it.
        """
        of_jobs = Budget(cluster.series_per_cluster)
        lost = _lately_lost(picture, now - cluster.failed_retention, of_jobs)
        self._lost.show(lost, [*map(id, lost)])
        of_jobs.left -= self._lost.series
        running, times_left = self._show_running(_unfinished(picture, now, of_jobs), now)

        of_collections = Budget(max(cluster.series_per_cluster, COLLECTION_SERIES))
        outcomes = _outcomes(picture, of_collections)
        self._outcomes.show(outcomes, [(place, id(outcome)) for place, outcome in outcomes])
        of_collections.left -= self._outcomes.series
        for sheet, counts in ((self._listed, _counts(picture)), (self._finished, finished)):
            items = _whole_collections(counts, of_collections)
            sheet.show(items, items)
            of_collections.left -= sheet.series

        ends = [one.finished_at + cluster.failed_retention for one in lost if one.finished_at is not None]
        return JobTexts(
            present=(*running, *self._listed.pieces()),
            lasting=(*self._lost.pieces(), *self._outcomes.pieces(), *self._finished.pieces()),
            dropped=of_jobs.dropped + of_collections.dropped,
            until=now if times_left else min(ends, default=inf),
        )

    def _show_running(self, unfinished: Sequence[TrackedJob], now: float) -> tuple[list[Piece], bool]:
        """Return the text of unfinished jobs, and whether the time left of any is known."""
        new, order = self._running.show(unfinished, [*map(id, unfinished)])
        paces = [*self._paces, *map(pace_of, new)]
        self._paces = [paces[place] for place in order]
        left = [None if pace is None or now > pace.until else pace.done_at - now for pace in self._paces]
        known = [seconds if seconds > 0 else 0.0 for seconds in left if seconds is not None]
        *pieces, (family, template) = self._running.pieces()
        if len(known) < len(left):
            template = b"".join(
                [line for line, seconds in zip(lines(template), left, strict=True) if seconds is not None]
            )
        return [*pieces, (family, template % tuple(known))], bool(known)


def _lately_lost(picture: Picture, since: float, budget: Budget) -> Sequence[TrackedJob]:
    """Return the jobs that failed or vanished since a time, the latest first."""
    lost = [one for one in picture.jobs.lost.values() if one.finished_at is not None and one.finished_at > since]
    if len(lost) * len(_LOST) <= budget.left:
        return lost
    lost.sort(key=lambda one: one.finished_at or 0.0, reverse=True)
    return budget.fitting(lost, [1 + (one.job.state is JobState.FAILED) for one in lost])


def _unfinished(picture: Picture, now: float, budget: Budget) -> Sequence[TrackedJob]:
    """Return the unfinished jobs, stalled ones first, then the oldest, where so many series will not do for all."""
    unfinished = list(picture.jobs.unfinished.values())
    if len(unfinished) * len(_RUNNING) <= budget.left:
        return unfinished
    unfinished.sort(key=lambda one: (not one.stalled, one.first_seen, one.job.job_id))
    return budget.fitting(unfinished, [_series(one, now) for one in unfinished])


def _series(tracked: TrackedJob, now: float) -> int:
    """Return the number of series of an unfinished job."""
    job = tracked.job
    perhaps = (job.progress, job.imported_rows, job.total_rows, eta_seconds(tracked, now))
    return _LEAST_OF_A_JOB + len(perhaps) - perhaps.count(None)


def _outcomes(picture: Picture, budget: Budget) -> Sequence[tuple[Place, CollectionOutcome]]:
    """Return how imports ended, failures first, where so many series will not do for all."""
    outcomes = list(picture.outcomes.items())
    if len(outcomes) * len(_OUTCOME) <= budget.left:
        return outcomes
    outcomes.sort(key=lambda item: not item[1].last_failed)
    told = [(one.last_failed, one.last_completed_at) for _, one in outcomes]
    return budget.fitting(outcomes, [len(values) - values.count(None) for values in told])


def _counts(picture: Picture) -> dict[Counted, int]:
    """Count the jobs of the latest list by collection and state."""
    counts: dict[Counted, int] = Counter(
        [
            (tracked.job.database, tracked.job.collection, tracked.job.state)
            for tracked in chain(picture.jobs.unfinished.values(), picture.jobs.lost.values())
            if tracked.missing_since is None
        ]
    )
    for (database, collection), count in picture.jobs.completed.places.items():
        counts[database, collection, COMPLETED] = count
    return counts


def _whole_collections(counts: Mapping[Counted, int], budget: Budget) -> Sequence[tuple[Counted, int]]:
    """Return the counts of the first collections, those of each together, where there is no room for all."""
    if len(counts) <= budget.left:
        return list(counts.items())
    by_place: dict[Place, list[tuple[Counted, int]]] = {}
    for counted, count in counts.items():
        by_place.setdefault(counted[:2], []).append((counted, count))
    each = list(by_place.values())
    return list(chain.from_iterable(budget.fitting(each, list(map(len, each)))))


def _running(who: str, tracked: TrackedJob) -> str:
    """Return the lines of an unfinished job; the last, of the time left, as a template for its value."""
    job = tracked.job
    of, state = _job(who, job), str(job.state)
    progress, imported, total = job.progress, job.imported_rows, job.total_rows
    return (
        f'milvus_import_job_state{{{of},state="{state}"}} 1\n'
        f'milvus_import_job_stalled{{{of},state="{state}"}} {int(tracked.stalled)}\n'
        f"milvus_import_job_first_seen_timestamp_seconds{{{of}}} {_timestamp(tracked.first_seen)}\n"
        f"milvus_import_job_last_change_timestamp_seconds{{{of}}} {_timestamp(tracked.last_change)}\n"
        f"{'' if progress is None else f'milvus_import_job_progress_ratio{{{of}}} {progress:.6g}'}\n"
        f"{'' if imported is None else f'milvus_import_job_imported_rows{{{of}}} {imported}'}\n"
        f"{'' if total is None else f'milvus_import_job_total_rows{{{of}}} {total}'}\n"
        f"milvus_import_job_eta_seconds{{{of.replace('%', '%%')}}} %d\n"
    )


def _lost(who: str, tracked: TrackedJob) -> str:
    """Return the lines of a job that failed or vanished."""
    job = tracked.job
    of, failed = _job(who, job), ""
    if job.state is JobState.FAILED:
        failed = f'milvus_import_job_failed{{{of},reason="{classify(job.reason).value}"}} 1'
    return f'milvus_import_job_state{{{of},state="{job.state}"}} 1\n{failed}\n'


def _outcome(who: str, item: tuple[Place, CollectionOutcome]) -> str:
    """Return the lines of how the latest import of a collection ended."""
    (database, collection), outcome = item
    of, failed, completed = _place(who, database, collection), outcome.last_failed, outcome.last_completed_at
    at = "" if completed is None else _timestamp(completed)
    return (
        f"{'' if failed is None else f'milvus_import_collection_last_finished_failed{{{of}}} {int(failed)}'}\n"
        f"{at and f'milvus_import_collection_last_completed_timestamp_seconds{{{of}}} {at}'}\n"
    )


def _count(family: str, who: str, item: tuple[Counted, int]) -> str:
    """Return the line of how many jobs of a collection are, or came to be, in a state."""
    (database, collection, state), count = item
    return f'milvus_import_{family}{{{_place(who, database, collection)},state="{state}"}} {count}\n'


def _job(who: str, job: Job) -> str:
    """Return the labels of a job."""
    return f'{_place(who, job.database, job.collection)},job_id="{escaped(job.job_id)}"'


def _place(who: str, database: str, collection: str) -> str:
    """Return the labels of a collection."""
    return f'{who},database="{escaped(database)}",collection="{escaped(collection)}"'


@lru_cache(maxsize=256)
def _timestamp(seconds: float) -> str:
    """Return a time of day as text; what a poll sees change has changed at the same time."""
    return f"{seconds:.3f}"
