"""The expected imports of one cluster: their records, and how they are judged by the imports in memory and store."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import is_
from typing import Final

import msgspec

from monitor.config import Expectation
from monitor.expectations.collections import ExpectedKey
from monitor.expectations.occurrences import EARLY_LIMIT, ExpectedState, ended_at
from monitor.expectations.tracking import Evaluation, adopt_record, begin_evaluation, evaluate, first_record
from monitor.jobs import CollectionKey, CollectionOutcome, Job, Snapshot
from monitor.store import ExpectationRecord, Store

READ_INTERVAL: Final = 60.0
"""Seconds after which the finished imports of a collection are read again, besides whenever an import has ended."""

WRITE_DELAY: Final = 60.0
"""Seconds for which an import that has just ended may wait to be written, as while the store is busy."""

_OPEN: Final = frozenset({ExpectedState.WAITING, ExpectedState.RUNNING, ExpectedState.LATE_START, ExpectedState.LATE})


class _Imports(msgspec.Struct, frozen=True):
    """The finished imports of one collection since a time, as they were read when the collection had an outcome."""

    jobs: Sequence[Job] = ()
    since: float = float("inf")
    outcome: CollectionOutcome | None = None
    read_at: float = float("-inf")

    def is_outdated(self, since: float, outcome: CollectionOutcome | None, now: float, *, is_open: bool) -> bool:
        """Return whether the imports have to be read again."""
        is_old = is_open and not self.read_at <= now < self.read_at + READ_INTERVAL
        return since < self.since or outcome != self.outcome or is_old


class ExpectedCluster:
    """A cluster that this monitor polls, with the records of its expected imports.

    Args:
        name: The name of the cluster.
        records: What the store has of its expected imports.

    Attributes:
        records: The records by key, as they are stored.
        left_out: How many expected imports were not judged at the last evaluation, because there are too many.
    """

    def __init__(self, name: str, records: Iterable[ExpectationRecord]) -> None:
        self.records = {record.key: record for record in records}
        self.left_out = 0
        self._name = name
        self._imports: dict[CollectionKey, _Imports] = defaultdict(_Imports)
        self._awaits_import = False
        self._evaluated_facts: tuple[object, ...] = ()
        self._evaluated_at = float("-inf")

    def has_changed(self, now: float, *facts: object) -> bool:
        """Return whether an evaluation can change anything: the facts are new, or `READ_INTERVAL` has passed."""
        is_same = len(facts) == len(self._evaluated_facts) and all(map(is_, facts, self._evaluated_facts))
        return not is_same or self._awaits_import or not self._evaluated_at <= now < self._evaluated_at + READ_INTERVAL

    def note_evaluation(self, now: float, *facts: object) -> None:
        """Note the facts that have been evaluated."""
        self._evaluated_facts, self._evaluated_at = facts, now

    def evaluate(
        self, store: Store, expected: Mapping[ExpectedKey, Expectation], snapshot: Snapshot, seen: float, now: float
    ) -> dict[ExpectedKey, Evaluation]:
        """Judge the expected imports of the cluster.

        Args:
            store: Where finished imports are read.
            expected: The expected imports, each with its expectation.
            snapshot: The cluster's snapshot.
            seen: When the cluster was last polled successfully.
            now: The time of this evaluation.
        """
        records = {}
        for key, expectation in expected.items():
            record = self.records.get(key) or adopt_record(key, self.records, expected)
            if record is None:
                records[key] = first_record(expectation, self._name, key[1], key[2], seen)
            else:
                records[key] = begin_evaluation(expectation, record, seen)
        tracked: dict[CollectionKey, list[Job]] = defaultdict(list)
        for job in snapshot.tracked.values():
            tracked[job.database, job.collection].append(job)
        self._read_imports(store, records, snapshot.outcomes, now)
        evaluations, unwritten = {}, set()
        for key, record in records.items():
            collection = key[1], key[2]
            jobs = {job.job_id: job for job in (*self._imports[collection].jobs, *tracked[collection])}
            if _is_being_written(snapshot.outcomes.get(collection), jobs.values(), record.occurrence, now):
                evaluations[key] = Evaluation(record, None, (), 0)
                unwritten.add(collection)
            else:
                evaluations[key] = evaluate(expected[key], record, jobs.values())
        self._awaits_import = bool(unwritten)
        for collection in unwritten:  # read again at the next evaluation
            self._imports.pop(collection, None)
        return evaluations

    def _read_imports(
        self,
        store: Store,
        records: Mapping[ExpectedKey, ExpectationRecord],
        outcomes: Mapping[CollectionKey, CollectionOutcome],
        now: float,
    ) -> None:
        """Read the finished imports of each collection where these can have changed since they were last read."""
        needed: dict[CollectionKey, float] = {}
        is_open: dict[CollectionKey, bool] = defaultdict(bool)
        for (_, database, collection), record in records.items():
            key, at = (database, collection), record.occurrence - EARLY_LIMIT
            needed[key] = min(at, needed.get(key, at))
            is_open[key] |= record.state in _OPEN and at <= record.seen_until
        since = {
            key: at
            for key, at in needed.items()
            if self._imports[key].is_outdated(at, outcomes.get(key), now, is_open=is_open[key])
        }
        for key, jobs in store.finished_imports(self._name, since).items() if since else ():
            self._imports[key] = _Imports(jobs, since[key], outcomes.get(key), now)


def _is_being_written(outcome: CollectionOutcome | None, jobs: Iterable[Job], since: float, now: float) -> bool:
    """Return whether an import that has just completed is not in the store yet, as while another thread writes."""
    completed_at = None if outcome is None else outcome.last_completed_at
    if completed_at is None or not max(since, now - WRITE_DELAY) <= completed_at:
        return False
    return all((ended_at(job) or 0.0) < completed_at - 1.0 for job in jobs)
