"""What the polls of one cluster have counted since the monitor started, and how the latest one ended."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Final

import msgspec
from msgspec.structs import replace

from monitor.config import Cluster
from monitor.jobs import TERMINAL, CollectionKey, CollectionOutcome, JobState, Snapshot, SnapshotDiff, Transition

DURATION_BUCKETS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
"""Seconds: an import runs for minutes or hours."""

ENDPOINTS: Final = ("list", "describe")
DATABASES_ENDPOINT: Final = "databases"
"""The endpoint that is requested only where `databases` is `all`."""

_UNFINISHED: Final = ("pending", "importing", "uncommitted", "committing")
_FINISHED: Final = ("completed", "failed", "vanished")

USUAL_TRANSITIONS: Final = (
    *(("new", state.value) for state in JobState if state is not JobState.VANISHED),
    *pairwise(_UNFINISHED),
    *((unfinished, finished) for unfinished in _UNFINISHED for finished in _FINISHED),
)
"""Exported as 0 from the start, so that `increase()` sees the first of them; any other appears when it happens."""


class FinishedJobs(msgspec.Struct, frozen=True, gc=False):
    """Number of jobs of a collection that have finished since the start, by state."""

    completed: int = 0
    failed: int = 0
    vanished: int = 0


CollectionFacts = tuple[Sequence[tuple[JobState, int]], FinishedJobs | None, CollectionOutcome, int | None]
"""Of a collection the listed jobs by state, the finished ones since the start, how the latest ended, and the rows of
those that completed; None where they are not counted."""

_NONE_FINISHED: Final = FinishedJobs()
_NONE_OBSERVED: Final = (0,) * (len(DURATION_BUCKETS) + 1)
_NO_OUTCOME: Final = CollectionOutcome()
_NO_REQUESTS: Final = dict.fromkeys(ENDPOINTS, 0)
_NOT_THROTTLED: Final = dict.fromkeys(ENDPOINTS, 0.0)
_NO_COLLECTIONS: Final[frozenset[CollectionKey]] = frozenset()


class Histogram:
    """How long jobs took, in ``DURATION_BUCKETS``."""

    __slots__ = ("_counts", "sum")

    def __init__(self) -> None:
        self._counts = _NONE_OBSERVED
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Add a duration; where the clock went back, it counts as 0, for a sum must not shrink."""
        bucket = bisect_left(DURATION_BUCKETS, seconds)
        self._counts = (*self._counts[:bucket], self._counts[bucket] + 1, *self._counts[bucket + 1 :])
        self.sum += max(seconds, 0.0)

    def buckets(self) -> list[int]:
        """Return the number of durations up to each of ``DURATION_BUCKETS``, and of all."""
        return list(accumulate(self._counts))


