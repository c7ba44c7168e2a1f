"""The series of a cluster's jobs and collections, from its picture."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import chain
from math import inf
from typing import Final

from monitor.config import Cluster
from monitor.jobs import (
    FAILED,
    CollectionOutcome,
    Job,
    JobState,
    Picture,
    Place,
    TrackedJob,
    classify,
    eta_seconds,
    pace_of,
)
from monitor.metrics.counts import COLLECTIONS_LIMIT
from monitor.metrics.listed import Listed
from monitor.metrics.samples import INDEX, Budget, Counted, Piece, Sheet, encoded, escaped, text_of

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: who wants no series of jobs still wants the sums."""

_RUNNING: Final = (
    "job_state",
    "job_stalled",
    "job_first_seen_timestamp_seconds",
    "job_last_change_timestamp_seconds",
    "job_progress_ratio",
    "job_imported_rows",
    "job_total_rows",
)
_LOST: Final = ("job_state", "job_failed")
_OUTCOME: Final = ("collection_last_finished_failed", "collection_last_completed_timestamp_seconds")

_ETA: Final = b"milvus_import_job_eta_seconds"

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

    Where there is no room for all, failures come first, then stalled jobs, then the oldest; of the collections, those
    whose latest import failed, then the other outcomes, then the counts.

    Args:
        who: The cluster's label.
    """

    def __init__(self, who: str) -> None:
        self._paces: dict[str, tuple[int, float] | None] = {}
        self._all_shown = False
        place = _Places(who)
        self._running = Sheet(_RUNNING, partial(_running, place))
        self._lost = Sheet(_LOST, partial(_lost, place))
        self._outcomes = Sheet(_OUTCOME, partial(_outcome, place))
        self._listed = Listed()
        self._jobs = Sheet(("jobs",), partial(_count, place))
        self._finished = Sheet(("jobs_finished_total",), partial(_count, place))

    def render(
        self,
        cluster: Cluster,
        picture: Picture,
        finished: Mapping[Counted, int],
        now: float,
        touched: Collection[str] | None,
    ) -> JobTexts:
        """Render the series of a picture.

        Args:
            cluster: How many series of jobs there may be, and for how long failures are shown.
            picture: What is known.
            finished: How many jobs have finished.
            now: The time for what depends on it.
            touched: Ids of the jobs that may not be what they were the last time; None for any.
        """
        of_jobs = Budget(cluster.series_per_cluster)
        lost, first_lost = _lately_lost(picture, now - cluster.failed_retention, of_jobs)
        self._lost.show(lost)
        of_jobs.left -= self._lost.series
        unfinished = _unfinished(picture, now, of_jobs)
        all_were_shown, self._all_shown = self._all_shown, unfinished is picture.jobs.unfinished
        gone, changed = self._running.show(unfinished, touched if all_were_shown and self._all_shown else None)
        for job_id in gone:
            del self._paces[job_id]
        self._paces.update([(job_id, _pace(unfinished[job_id])) for job_id in changed])
        times_left = self._times_left(now)

        of_collections = Budget(max(cluster.series_per_cluster, COLLECTION_SERIES))
        self._outcomes.show(_outcomes(picture, of_collections))
        of_collections.left -= self._outcomes.series
        self._listed.count(picture.jobs, touched)
        for sheet, counts in ((self._jobs, self._listed.counts), (self._finished, finished)):
            sheet.show(_whole_collections(counts, of_collections))
            of_collections.left -= sheet.series

        return JobTexts(
            present=(*self._running.pieces, (INDEX["job_eta_seconds"], times_left), *self._jobs.pieces),
            lasting=(*self._lost.pieces, *self._outcomes.pieces, *self._finished.pieces),
            dropped=of_jobs.dropped + of_collections.dropped,
            until=now if times_left else first_lost + cluster.failed_retention,
        )

    def _times_left(self, now: float) -> bytes:
        """Return the lines of the time left of each job whose pace is known; the clock alone makes others of them."""
        labels, second = self._running.labels, int(now)
        left = [None if one is None or now > one[1] else one[0] - second for one in self._paces.values()]
        known = [seconds if seconds > 0 else 0 for seconds in left if seconds is not None]  # noqa: FURB136 - max() is slow
        if len(known) < len(left):
            labels = [label for label, seconds in zip(labels, left, strict=True) if seconds is not None]
        values = b"} %d\n" * len(known) % tuple(known)
        return text_of(_ETA, labels, values.splitlines(keepends=True))


class _Places:
    """The labels of a cluster's collections: each collection's are one object, for many lines begin with them.

    Args:
        who: The cluster's label.
    """

    def __init__(self, who: str) -> None:
        self._who = who
        self._known: dict[Place, bytes] = {}

    def __call__(self, database: str, collection: str) -> bytes:
        """Return the labels of a collection, with the brace before them."""
        known = self._known.get((database, collection))
        if known is None:
            if len(self._known) >= COLLECTIONS_LIMIT:
                self._known.clear()
            label = f'{{{self._who},database="{escaped(database)}",collection="{escaped(collection)}"'
            known = self._known[database, collection] = encoded(label)
        return known


def _lately_lost(picture: Picture, since: float, budget: Budget) -> tuple[Mapping[str, TrackedJob], float]:
    """Return the jobs that failed or vanished since a time, the latest first where so many series will not do.

    With them, when the first of all of them did; infinity where there is none.
    """
    jobs = picture.jobs.lost
    lost = [one for one in jobs.values() if one.finished_at is not None and one.finished_at > since]
    first = min([one.finished_at or inf for one in lost], default=inf)
    if len(lost) * len(_LOST) > budget.left:
        lost.sort(key=lambda one: one.finished_at or 0.0, reverse=True)
        lost = [*budget.fitting(lost, [1 + (one.job.state is FAILED) for one in lost])]
    return (jobs if len(lost) == len(jobs) else _by_id(lost)), first


def _unfinished(picture: Picture, now: float, budget: Budget) -> Mapping[str, TrackedJob]:
    """Return the unfinished jobs, stalled ones first, then the oldest, where so many series will not do for all."""
    jobs = picture.jobs.unfinished
    if len(jobs) * (len(_RUNNING) + 1) <= budget.left:
        return jobs
    unfinished = sorted(jobs.values(), key=lambda one: (not one.stalled, one.first_seen, one.job.job_id))
    return _by_id(budget.fitting(unfinished, [_series(one, now) for one in unfinished]))


def _by_id(jobs: Iterable[TrackedJob]) -> dict[str, TrackedJob]:
    return {one.job.job_id: one for one in jobs}


def _series(tracked: TrackedJob, now: float) -> int:
    """Return the number of series of an unfinished job."""
    job = tracked.job
    perhaps = (job.progress, job.imported_rows, job.total_rows, eta_seconds(tracked, now))
    return _LEAST_OF_A_JOB + len(perhaps) - perhaps.count(None)


def _outcomes(picture: Picture, budget: Budget) -> Mapping[Place, CollectionOutcome]:
    """Return how imports ended, failures first, where so many series will not do for all."""
    if len(picture.outcomes) * len(_OUTCOME) <= budget.left:
        return picture.outcomes
    outcomes = sorted(picture.outcomes.items(), key=lambda item: not item[1].last_failed)
    told = [(one.last_failed, one.last_completed_at) for _, one in outcomes]
    return dict(budget.fitting(outcomes, [len(values) - values.count(None) for values in told]))


def _whole_collections(counts: Mapping[Counted, int], budget: Budget) -> Mapping[Counted, int]:
    """Return the counts of the first collections, those of each together, where there is no room for all."""
    if len(counts) <= budget.left:
        return counts
    by_place: dict[Place, list[tuple[Counted, int]]] = {}
    for counted, count in counts.items():
        by_place.setdefault(counted[:2], []).append((counted, count))
    each = list(by_place.values())
    return dict(chain.from_iterable(budget.fitting(each, list(map(len, each)))))


def _running(
    place: _Places, _: str, tracked: TrackedJob, was: TrackedJob | None, row: Sequence[bytes]
) -> tuple[bytes, ...]:
    """Return the row of an unfinished job."""
    job = tracked.job
    progress, imported, total = job.progress, job.imported_rows, job.total_rows
    if was is not None and _looks_the_same(tracked, was):
        label, state, stalled, first_seen = row[:4]
    else:
        label, first_seen = _job(place, job), _timestamp(tracked.first_seen)
        state, stalled = _state(job.state, tracked.stalled)
    return (
        label,
        state,
        stalled,
        first_seen,
        _timestamp(tracked.last_change),
        b"" if progress is None else _ratio(progress),
        b"" if imported is None else b"} %d\n" % imported,
        b"" if total is None else b"} %d\n" % total,
    )


def _looks_the_same(tracked: TrackedJob, was: TrackedJob) -> bool:
    """Say whether all that is told of an unfinished job is the same, but for how far it is, and since when."""
    job, before = tracked.job, was.job
    return (
        job.state is before.state
        and tracked.stalled is was.stalled
        and job.collection == before.collection
        and job.database == before.database
        and tracked.first_seen == was.first_seen
    )


def _pace(tracked: TrackedJob) -> tuple[int, float] | None:
    """Return the second in which a job is done at its recent pace, and up to when that is believed."""
    recent = pace_of(tracked)
    return None if recent is None else (int(recent.done_at), recent.until)


def _lost(
    place: _Places, _: str, tracked: TrackedJob, _was: TrackedJob | None, _row: Sequence[bytes]
) -> tuple[bytes, bytes, bytes]:
    """Return the row of a job that failed or vanished."""
    job = tracked.job
    state, _stalled = _state(job.state, False)
    failed = f',reason="{classify(job.reason).value}"}} 1\n' if job.state is FAILED else ""
    return _job(place, job), state, failed.encode()


def _outcome(
    place: _Places, of: Place, outcome: CollectionOutcome, _was: CollectionOutcome | None, _row: Sequence[bytes]
) -> tuple[bytes, bytes, bytes]:
    """Return the row of how the latest import of a collection ended."""
    failed, completed = outcome.last_failed, outcome.last_completed_at
    return (
        place(*of),
        b"" if failed is None else b"} %d\n" % failed,
        b"" if completed is None else _timestamp(completed),
    )


def _count(
    place: _Places, counted: Counted, count: int, _was: int | None, _row: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """Return the row of how many jobs of a collection are, or came to be, in a state."""
    database, collection, state = counted
    return place(database, collection), _state_count(state, count)


def _job(place: _Places, job: Job) -> bytes:
    """Return the labels of a job."""
    return b'%b,job_id="%b"' % (place(job.database, job.collection), encoded(escaped(job.job_id)))


@lru_cache(maxsize=4096)
def _state_count(state: str, count: int) -> bytes:
    """Return what follows a collection's labels where the jobs in a state are counted; most counts are small."""
    return f',state="{state}"}} {count}\n'.encode()


@cache
def _state(state: JobState, stalled: bool) -> tuple[bytes, bytes]:
    """Return what follows a job's labels where its state is told, and where it is told whether it is stalled."""
    label = f',state="{state}"'
    return f"{label}}} 1\n".encode(), f"{label}}} {int(stalled)}\n".encode()


@lru_cache(maxsize=1024)
def _ratio(progress: float) -> bytes:
    """Return progress as it follows labels; most is told in whole percent."""
    return f"}} {progress:.6g}\n".encode()


@lru_cache(maxsize=1024)
def _timestamp(seconds: float) -> bytes:
    """Return a time of day as it follows labels; what a poll sees change has changed at the same time."""
    return f"}} {seconds:.3f}\n".encode()
