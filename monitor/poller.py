"""One poll of one cluster: fetch, compare, record, publish, log."""

import time
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Final

import msgspec
import structlog

from monitor.client import (
    SHARED_FAILURES,
    ApiError,
    ErrorKind,
    ImportApi,
    JobGoneError,
    KnownDatabases,
    StoppedError,
    Usage,
)
from monitor.config import Cluster
from monitor.database_lookup import look_up_databases
from monitor.jobs import (
    ClockStep,
    Job,
    JobList,
    JobRecord,
    Policy,
    PollResult,
    Snapshot,
    SnapshotDiff,
    compare_lists,
    describe_queue,
    diff,
)
from monitor.metrics import ClusterMetrics, ProcessMetrics
from monitor.poll_log import cluster_fields, log_changes, log_databases
from monitor.store import Store

DESCRIBES_PER_POLL: Final = 20
"""Jobs that one poll asks the server to describe; the others wait for the next poll."""

RECORD_WARNINGS: Final = 100
"""Different warnings about records that are logged, each once, for one cluster."""

THROTTLED_SHARE: Final = 0.5
"""Share of a poll's time spent waiting for a rate limit from which on the limit, and not the server, makes it late."""

_HARMFUL_FAILURES: Final = (ErrorKind.TIMEOUT, ErrorKind.CONNECTION)
"""Kinds of a describe's failure after which the job is described with growing pauses: it may crash the server."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.poller")


class PollOutcome(msgspec.Struct, frozen=True, gc=False):
    """How a poll ended.

    Attributes:
        ok: Whether it succeeded.
        retry_after: Seconds for which the server asks not to be polled, or None.
        error: What went wrong; empty where it succeeded.
        diff: What it changed; None where it failed.
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
        api: Its import API.
        store: Where its snapshot is kept.
        metrics: Its series.
        process_metrics: Where the duration of polls is observed.
        clock: Seconds since the epoch.
        clock_steps: Returns the latest steps of that clock.
        is_ours: Says of a cluster, by its name, whether this monitor is to poll it; it can change during a poll.
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
        self._error = ""
        self._started = self._ended = 0.0
        self._record_warnings: set[str] = set()
        self._recording = Lock()
        self._retired = False

    def reconfigure(self, cluster: Cluster, api: ImportApi) -> None:
        """Poll with changed settings from the next poll on; whether the cluster was reachable is remembered."""
        self.cluster, self._api = cluster, api
        self.metrics.reconfigure(cluster)

    def take_over(self, snapshot: Snapshot | None) -> None:
        """Show what another monitor has seen of the cluster, and forget whether it was reachable when it was ours."""
        self._error = ""
        self.metrics.take_over(snapshot or Snapshot(), self._clock())

    def retire(self) -> Snapshot | None:
        """Record nothing any more, not even what a running poll will bring, and forget the cluster.

        Returns:
            Its latest snapshot; None where it has not been polled.
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

    @property
    def error(self) -> str:
        """Why the cluster cannot be polled; empty where it can, or has not been polled yet."""
        return self._error

    def poll(self) -> PollOutcome:
        """Poll once. Nothing is raised: a failure is counted, logged, and part of the outcome."""
        self._started = time.monotonic()
        try:
            return self._poll()
        finally:
            self._ended = time.monotonic()

    def _poll(self) -> PollOutcome:
        steps = self._clock_steps()  # first: what this poll sees change, changes after them
        now, started = self._clock(), time.monotonic()
        requests_before = self.usage.requests.total()
        try:
            previous = self._store.snapshot(self.cluster.name)
            result = self._fetch(previous, now)
            recorded = self._record(
                diff(previous, result, now, policy(self.cluster, steps, poll_failed=bool(self._error)))
            )
            if recorded is None:
                return PollOutcome(ok=False)
            changes, transition_ids = recorded
            try:
                self._publish(changes, result.listing, now, time.monotonic() - started, requests_before)
            finally:  # what is recorded is logged also where it cannot be published, for no later poll will log it
                log_changes(changes, now, self._labels())
                self._warn_about_records(result.listing)
                self._store.mark_logged(transition_ids)
        except StoppedError:
            return PollOutcome(ok=False)
        except ApiError as error:
            return self._fail(error.kind, str(error), now, started, error.retry_after)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end a cluster's polls: it is logged, counted
            _log.exception("poll_crashed", **self._labels())
            return self._fail(ErrorKind.OTHER, f"{type(error).__name__} in the monitor itself", now, started)
        return PollOutcome(ok=True, diff=changes)

    def _fetch(self, previous: Snapshot | None, now: float) -> PollResult:
        try:
            return fetch(self._api, previous, now, self._finished_jobs, self._labels())
        finally:
            self.metrics.set_usage(self.usage.requests, self.usage.throttled)

    def _finished_jobs(self, ids: frozenset[str]) -> Mapping[str, Job | None]:
        return self._store.finished_jobs(self.cluster.name, ids)

    def _record(self, changes: SnapshotDiff) -> tuple[SnapshotDiff, list[int]] | None:
        """Record what a poll changed; return what counts now, with the ids of the transitions to be logged.

        Where another snapshot has replaced the one that the poll was compared with, that one counts: another monitor
        has recorded it, and logs it. None where the poller was retired, or another monitor has the cluster by now.
        """
        with self._recording:
            if not self._counts():
                return None
            ids = self._store.record(self.cluster.name, changes)
            if ids is not None:
                return changes, ids
            current = self._store.snapshot(self.cluster.name) or Snapshot()
        previous = changes.previous or Snapshot()
        removed_ids = tuple(previous.tracked.keys() - current.tracked.keys())
        changed = tuple(current.tracked.values())
        return SnapshotDiff(current, previous, changed, removed_ids, outcomes_changed=True), []

    def _counts(self) -> bool:
        """Say whether what a poll has seen counts; if not, it is neither shown nor recorded nor logged."""
        return not self._retired and self._is_ours(self.cluster.name)

    def _publish(
        self, changes: SnapshotDiff, listing: JobList, now: float, duration: float, requests_before: int
    ) -> None:
        self.metrics.poll_succeeded(changes, now=now, duration=duration, bad_records=len(listing.bad_records))
        self._process_metrics.observe_poll(duration)
        recovered, self._error = self._error, ""
        if recovered:
            _log.info("cluster_recovered", **self._labels())
        _log.debug(
            "poll_finished",
            **self._labels(),
            duration_seconds=round(duration, 4),
            requests=self.usage.requests.total() - requests_before,
            jobs=len(listing.records),
            transitions=len(changes.transitions),
            progressed=changes.progressed,
            regressed=changes.regressed,
            missing=changes.missing,
        )

    def _fail(
        self, kind: ErrorKind, message: str, now: float, started: float, retry_after: float | None = None
    ) -> PollOutcome:
        outcome = PollOutcome(
            ok=False, retry_after=retry_after, error=message, unauthorized=kind is ErrorKind.UNAUTHORIZED
        )
        if not self._counts():
            return PollOutcome(ok=False)
        duration = time.monotonic() - started
        self.metrics.poll_failed(kind.value, now=now, duration=duration)
        self._process_metrics.observe_poll(duration)
        failed_before, self._error = self._error, message
        if not failed_before:
            _log.error("cluster_unreachable", **self._labels(), kind=kind.value, message=message)
        _log.debug(
            "poll_finished",
            **self._labels(),
            duration_seconds=round(duration, 4),
            kind=kind.value,
            message=message,
        )
        return outcome

    def _warn_about_records(self, listing: JobList) -> None:
        """Log what is wrong with records of a list, each fault and each repeated id once."""
        for message in listing.bad_records:
            if self._is_new_warning(message):
                _log.warning("import_record_skipped", **self._labels(), message=message)
        for job_id in listing.repeated_ids:
            if self._is_new_warning(f"repeated {job_id}"):
                _log.warning("import_record_repeated", **self._labels(), job_id=job_id)

    def _is_new_warning(self, key: str) -> bool:
        if key in self._record_warnings or len(self._record_warnings) >= RECORD_WARNINGS:
            return False
        self._record_warnings.add(key)
        return True

    def _labels(self) -> dict[str, object]:
        return cluster_fields(self.cluster)


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


def fetch(
    api: ImportApi,
    previous: Snapshot | None,
    now: float,
    finished_jobs: Callable[[frozenset[str]], Mapping[str, Job | None]],
    labels: Mapping[str, object],
) -> PollResult:
    """Fetch the whole list of a cluster, describe the jobs of which it leaves something open, and look up databases.

    Args:
        api: The cluster's API.
        previous: Its previous snapshot.
        now: The time of this poll.
        finished_jobs: Returns what the store has of finished jobs, by their ids; None where it cannot say.
        labels: The cluster's names and own labels, for the log.

    Raises:
        ApiError: The list is not complete. A describe or lookup that fails costs nothing but its own response.
        StoppedError: The monitor is stopping.
    """
    api.session.begin_poll()
    tracked = {} if previous is None else previous.tracked
    listed_before = JobList() if previous is None else previous.listing
    known_databases = api.known_databases
    try:
        current = api.list_jobs(listed_before)
    finally:
        log_databases(known_databases, api.known_databases, labels)
    listing, new_ids = compare_lists(previous, current)
    untracked = new_ids - tracked.keys()
    result = PollResult(listing, new_ids, finished=finished_jobs(untracked) if previous and untracked else {})
    if queue := describe_queue(previous, result, now, DESCRIBES_PER_POLL):
        result = _describe(api, queue, result, labels)
    return look_up_databases(api, previous, result, now, finished_jobs, labels) if api.lookup_databases else result


def _describe(api: ImportApi, queue: Iterable[str], result: PollResult, labels: Mapping[str, object]) -> PollResult:
    """Return a result with the responses to describes of some jobs, until one fails as all others would."""
    described: dict[str, JobRecord] = {}
    absent: set[str] = set()
    sent: set[str] = set()
    harmful: set[str] = set()
    for job_id in queue:
        sent.add(job_id)
        try:
            described[job_id] = api.describe(job_id)
        except JobGoneError:
            absent.add(job_id)
        except ApiError as error:
            _log.debug("describe_failed", **labels, job_id=job_id, kind=error.kind.value, message=str(error))
            if error.kind in _HARMFUL_FAILURES:
                harmful.add(job_id)
            if error.kind in SHARED_FAILURES:
                break
    return msgspec.structs.replace(
        result,
        described=described,
        confirmed_absent=frozenset(absent),
        describes_sent=frozenset(sent),
        harmful_describes=frozenset(harmful),
    )
