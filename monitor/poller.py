"""One poll of one cluster: fetch, compare, record, publish, log."""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final

import msgspec
import structlog

from monitor.client import ApiError, ErrorKind, ImportApi, KnownDatabases, StoppedError, Usage
from monitor.config import Cluster
from monitor.fetch import fetch
from monitor.jobs import ClockStep, Job, JobList, Policy, PollResult, Snapshot, SnapshotDiff, diff
from monitor.metrics import ClusterMetrics, ProcessMetrics
from monitor.poll_log import RecordWarnings, cluster_fields, log_changes
from monitor.store import Store

THROTTLED_SHARE: Final = 0.5
"""Share of a poll's time spent waiting for a rate limit, above which the limit and not the server delays the poll."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.poller")


class PollOutcome(msgspec.Struct, frozen=True, gc=False):
    """How a poll ended.

    Attributes:
        ok: Whether the poll succeeded.
        retry_after: Seconds for which the server asks not to be polled, or None.
        error: What went wrong; empty where the poll succeeded.
        diff: What the poll changed; None where it failed.
        unauthorized: Whether the server has rejected the key.
    """

    ok: bool
    retry_after: float | None = None
    error: str = ""
    diff: SnapshotDiff | None = None
    unauthorized: bool = False


class Poller:
    """Polls one cluster, for one thread at a time.

    Args:
        cluster: The cluster.
        api: The cluster's import API.
        store: Where the cluster's snapshot is kept.
        metrics: The cluster's series.
        process_metrics: Where the duration of polls is observed.
        clock: Seconds since the epoch.
        clock_steps: Returns the latest steps of that clock.
        is_ours: Says of a cluster, by its name, whether this monitor is to poll it, which can change during a poll.

    Attributes:
        error: Why the latest poll failed; empty where it succeeded, and before the first poll.
    """

    def __init__(
        self,
        cluster: Cluster,
        api: ImportApi,
        store: Store,
        metrics: ClusterMetrics,
        process_metrics: ProcessMetrics,
        clock: Callable[[], float] = time.time,
        clock_steps: Callable[[], tuple[ClockStep, ...]] = tuple,
        is_ours: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.cluster = cluster
        self.metrics = metrics
        self._api = api
        self._store = store
        self._process_metrics = process_metrics
        self._clock = clock
        self._clock_steps = clock_steps
        self._is_ours = is_ours
        self.error = ""
        self._started = self._ended = 0.0
        self._record_warnings = RecordWarnings()
        self._recording = Lock()
        self._retired = False

    def poll(self) -> PollOutcome:
        """Poll once. Nothing is raised: a failure is counted, logged, and part of the outcome."""
        self._started = time.monotonic()
        try:
            return self._poll()
        finally:
            self._ended = time.monotonic()

    def _poll(self) -> PollOutcome:
        steps = self._clock_steps()  # first: what this poll sees change, changes after these steps
        now = self._clock()
        requests_before = self.usage.requests.total()
        try:
            previous = self._store.snapshot(self.cluster.name)
            result = self._fetch(previous, now)
            changes = diff(previous, result, now, policy(self.cluster, steps, poll_failed=bool(self.error)))
            recorded = self._record(changes)
            if recorded is None:
                return PollOutcome(ok=False)
            changes, transition_ids = recorded
            try:
                self._publish(changes, result.listing, now, requests_before)
            finally:  # recorded changes are logged even if they cannot be published, for no later poll will log them
                log_changes(changes, now, self._labels())
                self._record_warnings.log(result.listing, self._labels())
                self._store.mark_logged(transition_ids)
        except StoppedError:
            return PollOutcome(ok=False)
        except ApiError as error:
            return self._fail(error.kind, str(error), now, error.retry_after)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end a cluster's polls: it is logged, counted
            _log.exception("poll_crashed", **self._labels())
            return self._fail(ErrorKind.OTHER, f"{type(error).__name__} in the monitor itself", now)
        return PollOutcome(ok=True, diff=changes)

    def _fetch(self, previous: Snapshot | None, now: float) -> PollResult:
        try:
            return fetch(self._api, previous, now, self._finished_jobs, self._labels())
        finally:
            self.metrics.set_usage(self.usage.requests, self.usage.throttled)

    def _finished_jobs(self, ids: frozenset[str]) -> Mapping[str, Job | None]:
        return self._store.finished_jobs(self.cluster.name, ids)

    def _record(self, changes: SnapshotDiff) -> tuple[SnapshotDiff, list[int]] | None:
        """Record what a poll changed; return the changes to be shown, with the ids of the transitions to be logged.

        If another monitor has recorded a snapshot since this poll began, that snapshot is shown instead, and the other
        monitor logs its transitions. None if the poller was retired, or another monitor has the cluster by now.
        """
        with self._recording:
            if not self._counts():
                return None
            ids = self._store.record(self.cluster.name, changes, self._counts)
            if ids is not None:
                return changes, ids
            current = self._store.snapshot(self.cluster.name) or Snapshot()
        previous = changes.previous or Snapshot()
        removed_ids = tuple(previous.tracked.keys() - current.tracked.keys())
        changed = tuple(current.tracked.values())
        return SnapshotDiff(current, previous, changed, removed_ids, outcomes_changed=True), []

    def _counts(self) -> bool:
        """Return whether what a poll has seen is to be recorded, shown and logged."""
        return not self._retired and self._is_ours(self.cluster.name)

    def _publish(self, changes: SnapshotDiff, listing: JobList, now: float, requests_before: int) -> None:
        duration = time.monotonic() - self._started
        self.metrics.poll_succeeded(changes, now=now, duration=duration, bad_records=len(listing.bad_records))
        recovered, self.error = self.error, ""
        if recovered:
            _log.info("cluster_recovered", **self._labels())
        self._finish(
            duration,
            requests=self.usage.requests.total() - requests_before,
            jobs=len(listing.records),
            transitions=len(changes.transitions),
            progressed=changes.progressed,
            regressed=changes.regressed,
            missing=changes.missing,
        )

    def _fail(self, kind: ErrorKind, message: str, now: float, retry_after: float | None = None) -> PollOutcome:
        if not self._counts():
            return PollOutcome(ok=False)
        duration = time.monotonic() - self._started
        self.metrics.poll_failed(kind.value, now=now, duration=duration)
        failed_before, self.error = self.error, message
        if not failed_before:
            _log.error("cluster_unreachable", **self._labels(), kind=kind.value, message=message)
        self._finish(duration, kind=kind.value, message=message)
        return PollOutcome(
            ok=False, retry_after=retry_after, error=message, unauthorized=kind is ErrorKind.UNAUTHORIZED
        )

    def _finish(self, duration: float, **details: object) -> None:
        self._process_metrics.observe_poll(duration)
        _log.debug("poll_finished", **self._labels(), duration_seconds=round(duration, 4), **details)

    def _labels(self) -> dict[str, object]:
        return cluster_fields(self.cluster)

    def reconfigure(self, cluster: Cluster, api: ImportApi) -> None:
        """Poll with changed settings from the next poll on, and remember whether the cluster was reachable."""
        self.cluster, self._api = cluster, api
        self.metrics.reconfigure(cluster)

    def take_over(self, snapshot: Snapshot | None) -> None:
        """Show what another monitor has seen of the cluster, and forget how our own polls of the cluster went."""
        self.error = ""
        self.metrics.take_over(snapshot or Snapshot(), self._clock())

    def retire(self) -> Snapshot | None:
        """Record nothing any more, not even what a running poll will bring, and forget the cluster.

        Returns:
            The cluster's latest snapshot; None where it has not been polled.
        """
        with self._recording:
            self._retired = True
            snapshot = self._store.snapshot(self.cluster.name)
            self._store.forget(self.cluster.name, delete=self._is_ours(self.cluster.name))
        return snapshot

    @property
    def usage(self) -> Usage:
        """The requests sent to the cluster's API so far."""
        return self._api.session.usage

    def is_throttled(self) -> bool:
        """Return whether the running poll, or else the latest one, has mostly waited for a rate limit."""
        ended = self._ended if self._ended >= self._started else time.monotonic()
        return self._api.session.throttled > THROTTLED_SHARE * (ended - self._started)

    @property
    def known_databases(self) -> KnownDatabases | None:
        """What is known of the cluster's databases, where `databases` is `all`."""
        return self._api.known_databases


def policy(cluster: Cluster, clock_steps: tuple[ClockStep, ...] = (), *, poll_failed: bool = False) -> Policy:
    """Return the policy by which the jobs of a cluster are followed."""
    return Policy(
        cluster.stall_after,
        cluster.pending_after,
        cluster.uncommitted_after,
        cluster.failed_retention,
        several_databases=cluster.follows_databases or len(cluster.databases) > 1,
        clock_steps=clock_steps,
        poll_failed=poll_failed,
    )
