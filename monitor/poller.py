"""One poll of one cluster: look, compare, record, show, tell."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from msgspec.structs import replace

from monitor.api import ApiError, ErrorKind, ImportApi, JobGoneError, Listing, StoppedError, Usage, merged
from monitor.config import Cluster
from monitor.jobs import (
    Difference,
    Failure,
    Job,
    JobState,
    Observation,
    Picture,
    StallLimits,
    TrackedJob,
    Transition,
    classify,
    diff,
    questions,
)

if TYPE_CHECKING:  # who looks only once needs neither
    from monitor.metrics import ClusterMetrics, OwnMetrics
    from monitor.store import Store

DESCRIBES_PER_POLL: Final = 20
"""Jobs that one poll asks the server to describe; the others wait for the next poll."""

_SHARED: Final = (
    ErrorKind.TIMEOUT,
    ErrorKind.CONNECTION,
    ErrorKind.TLS,
    ErrorKind.THROTTLED,
    ErrorKind.TRANSIENT,
)
"""Kinds of a describe's failure that the next describe would share: the others wait for the next poll."""

REJECTED_REMEMBERED: Final = 100
"""Different faults of records that are told, each once, for one cluster."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.poller")
_takes: Final = logging.getLogger("monitor.poller").isEnabledFor


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """How a poll ended, for who decides when the next one is.

    Attributes:
        ok: Whether it succeeded.
        retry_after: Seconds for which the server wants to be left alone, or None.
    """

    ok: bool
    retry_after: float | None = None


class Poller:
    """Polls one cluster, for one thread at a time.

    Args:
        cluster: The cluster.
        api: Its import API.
        store: Where its picture is kept.
        metrics: Where it is shown.
        own: Where the duration of polls is shown.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        cluster: Cluster,
        api: ImportApi,
        store: "Store",
        metrics: "ClusterMetrics",
        own: "OwnMetrics",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.cluster = cluster
        self.metrics = metrics
        self._api = api
        self._store = store
        self._own = own
        self._clock = clock
        self._trouble = ""
        self._told_faults: set[str] = set()
        self._requests_before = 0
        self._recording = Lock()
        self._retired = False

    def reconfigure(self, cluster: Cluster, api: ImportApi) -> None:
        """Poll with changed settings from the next poll on; whether the cluster was reachable is remembered."""
        self.cluster, self._api = cluster, api
        self.metrics.reconfigure(cluster)

    def retire(self) -> None:
        """Record nothing any more, not even what a poll that is under way will find; forget the cluster."""
        with self._recording:
            self._retired = True
            self._store.forget(self.cluster.name)

    @property
    def usage(self) -> Usage:
        """What was asked of the API so far."""
        return self._api.session.usage

    def trouble(self) -> str:
        """Say why the cluster cannot be polled; nothing where it can, or has not been polled yet."""
        return self._trouble

    def poll(self) -> Outcome:
        """Poll once. Nothing is raised: what went wrong is shown, told, and part of the outcome."""
        now, started = self._clock(), time.monotonic()
        self._requests_before = self.usage.requests.total()
        try:
            difference, rejected = self._compare(now)
            recorded = self._record(difference)
            if recorded is None:
                return Outcome(ok=False)
            self._publish(*recorded, rejected, now, started)
        except StoppedError:
            return Outcome(ok=False)
        except ApiError as error:
            self._fail(error.kind, str(error), now, started)
            return Outcome(ok=False, retry_after=error.retry_after)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end a cluster's polling: it is told, counted
            _log.exception("poll_crashed", **self._who())
            self._fail(ErrorKind.OTHER, f"{type(error).__name__} in the monitor itself", now, started)
            return Outcome(ok=False)
        return Outcome(ok=True)

    def _compare(self, now: float) -> tuple[Difference, Sequence[str]]:
        """Look at the cluster and compare what is there with the previous picture."""
        cluster = self.cluster
        previous = self._store.picture(cluster.name)
        try:
            seen, listing = observe(self._api, previous, now, self._who())
        finally:
            self.metrics.used(self.usage.requests, self.usage.throttled)
        return difference_of(cluster, previous, seen, now), listing.rejected

    def _record(self, difference: Difference) -> tuple[Difference, list[int]] | None:
        """Record what a poll found, and return what of it counts, with the ids of its transitions.

        Where another picture has taken the place of the one that the poll was compared with, that one counts: another
        monitor has recorded it, and tells. None where the poller was retired while the poll ran.
        """
        with self._recording:
            if self._retired:
                return None
            ids = self._store.record(self.cluster.name, difference)
            if ids is not None:
                return difference, ids
            picture = self._store.picture(self.cluster.name) or Picture()
        before = difference.previous or Picture()
        changed, removed = picture.jobs.since(before.jobs)
        return Difference(picture, changed=changed, removed=removed), []

    def _publish(
        self, difference: Difference, ids: list[int], rejected: Sequence[str], now: float, started: float
    ) -> None:
        """Show and log what was recorded; it is logged also where it cannot be shown, for no later poll will."""
        try:
            self._show(difference, now, started, len(rejected))
        finally:
            self._tell(difference, rejected, now)
            self._store.told(ids)

    def _show(self, difference: Difference, now: float, started: float, bad_records: int) -> None:
        duration = time.monotonic() - started
        self.metrics.polled(difference, now=now, duration=duration, bad_records=bad_records)
        self._own.polled(duration)
        had_trouble, self._trouble = self._trouble, ""
        if had_trouble:
            _log.info("cluster_recovered", **self._who())
        if _takes(logging.DEBUG):  # a line that is not written would cost a sixth of a poll that finds nothing
            _log.debug(
                "poll_finished",
                **self._who(),
                duration_seconds=round(duration, 4),
                requests=self.usage.requests.total() - self._requests_before,
                jobs=len(difference.picture.jobs),
                transitions=len(difference.transitions),
                progressed=difference.progressed,
                regressed=difference.regressed,
                missing=difference.missing,
            )

    def _fail(self, kind: ErrorKind, message: str, now: float, started: float) -> None:
        if self._retired:
            return
        duration = time.monotonic() - started
        self.metrics.failed(kind.value, now=now, duration=duration)
        self._own.polled(duration)
        failure = {"kind": kind.value, "message": message}
        had_trouble, self._trouble = self._trouble, message
        if not had_trouble:
            _log.error("cluster_unreachable", **self._who(), **failure)
        _log.debug("poll_finished", **self._who(), duration_seconds=round(duration, 4), **failure)

    def _tell(self, difference: Difference, rejected: Sequence[str], now: float) -> None:
        """Log what a poll changed, each thing once."""
        if difference.baseline:
            states = difference.picture.jobs.states()
            by_name = {state.value: count for state, count in sorted(states.items())}
            _log.info("cluster_baseline", **self._who(), jobs=states.total(), **by_name)
        for step in difference.transitions:
            tell_transition(step, **self._who())
        for tracked in difference.stalled:
            _log.warning("import_job_stalled", **self._who(), **_facts(tracked, now))
        for tracked in difference.resumed:
            _log.info("import_job_resumed", **self._who(), **_facts(tracked, now))
        for tracked in difference.explained:
            _log.warning("import_job_explained", **self._who(), **_facts(tracked, now))
        if difference.dropped:
            _log.warning("missing_jobs_dropped", **self._who(), jobs=difference.dropped)
        for fault in rejected:
            if fault not in self._told_faults and len(self._told_faults) < REJECTED_REMEMBERED:
                self._told_faults.add(fault)
                _log.warning("import_record_skipped", **self._who(), message=fault)

    def _who(self) -> dict[str, str]:
        return {"milvus_cluster": self.cluster.name, "cluster_id": self.cluster.cluster_id}


