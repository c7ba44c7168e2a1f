"""Evaluates the expected imports every few seconds, keeps their states in the store, shows and logs them."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from operator import is_
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from monitor.config import Cluster, Expectation
from monitor.expectations.collections import ExpectedKey, expected_imports
from monitor.expectations.occurrences import EARLY_LIMIT, ExpectedState, ended_at
from monitor.expectations.reports import log_evaluation, predicted, sample
from monitor.expectations.tracking import Evaluation, adopt_record, begin_evaluation, evaluate, first_record, is_changed
from monitor.jobs import CollectionKey, CollectionOutcome, Job, Snapshot
from monitor.metrics import ExpectationSample
from monitor.store import ExpectationRecord, Store, StoreBusyError

CHECK_INTERVAL: Final = 5.0
"""Seconds from one evaluation of the expected imports to the next."""

READ_INTERVAL: Final = 60.0
"""Seconds after which the finished imports of a collection are read again, besides whenever one has ended."""

SEEN_INTERVAL: Final = 300.0
"""Seconds after which it is stored up to when clusters have been polled; far less than ``TRUSTED_GAP``."""

WRITE_DELAY: Final = 60.0
"""Seconds for which an import that has just ended may wait to be written, as while the store is busy."""

_OPEN: Final = frozenset({ExpectedState.WAITING, ExpectedState.RUNNING, ExpectedState.LATE_START, ExpectedState.LATE})

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.expectations")


class _Imports(msgspec.Struct, frozen=True):
    """The finished imports of one collection since a time, as they were read when it had an outcome."""

    jobs: Sequence[Job] = ()
    since: float = float("inf")
    outcome: CollectionOutcome | None = None
    read_at: float = float("-inf")

    def is_outdated(self, since: float, outcome: CollectionOutcome | None, now: float, *, is_open: bool) -> bool:
        """Return whether they have to be read again."""
        is_old = is_open and not self.read_at <= now < self.read_at + READ_INTERVAL
        return since < self.since or outcome != self.outcome or is_old


class _ExpectedCluster:
    """A cluster that this monitor polls, with the records of its expected imports."""

    def __init__(self, records: Iterable[ExpectationRecord]) -> None:
        self.records = {record.key: record for record in records}
        self.imports: dict[CollectionKey, _Imports] = defaultdict(_Imports)
        self.left_out = 0
        self.awaits_import = False
        self._evaluated_facts: tuple[object, ...] = ()
        self._evaluated_at = float("-inf")

    def has_changed(self, now: float, *facts: object) -> bool:
        """Return whether an evaluation can change anything: other facts than at the last, or `READ_INTERVAL` later."""
        is_same = len(facts) == len(self._evaluated_facts) and all(map(is_, facts, self._evaluated_facts))
        return not is_same or self.awaits_import or not self._evaluated_at <= now < self._evaluated_at + READ_INTERVAL

    def note_evaluation(self, now: float, *facts: object) -> None:
        """Note the facts that have been evaluated."""
        self._evaluated_facts, self._evaluated_at = facts, now


class ExpectationChecks:
    """Checks the expected imports of the clusters that this monitor polls.

    While the store is unavailable nothing is judged: an import may have completed unseen, and what has been logged
    could not be kept.

    Args:
        store: Keeps the records; its snapshots and finished jobs are what has happened.
        expectations: Returns the expectations of the config.
        polled: Returns the clusters that this monitor polls, each with the time of its last successful poll.
        show: Shows the imports of a cluster, by its name.
        labels: Returns the fields of each event of a cluster.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        store: Store,
        *,
        expectations: Callable[[], Sequence[Expectation]],
        polled: Callable[[], Iterable[tuple[Cluster, float | None]]],
        show: Callable[[str, Sequence[ExpectationSample]], None],
        labels: Callable[[Cluster], Mapping[str, object]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._expectations = expectations
        self._polled = polled
        self._show = show
        self._labels = labels
        self._clock = clock
        self._clusters: dict[str, _ExpectedCluster] = {}
        self._matching: dict[str, tuple[Expectation, ...]] = {}
        self._matched: Sequence[Expectation] = ()
        self._unstored: dict[str, dict[ExpectedKey, set[tuple[str, float]]]] = {}
        """By cluster what is in the log, but not in the store because a transaction failed: not to be logged again."""
        self._seen_at = clock()

    def check(self) -> None:
        """Evaluate all expected imports once."""
        expectations = self._expectations()
        if not (expectations or self._clusters) or not self._store.up:
            return
        if expectations != self._matched:
            self._matching, self._matched = {}, expectations
        clusters = {cluster.name: (cluster, seen) for cluster, seen in self._polled()}
        wanted = [name for name in clusters if self._expected_of(name) or name in self._clusters]
        for name in self._clusters.keys() - wanted:
            del self._clusters[name]
        for name in self._unstored.keys() - clusters.keys():
            del self._unstored[name]
        try:
            self._load([name for name in wanted if name not in self._clusters])
            for name in wanted:
                self._try_cluster(*clusters[name])
            self._keep_seen()
        except StoreBusyError:  # tried again after `CHECK_INTERVAL`
            return
        except (SQLAlchemyError, OSError) as error:
            self._clusters.clear()
            self._store.mark_unavailable(error)

    def _try_cluster(self, cluster: Cluster, seen: float | None) -> None:
        try:
            self._check_cluster(cluster, seen)
        except (StoreBusyError, SQLAlchemyError, OSError):
            raise
        except Exception:  # noqa: BLE001 - a fault of ours costs one cluster this evaluation: it is logged, what was shown stays
            _log.exception("expectations_not_checked", **self._labels(cluster))

    def _expected_of(self, name: str) -> tuple[Expectation, ...]:
        """Return the expectations of a cluster."""
        if name not in self._matching:
            self._matching[name] = tuple(
                expectation for expectation in self._matched if fnmatchcase(name, expectation.cluster)
            )
        return self._matching[name]

    def _load(self, names: Sequence[str]) -> None:
        loaded: dict[str, list[ExpectationRecord]] = {name: [] for name in names}
        for record in self._store.expectations.load(names) if names else ():
            loaded[record.cluster].append(record)
        self._clusters |= {name: _ExpectedCluster(records) for name, records in loaded.items()}

    def _check_cluster(self, cluster: Cluster, seen: float | None) -> None:
        name, expectations = cluster.name, self._expected_of(cluster.name)
        entry, snapshot = self._clusters[name], self._store.snapshot(name)
        if seen is None or snapshot is None:  # not polled yet since the start: the records count
            names = {expectation.name for expectation in expectations}
            records = [record for record in entry.records.values() if record.expectation in names]
            self._show(name, [sample(record) for record in records])
            return
        facts = cluster, expectations, snapshot, seen
        if not entry.has_changed(self._clock(), *facts):
            return
        expected, left_out = expected_imports(expectations, snapshot, seen)
        if left_out > entry.left_out:
            _log.warning("expectations_left_out", **self._labels(cluster), imports=left_out)
        entry.left_out = left_out
        evaluations = self._evaluate(name, entry, expected, snapshot, seen)
        if not self._write(cluster, entry, evaluations):
            del self._clusters[name]  # another monitor has it by now, or has had it in between
            return
        now = self._clock()
        entry.note_evaluation(now, *facts)
        outcomes = [snapshot.outcomes.get((key[1], key[2])) for key in evaluations]
        self._show(
            name,
            [
                sample(evaluation.record, predicted(evaluation, outcome, now))
                for evaluation, outcome in zip(evaluations.values(), outcomes, strict=True)
            ],
        )

    def _evaluate(
        self,
        name: str,
        entry: _ExpectedCluster,
        expected: Mapping[ExpectedKey, Expectation],
        snapshot: Snapshot,
        seen: float,
    ) -> dict[ExpectedKey, Evaluation]:
        """Judge the expected imports of a cluster."""
        records = {}
        for key, expectation in expected.items():
            record = entry.records.get(key) or adopt_record(key, entry.records, expected)
            if record is None:
                records[key] = first_record(expectation, name, key[1], key[2], seen)
            else:
                records[key] = begin_evaluation(expectation, record, seen)
        tracked: dict[CollectionKey, list[Job]] = defaultdict(list)
        for job in snapshot.tracked.values():
            tracked[job.database, job.collection].append(job)
        self._read_imports(name, entry, records, snapshot)
        evaluations, unwritten = {}, set()
        for key, record in records.items():
            collection = key[1], key[2]
            jobs = {job.job_id: job for job in (*entry.imports[collection].jobs, *tracked[collection])}
            if _is_being_written(snapshot.outcomes.get(collection), jobs.values(), record.occurrence, self._clock()):
                evaluations[key] = Evaluation(record, None, (), 0)
                unwritten.add(collection)
            else:
                evaluations[key] = evaluate(expected[key], record, jobs.values())
        entry.awaits_import = bool(unwritten)
        for collection in unwritten:  # read again at the next evaluation
            entry.imports.pop(collection, None)
        return evaluations

    def _read_imports(
        self, name: str, entry: _ExpectedCluster, records: Mapping[ExpectedKey, ExpectationRecord], snapshot: Snapshot
    ) -> None:
        """Read the finished imports of those collections of which they can have changed."""
        needed: dict[CollectionKey, float] = {}
        is_open: dict[CollectionKey, bool] = defaultdict(bool)
        for (_, *names), record in records.items():
            key, at = (names[0], names[1]), record.occurrence - EARLY_LIMIT
            needed[key] = min(at, needed.get(key, at))
            is_open[key] |= record.state in _OPEN and at <= record.seen_until
        now, outcomes = self._clock(), snapshot.outcomes
        since = {
            key: at
            for key, at in needed.items()
            if entry.imports[key].is_outdated(at, outcomes.get(key), now, is_open=is_open[key])
        }
        for key, jobs in self._store.finished_imports(name, since).items() if since else ():
            entry.imports[key] = _Imports(jobs, since[key], outcomes.get(key), now)

    def _write(self, cluster: Cluster, entry: _ExpectedCluster, evaluations: Mapping[ExpectedKey, Evaluation]) -> bool:
        """Store what has changed, and log it while nobody else can; return whether the records were still ours."""
        changed = {
            key: evaluation
            for key, evaluation in evaluations.items()
            if is_changed(entry.records.get(key), evaluation.record)
        }
        obsolete = [record for key, record in entry.records.items() if key not in evaluations]
        logged = self._unstored.get(cluster.name, {})  # by an attempt that was rolled back

        def work(connection: Connection) -> None:
            for record in obsolete:
                self._store.expectations.delete(connection, record)
            for evaluation in changed.values():
                if not self._store.expectations.write(connection, evaluation.record):
                    raise _ChangedElsewhereError
            for key, evaluation in changed.items():
                if evaluation.events or evaluation.unknown:
                    self._unstored[cluster.name] = logged
                    log_evaluation(self._labels(cluster), evaluation, logged.setdefault(key, set()))

        try:
            if changed or obsolete:
                self._store.expectations.transact(work)
        except _ChangedElsewhereError:
            return False
        self._unstored.pop(cluster.name, None)
        entry.records = {
            key: replace(evaluation.record, revision=evaluation.record.revision + 1)
            if key in changed
            else evaluation.record
            for key, evaluation in evaluations.items()
        }
        return True

    def _keep_seen(self) -> None:
        """Store up to when the clusters have been polled, every few minutes."""
        now = self._clock()
        if 0 <= now - self._seen_at < SEEN_INTERVAL:
            return
        seen = {
            name: max(record.seen_until for record in entry.records.values())
            for name, entry in self._clusters.items()
            if entry.records
        }
        self._store.expectations.write_seen(seen, now)
        self._seen_at = now


class _ChangedElsewhereError(Exception):
    """Another monitor has changed a record."""


def _is_being_written(outcome: CollectionOutcome | None, jobs: Iterable[Job], since: float, now: float) -> bool:
    """Return whether an import that has just completed is not in the store yet, as while another thread writes."""
    completed_at = None if outcome is None else outcome.last_completed_at
    if completed_at is None or not max(since, now - WRITE_DELAY) <= completed_at:
        return False
    return all((ended_at(job) or 0.0) < completed_at - 1.0 for job in jobs)
