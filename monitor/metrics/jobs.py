"""The series of a cluster's jobs and collections, from its picture."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from math import inf
from typing import Final

from monitor.config import Cluster
from monitor.jobs import CollectionOutcome, Job, JobState, Pace, Picture, Place, TrackedJob, classify, pace_of
from monitor.metrics.samples import INDEX, Budget, Kept, Piece, Sheet, encoded, escaped

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
)
_LOST: Final = (INDEX["job_state"], INDEX["job_failed"])
_OUTCOME: Final = (
    INDEX["collection_last_finished_failed"],
    INDEX["collection_last_completed_timestamp_seconds"],
)
_ETA: Final = INDEX["job_eta_seconds"]

_LINE: Final = re.compile(rb"[^\n]*\n")

_LEAST_OF_A_JOB: Final = 4
_MOST_OF_A_JOB: Final = 9


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
        self._who = who
        self._paces: list[Pace | None] = []
        self._running = Sheet(len(_RUNNING) + 1, partial(_running, who))
        self._lost = Sheet(len(_LOST), partial(_lost, who))
        self._outcomes = Kept[_Collections]()
        self._listed = Kept[_Collections]()
        self._finished = Kept[_Collections]()

    def render(
        self, cluster: Cluster, picture: Picture, finished: Mapping[Place, Mapping[str, int]], now: float
    ) -> JobTexts:
        """Render the series of a picture.

        Args:
            cluster: How many series of jobs there may be, and for how long failures are shown.
            picture: What is known.
            finished: Finished jobs by collection and state; it never changes.
            now: The time for what depends on it.
        """
        who, budget = self._who, Budget(cluster.series_per_cluster)
        lost = _lately_lost(picture, now - cluster.failed_retention)
        self._lost.show(lost)
        lost_texts = self._lost.texts(budget.fitting([1 + (one.job.state is JobState.FAILED) for one in lost]))
        running, etas = self._running_and_etas(_unfinished(picture, budget.left), now, budget)
        most = max(cluster.series_per_cluster, COLLECTION_SERIES)
        completed, others = picture.jobs.completed.places, _states(picture)
        outcomes = self._outcomes.made(_outcomes, who, picture.outcomes, _room(most, 2 * len(picture.outcomes)))
        most -= outcomes.series
        listed = self._listed.made(_listed, who, completed, others, _room(most, len(completed) + len(others)))
        most -= listed.series
        ended = self._finished.made(_finished, who, finished, _room(most, 3 * len(finished)))
        ends = [one.finished_at + cluster.failed_retention for one in lost if one.finished_at is not None]
        return JobTexts(
            present=(*running, *listed.pieces),
            lasting=(*zip(_LOST, lost_texts, strict=True), *outcomes.pieces, *ended.pieces),
            dropped=budget.dropped + outcomes.dropped + listed.dropped + ended.dropped,
            until=now if etas else min(ends, default=inf),
        )

    def _running_and_etas(
        self, unfinished: Sequence[TrackedJob], now: float, budget: Budget
    ) -> tuple[list[Piece], bool]:
        """Return the text of unfinished jobs, and whether the time left of any is known."""
        new, order = self._running.show(unfinished)
        paces = [*self._paces, *map(pace_of, new)]
        self._paces = [paces[place] for place in order]
        left = [None if pace is None or now > pace.until else pace.done_at - now for pace in self._paces]
        count = len(unfinished)
        if count * _MOST_OF_A_JOB > budget.left:
            count = budget.fitting(list(map(_series, unfinished, left)))
        *texts, template = self._running.texts(count)
        known = [seconds if seconds > 0 else 0.0 for seconds in left[:count] if seconds is not None]
        if len(known) < count:
            lines = zip(_LINE.findall(template), left, strict=False)  # names may hold what else ends a line
            template = b"".join([line for line, seconds in lines if seconds is not None])
        pieces = [*zip(_RUNNING, texts, strict=True), (_ETA, template % tuple(known))]
        return pieces, left.count(None) < len(left)


def _lately_lost(picture: Picture, since: float) -> list[TrackedJob]:
    """Return the jobs that failed or vanished since a time, the latest first."""
    lost = [one for one in picture.jobs.lost.values() if one.finished_at is not None and one.finished_at > since]
    lost.sort(key=lambda one: one.finished_at or 0.0, reverse=True)
    return lost


def _unfinished(picture: Picture, series: int) -> list[TrackedJob]:
    """Return the unfinished jobs: stalled ones first, then the oldest, where so many series will not do for all."""
    unfinished = list(picture.jobs.unfinished.values())
    if len(unfinished) * _MOST_OF_A_JOB > series:
        unfinished.sort(key=lambda tracked: (not tracked.stalled, tracked.first_seen, tracked.job.job_id))
    return unfinished


def _series(tracked: TrackedJob, seconds_left: float | None) -> int:
    """Return the number of series of an unfinished job."""
    job = tracked.job
    perhaps = (job.progress, job.imported_rows, job.total_rows, seconds_left)
    return _LEAST_OF_A_JOB + len(perhaps) - perhaps.count(None)


def _running(who: str, tracked: TrackedJob) -> tuple[str, ...]:
    """Return the lines of an unfinished job; the last, of the time left, as a template for its value."""
    job = tracked.job
    of = _job(who, job)
    progress, imported, total = job.progress, job.imported_rows, job.total_rows
    return (
        f'milvus_import_job_state{{{of},state="{job.state}"}} 1\n',
        f'milvus_import_job_stalled{{{of},state="{job.state}"}} {int(tracked.stalled)}\n',
        f"milvus_import_job_first_seen_timestamp_seconds{{{of}}} {tracked.first_seen!r}\n",
        f"milvus_import_job_last_change_timestamp_seconds{{{of}}} {tracked.last_change!r}\n",
        "" if progress is None else f"milvus_import_job_progress_ratio{{{of}}} {progress!r}\n",
        "" if imported is None else f"milvus_import_job_imported_rows{{{of}}} {imported!r}\n",
        "" if total is None else f"milvus_import_job_total_rows{{{of}}} {total!r}\n",
        f"milvus_import_job_eta_seconds{{{of.replace('%', '%%')}}} %.1f\n",
    )


def _lost(who: str, tracked: TrackedJob) -> tuple[str, ...]:
    """Return the lines of a job that failed or vanished."""
    job = tracked.job
    of = _job(who, job)
    failed = ""
    if job.state is JobState.FAILED:
        failed = f'milvus_import_job_failed{{{of},reason="{classify(job.reason).value}"}} 1\n'
    return f'milvus_import_job_state{{{of},state="{job.state}"}} 1\n', failed


def _job(who: str, job: Job) -> str:
    """Return the labels of a job."""
    return f'{_place(who, job.database, job.collection)},job_id="{escaped(job.job_id)}"'


@dataclass(frozen=True, slots=True)
class _Collections:
    """What is told of collections, as far as there is room for it.

    Attributes:
        pieces: The text.
        series: How many series that is, or as many as there was room for where some were left out.
        dropped: How many were left out.
    """

    pieces: Sequence[Piece]
    series: int
    dropped: int


def _room(left: int, series: int) -> int:
    """Return how much room so many series have; the same as long as there is enough, however much is left."""
    return min(left, series)


def _fitting(families: Sequence[int], collections: Sequence[Sequence[str]], room: int) -> _Collections:
    """Return what is told of the first collections, as long as they fit, each whole.

    Args:
        families: The indexes of the families.
        collections: For each collection, its lines by family.
        room: How many series there may be.
    """
    budget = Budget(room)
    count = budget.fitting(["".join(texts).count("\n") for texts in collections])
    columns = zip(*collections[:count], strict=True)
    pieces = [(index, encoded("".join(column))) for index, column in zip(families, columns, strict=False)]
    return _Collections(pieces, room - budget.left, budget.dropped)


def _outcomes(who: str, outcomes: Mapping[Place, CollectionOutcome], room: int) -> _Collections:
    """Return how imports ended, failures first."""
    collections = []
    for place, outcome in sorted(outcomes.items(), key=lambda item: not item[1].last_failed):
        of, failed, at = _place(who, *place), outcome.last_failed, outcome.last_completed_at
        collections.append(
            (
                "" if failed is None else f"milvus_import_collection_last_finished_failed{{{of}}} {int(failed)}\n",
                "" if at is None else f"milvus_import_collection_last_completed_timestamp_seconds{{{of}}} {at!r}\n",
            )
        )
    return _fitting(_OUTCOME, collections, room)


def _listed(
    who: str, completed: Mapping[Place, int], others: Mapping[tuple[str, str, JobState], int], room: int
) -> _Collections:
    """Return how many jobs of each state the list has."""
    counts: dict[Place, dict[str, int]] = {place: {JobState.COMPLETED: count} for place, count in completed.items()}
    for (database, collection, state), count in others.items():
        counts.setdefault((database, collection), {})[state] = count
    return _fitting((INDEX["jobs"],), _by_state("jobs", who, counts), room)


def _finished(who: str, finished: Mapping[Place, Mapping[str, int]], room: int) -> _Collections:
    """Return how many jobs have finished."""
    return _fitting((INDEX["jobs_finished_total"],), _by_state("jobs_finished_total", who, finished), room)


def _by_state(family: str, who: str, counts: Mapping[Place, Mapping[str, int]]) -> list[tuple[str]]:
    """Return the lines of each collection."""
    collections = []
    for place, states in counts.items():
        head = f"milvus_import_{family}{{{_place(who, *place)},state"
        collections.append(("".join([f'{head}="{state}"}} {count}\n' for state, count in sorted(states.items())]),))
    return collections


def _place(who: str, database: str, collection: str) -> str:
    """Return the labels of a collection."""
    return f'{who},database="{escaped(database)}",collection="{escaped(collection)}"'


def _states(picture: Picture) -> dict[tuple[str, str, JobState], int]:
    """Count the jobs of the latest list that have not completed, by collection and state."""
    return dict(
        Counter(
            [
                (tracked.job.database, tracked.job.collection, tracked.job.state)
                for tracked in chain(picture.jobs.unfinished.values(), picture.jobs.lost.values())
                if tracked.missing_since is None
            ]
        )
    )