def difference_of(cluster: Cluster, previous: Picture | None, seen: Observation, now: float) -> Difference:
    """Compare what was seen of a cluster with its previous picture, by the limits that its config sets."""
    limits = StallLimits(cluster.stall_after, cluster.pending_after, cluster.uncommitted_after)
    return diff(previous, seen, now, limits, cluster.failed_retention)


def observe(
    api: ImportApi, previous: Picture | None, now: float, who: Mapping[str, str]
) -> tuple[Observation, Listing]:
    """Look at a cluster: the whole list, and a describe for what the list leaves open.

    Args:
        api: Its API.
        previous: Its previous picture.
        now: The time of this poll.
        who: Its names, for the log.

    Raises:
        ApiError: The list could not be had whole. A describe that fails costs nothing but its own answer.
        StoppedError: The monitor is stopping.
    """
    api.session.begin()
    listing = api.list_jobs(None if previous is None else previous.mark)
    listed = _with_what_was_said(listing, previous)
    found: dict[str, Job] = {}
    described: dict[str, Job] = {}
    gone: set[str] = set()
    asked: set[str] = set()
    answered: set[str] = set()
    told = None if listing.left is None else listing.jobs
    left = listing.left or frozenset()
    for job_id in questions(previous, listed, now, DESCRIBES_PER_POLL, told, left):
        asked.add(job_id)
        try:
            job = api.describe(job_id)
        except JobGoneError:
            gone.add(job_id)
        except ApiError as error:
            _log.debug("describe_failed", **who, job_id=job_id, kind=error.kind.value, message=str(error))
            if error.kind in _SHARED:
                break
            continue
        else:
            if job_id in listed:
                described[job_id] = merged(listed[job_id], job)
            else:
                found[job_id] = _with_known_state(job, previous)
        answered.add(job_id)
    seen = Observation(
        listed,
        found,
        frozenset(gone),
        frozenset(asked),
        frozenset(answered),
        described=described,
        told=told,
        left=left,
        mark=listing.mark,
    )
    return seen, listing