@dataclass(slots=True)
class ClusterState:
    """What the families of a cluster are computed from.

    ``requests`` and ``throttled`` are by endpoint, ``durations`` by state, ``finished`` by collection; of ``failures``,
    by kind of error, and of ``transitions`` those are counted that have happened;
    ``waiting`` are finished jobs of ``new_collections``, those first seen in the latest poll, whose 0 has to be
    scraped before `increase()` can see them;
    ``interval`` is the seconds from poll to poll, ``interval_in_force`` the same while polls fail, ``stretch`` by
    which factor the interval is longer than configured;
    ``up`` is None before the first poll, ``failure`` the kind of error of the last poll where it failed; ``paused`` is
    whether the cluster is not polled, ``failures_shown`` whether its failures are shown nevertheless, ``missing``
    whether the latest list of its discovery lacks it;
    ``success_duration`` is the seconds that the last successful poll took;
    ``rows`` are those of completed jobs by collection, ``waiting_rows`` those of ``waiting`` jobs; ``left_early`` are
    finished jobs that left the list too soon.
    """

    cluster: Cluster
    failure_kinds: Sequence[str]
    interval: float
    interval_in_force: float
    snapshot: Snapshot = field(default_factory=Snapshot)
    stretch: float = 1.0
    up: bool | None = None
    failure: str = ""
    paused: bool = False
    failures_shown: bool = False
    missing: bool = False
    last_success: float | None = None
    last_poll_duration: float | None = None
    success_duration: float = 0.0
    series_dropped: int = 0
    polls: int = 0
    polls_missed: int = 0
    bad_records: int = 0
    requests: Mapping[str, int] = field(default_factory=lambda: _NO_REQUESTS)
    throttled: Mapping[str, float] = field(default_factory=lambda: _NOT_THROTTLED)
    failures: Counter[str] = field(default_factory=Counter)
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)
    durations: Mapping[str, Histogram] = field(default_factory=lambda: {state: Histogram() for state in _FINISHED})
    finished: dict[CollectionKey, FinishedJobs] = field(default_factory=dict)
    new_collections: frozenset[CollectionKey] = _NO_COLLECTIONS
    waiting: Counter[tuple[CollectionKey, str]] = field(default_factory=Counter)
    pending: Histogram = field(default_factory=Histogram)
    rows: Counter[CollectionKey] = field(default_factory=Counter)
    waiting_rows: Counter[CollectionKey] = field(default_factory=Counter)
    left_early: int = 0

    def __post_init__(self) -> None:
        self.use(self.cluster)

    def use(self, cluster: Cluster) -> None:
        """Apply changed settings; what they make the monitor request is counted from 0."""
        self.cluster = cluster
        if cluster.follows_databases:
            self.requests = {DATABASES_ENDPOINT: 0, **self.requests}
            self.throttled = {DATABASES_ENDPOINT: 0.0, **self.throttled}

    def add_collections(self, keys: Iterable[CollectionKey], limit: int) -> None:
        """Begin to count the finished jobs of collections, from 0."""
        new = [key for key in dict.fromkeys(keys) if key not in self.finished][: max(0, limit - len(self.finished))]
        if new:
            self.finished |= dict.fromkeys(new, _NONE_FINISHED)
            self.new_collections = self.new_collections.union(new)

    def begin_poll(self, *, scraped: bool) -> bool:
        """Count what has waited, if its 0 was scraped meanwhile; return whether anything was counted."""
        if not scraped:
            self.new_collections = frozenset(key for key, _ in self.waiting)
            return False
        for (key, state), count in self.waiting.items():
            self._count_finished(key, state, count)
        was_waiting = bool(self.waiting)
        self.waiting.clear()
        self.rows.update(self.waiting_rows)
        self.waiting_rows.clear()
        self.new_collections = _NO_COLLECTIONS
        return was_waiting

    def _count_finished(self, key: CollectionKey, state: str, count: int) -> None:
        finished = self.finished[key]
        self.finished[key] = replace(finished, **{state: getattr(finished, state) + count})

    def count_transitions(self, transitions: Iterable[Transition]) -> set[tuple[str, ...]]:
        """Count what happened in a poll, and return the labels of the transitions and durations that it changed.

        Of jobs first seen finished the duration is not known.
        """
        changed: set[tuple[str, ...]] = set()
        for step in transitions:
            from_state, to_state = step.from_state, step.to_state.value
            labels = "new" if from_state is None else from_state.value, to_state
            self.transitions[labels] += 1
            changed.update((labels, (to_state,)))
            if step.to_state not in TERMINAL:
                continue
            key = step.database, step.collection
            if key in self.new_collections:
                self.waiting[key, to_state] += 1
            elif key in self.finished:
                self._count_finished(key, to_state, 1)
            if from_state is not None and from_state not in TERMINAL:
                self.durations[to_state].observe(step.duration)
        return changed

    def count_rows(self, diff: SnapshotDiff) -> None:
        """Count the rows of jobs that have just completed, as far as the server gives them."""
        completed = {step.job_id for step in diff.transitions if step.to_state is JobState.COMPLETED}
        for job in diff.changed if completed else ():
            key = job.database, job.collection
            if job.job_id in completed and key in self.finished:
                (self.waiting_rows if key in self.new_collections else self.rows)[key] += job.imported_rows or 0

    def count_pending(self, diff: SnapshotDiff) -> set[tuple[str, ...]]:
        """Observe how long jobs were pending that no longer are; return the labels of the histogram if there are any.

        Jobs that were never seen pending count as 0; of those first seen finished nothing is known.
        """
        previous = {} if diff.previous is None else diff.previous.tracked
        changed: set[tuple[str, ...]] = set()
        for step in diff.transitions:
            job = previous.get(step.job_id)
            if step.from_state is None:
                observed = step.to_state not in {*TERMINAL, JobState.PENDING}
            else:  # only the first time: a retried job can be pending again
                observed = step.from_state is JobState.PENDING and job is not None and job.state_since == job.first_seen
            if observed:
                self.pending.observe(step.duration)
                changed.add(())
        return changed

    def collections(self) -> Iterator[tuple[CollectionKey, CollectionFacts]]:
        """Yield what there is to show of each collection."""
        finished, outcomes, rows = self.finished, self.snapshot.outcomes, self.rows
        listed: dict[CollectionKey, tuple[tuple[JobState, int], ...]] = defaultdict(tuple)
        for (database, collection, state), count in self.snapshot.counts.items():
            listed[database, collection] += ((state, count),)
        for key in {**finished, **outcomes, **listed}:  # of equal keys the first one stays: one that is kept anyway
            counted = rows[key] if key in finished else None
            yield key, (listed.get(key, ()), finished.get(key), outcomes.get(key, _NO_OUTCOME), counted)
