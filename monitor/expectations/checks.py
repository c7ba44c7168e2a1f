"""Checks the expected imports every few seconds: keeps their states in the store, shows and logs them."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from monitor.config import Cluster, Expectation
from monitor.expectations.collections import ExpectedKey, expected_imports
from monitor.expectations.expected_cluster import ExpectedCluster
from monitor.expectations.reports import log_evaluation, predicted, sample
from monitor.expectations.tracking import Evaluation, is_changed
from monitor.metrics import ExpectationSample
from monitor.store import ExpectationRecord, Store, StoreBusyError

CHECK_INTERVAL: Final = 5.0
"""Seconds from one evaluation of the expected imports to the next."""

SEEN_INTERVAL: Final = 300.0
"""Seconds between writes of the times up to which clusters have been polled; far less than ``TRUSTED_GAP``."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.expectations")


class ExpectationChecks:
    """Checks the expected imports of the clusters that this monitor polls.

    While the store is unavailable nothing is judged: an import may have completed unseen, and what has been logged
    could not be kept.

    Args:
        store: Keeps the records; its snapshots and finished jobs tell which imports have happened.
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
        self._clusters: dict[str, ExpectedCluster] = {}
        self._matching: dict[str, tuple[Expectation, ...]] = {}
        self._matched: Sequence[Expectation] = ()
        self._unstored: dict[str, dict[ExpectedKey, set[tuple[str, float]]]] = {}
        """By cluster the events that are logged, though not stored, as a transaction failed: not to be logged again."""
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
            self._store.availability.mark_unavailable(error)

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
        self._clusters |= {name: ExpectedCluster(name, records) for name, records in loaded.items()}

    def _check_cluster(self, cluster: Cluster, seen: float | None) -> None:
        name, expectations = cluster.name, self._expected_of(cluster.name)
        entry, snapshot = self._clusters[name], self._store.snapshot(name)
        if seen is None or snapshot is None:  # not polled yet since the start: the records count
            names = {expectation.name for expectation in expectations}
            records = [record for record in entry.records.values() if record.expectation in names]
            self._show(name, [sample(record) for record in records])
            return
        now, facts = self._clock(), (cluster, expectations, snapshot, seen)
        if not entry.has_changed(now, *facts):
            return
        expected, left_out = expected_imports(expectations, snapshot, seen)
        if left_out > entry.left_out:
            _log.warning("expectations_left_out", **self._labels(cluster), imports=left_out)
        entry.left_out = left_out
        evaluations = entry.evaluate(self._store, expected, snapshot, seen, now)
        if not self._write(cluster, entry, evaluations):
            del self._clusters[name]  # another monitor has the cluster by now, or has had it in between
            return
        entry.note_evaluation(now, *facts)
        samples = [
            sample(evaluation.record, predicted(evaluation, snapshot.outcomes.get((database, collection)), now))
            for (_, database, collection), evaluation in evaluations.items()
        ]
        self._show(name, samples)

    def _write(self, cluster: Cluster, entry: ExpectedCluster, evaluations: Mapping[ExpectedKey, Evaluation]) -> bool:
        """Store and log what has changed, so that no other monitor logs it; return whether the records were ours."""
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