def _with_what_was_said(listing: Listing, previous: Picture | None) -> Mapping[str, Job]:
    """Return the jobs of a list, those that are not completed also where it says of them what it said before."""
    if previous is None or listing.left is None:
        return listing.jobs
    if not (listing.jobs or listing.left):
        return previous.said
    listed = {**previous.said, **listing.jobs}
    for job_id in listing.left:
        listed.pop(job_id, None)
    return listed


def _with_known_state(job: Job, previous: Picture | None) -> Job:
    """Keep the state known from before, where a describe gives none (v1)."""
    was = None if previous is None else previous.jobs.get(job.job_id)
    if was is None or job.state is not JobState.UNKNOWN:
        return job
    return replace(job, state=was.job.state, raw_state=was.job.raw_state)


def tell_transition(step: Transition, milvus_cluster: str, cluster_id: str) -> None:
    """Log a transition, at the level at which somebody has to hear of it."""
    if step.to_state is JobState.FAILED:
        level = logging.ERROR
    elif step.to_state is JobState.VANISHED or step.unexpected:
        level = logging.WARNING
    else:
        level = logging.INFO
    _log.log(
        level,
        "import_job_transition",
        milvus_cluster=milvus_cluster,
        cluster_id=cluster_id,
        database=step.database,
        collection=step.collection,
        job_id=step.job_id,
        from_state="new" if step.from_state is None else step.from_state.value,
        to_state=step.to_state.value,
        progress=step.progress,
        reason=step.reason,
        failure=None if step.failure is None else step.failure.value,
        duration_seconds=round(step.duration, 3),
    )


def _facts(tracked: TrackedJob, now: float) -> dict[str, object]:
    job = tracked.job
    failure: Failure | None = classify(job.reason) if job.state is JobState.FAILED else None
    return {
        "database": job.database,
        "collection": job.collection,
        "job_id": job.job_id,
        "state": job.state.value,
        "progress": job.progress,
        "reason": job.reason,
        "failure": None if failure is None else failure.value,
        "unchanged_seconds": round(now - tracked.last_change, 3),
    }
