"""The status of all clusters as of their latest polls."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from threading import Lock
from typing import Final

import msgspec
from msgspec.structs import replace

from monitor.discovery import REMOVED, WatchedCluster
from monitor.jobs import Job, Snapshot, SnapshotDiff, compare_snapshots
from monitor.store import JobFilter, PolledStatus, PollTimes, RecordedTransition
from monitor.web.cluster_status import ClusterStatus
from monitor.web.overview import ClusterJob, FleetOverview, matches, summarize

OVERVIEWS_CACHED: Final = 4  # for the next request with the same search; each only refers to jobs

REUSE_FACTOR: Final = 10.0
"""An overview is reused for this many times as long as it took, so that overviews take a tenth of a core at most."""


class OtherUpdate(msgspec.Struct, frozen=True, gc=False):
    """What has changed of a cluster that another monitor polls."""

    polled: PolledStatus
    snapshot: Snapshot
    stored: Mapping[str, Job] = {}  # what is stored of jobs that may have changed and are not tracked, by their ids
    transitions: tuple[RecordedTransition, ...] = ()  # what was recorded since the previous update


class StatusChange(msgspec.Struct, frozen=True, gc=False):
    """What a poll changed."""

    version: int  # of the fleet's status
    status: ClusterStatus | None = None  # None if anything may have changed, as after a change of the config
    diff: SnapshotDiff | None = None  # None if only the status of the cluster changed
    transitions: tuple[RecordedTransition, ...] = ()


class FleetStatus:
    """The status of every watched cluster. Safe to use from several threads.

    Args:
        snapshot: Returns the current snapshot of a cluster by its name, or None.
        clock: Seconds since the epoch.

    Attributes:
        outdated_since: Since when nothing is known of the clusters that other monitors poll; None where it is.
    """

    def __init__(self, snapshot: Callable[[str], Snapshot | None], clock: Callable[[], float] = time.time) -> None:
        self.version = 0
        self._myself = ""
        self.outdated_since: float | None = None
        self._load = snapshot
        self._clock = clock
        self._lock = Lock()
        self._clusters: dict[str, ClusterStatus] = {}  # by name, in this order
        self._overviews: dict[JobFilter, tuple[float, FleetOverview]] = {}
        self._subscribers: list[Callable[[StatusChange], None]] = []

    def apply_config(self, clusters: Iterable[WatchedCluster]) -> None:
        """Apply the clusters of a config; one whose identity has changed starts without a status."""
        with self._lock:
            current = {}
            for watched in sorted(clusters, key=lambda watched: watched.cluster.name):
                cluster, name = watched.cluster, watched.cluster.name
                previous = self._clusters.get(name)
                if previous is None or previous.cluster.identity() != cluster.identity():
                    previous = ClusterStatus(cluster)
                status, why = previous.status, previous.why
                if not watched.polled:
                    status, why = REMOVED if watched.status == REMOVED else "paused", ""
                elif status in {"paused", REMOVED}:
                    status = "not_polled"
                current[name] = replace(
                    previous,
                    cluster=cluster,
                    discovery=watched.discovery,
                    source_name=watched.source_name,
                    source_status=watched.status,
                    status=status,
                    why=why,
                    snapshot=self._snapshot(name) if previous.polled_here else previous.snapshot,
                )
            self._clusters = current
            self.version += 1
            change = StatusChange(self.version)
        self._publish(change)

    def poll_finished(
        self,
        name: str,
        *,
        error: str = "",
        diff: SnapshotDiff | None = None,
        transitions: tuple[RecordedTransition, ...] = (),
    ) -> None:
        """Publish why a poll failed, or what it changed; ignored for a cluster that is not watched."""
        now = self._clock()
        with self._lock:
            previous = self._clusters.get(name)
            if previous is None or previous.status in {"paused", REMOVED}:
                return
            status, last_success = ("down", previous.last_success) if error else ("up", now)
            current = replace(
                previous,
                status=status,
                why=error,
                last_success=last_success,
                last_poll=now,
                snapshot=self._snapshot(name),
                polled_by=self._myself,
                polled_here=True,
            )
            self._clusters[name] = current
            jobs_changed = diff is not None and diff.changes_something
            if not jobs_changed and _shown(previous) == _shown(current):
                return
            self.version += 1
            change = StatusChange(self.version, current, diff, transitions)
        self._publish(change)

    def set_interval(self, name: str, interval: float) -> None:
        """Set the interval in force of a cluster; it is shown with the next change, or when it is asked for."""
        with self._lock:
            status = self._clusters.get(name)
            if status is not None and status.interval != interval:
                self._clusters[name] = replace(status, interval=interval)

    def set_myself(self, name: str) -> None:
        """Show the name of this monitor with the clusters that it polls; none where it is empty, for it is alone."""
        with self._lock:
            if name == self._myself:
                return
            self._myself = name
            for cluster, status in self._clusters.items():
                if status.polled_here and status.last_poll is not None:
                    self._clusters[cluster] = replace(status, polled_by=name)
            self.version += 1
            change = StatusChange(self.version)
        self._publish(change)

    def others_changed(self, updates: Iterable[OtherUpdate]) -> None:
        """Publish what has changed of clusters that other monitors poll; ignored for a cluster that is not watched."""
        changes = []
        with self._lock:
            for update in updates:
                polled, previous = update.polled, self._clusters.get(update.polled.name)
                if previous is None or previous.status in {"paused", REMOVED}:
                    continue
                counts = {("", "", state): count for state, count in polled.listed.items()}
                current = replace(
                    previous,
                    status=polled.status,
                    why=polled.why,
                    last_success=polled.last_success,
                    last_poll=polled.last_poll,
                    snapshot=replace(update.snapshot, counts=counts),
                    interval=None,
                    polled_by=polled.owner,
                    polled_here=False,
                )
                self._clusters[polled.name] = current
                self.version += 1
                diff = compare_snapshots(previous.snapshot, current.snapshot, update.stored)
                changes.append(StatusChange(self.version, current, diff, update.transitions))
        for change in changes:
            self._publish(change)

    def others_polled(self, times: Iterable[PollTimes]) -> None:
        """Show when clusters that other monitors poll were last polled."""
        with self._lock:
            for polled in times:
                status = self._clusters.get(polled.name)
                if status is not None and not status.polled_here and status.last_poll != polled.last_poll:
                    self._clusters[polled.name] = replace(
                        status, last_poll=polled.last_poll, last_success=polled.last_success
                    )

    def set_outdated(self, since: float | None) -> None:
        """Show since when nothing is known of the clusters that other monitors poll; None where it is known."""
        with self._lock:
            if (self.outdated_since is None) == (since is None):
                return
            self.outdated_since = since
            self.version += 1
            change = StatusChange(self.version)
        self._publish(change)

    def subscribe(self, callback: Callable[[StatusChange], None]) -> None:
        """Call a function with every change from now on, in the thread of the poll that made it."""
        self._subscribers.append(callback)

    def cluster(self, name: str) -> ClusterStatus | None:
        """Return a cluster, None if it is not watched."""
        return self._clusters.get(name)

    def labels(self, name: str) -> Mapping[str, str]:
        """Return the own labels of a cluster, none if it is not watched."""
        return {} if (status := self._clusters.get(name)) is None else status.cluster.labels

    @property
    def names(self) -> list[str]:
        """The sorted names of the clusters."""
        return list(self._clusters)

    def clusters(
        self, only: str | None = None, first: str = "", among: AbstractSet[str] | None = None
    ) -> list[ClusterStatus]:
        """Return the clusters by name, from a name on, or only one or some of them."""
        if only is not None:
            found = [status] if (status := self._clusters.get(only)) else []
        else:
            found = [status for name, status in self._clusters.items() if name >= first]
        return found if among is None else [status for status in found if status.cluster.name in among]

    def labelled(self, labels: Mapping[str, str]) -> frozenset[str] | None:
        """Return the names of the clusters that have all of these labels; None without any label."""
        if not labels:
            return None
        clusters = [status.cluster for status in self._clusters.values()]
        return frozenset(cluster.name for cluster in clusters if labels.items() <= cluster.labels.items())

    def tracked_jobs(self, search: JobFilter, after: tuple[str, str]) -> Iterator[ClusterJob]:
        """Yield the matching tracked jobs by cluster and id, those after a cluster and id.

        Left out are unsuccessful ones that are not listed, once ``failed_retention`` has passed.
        """
        for status in self.clusters(search.cluster, after[0], search.clusters):
            name, oldest = status.cluster.name, self._clock() - status.cluster.failed_retention
            for job in sorted(status.tracked.values(), key=lambda job: job.job_id):
                current = job.missing_since is None or not job.finished or (job.finished_at or 0.0) > oldest
                if current and (name, job.job_id) > after and matches(search, name, job):
                    yield name, job

    def overview(self, search: JobFilter) -> FleetOverview:
        """Return an overview, reused while nothing has changed or if it is recent; for one thread at a time."""
        reusable_until, overview = self._overviews.pop(search, (0.0, None))
        started, version = time.monotonic(), self.version
        if overview is None or (overview.version != version and started >= reusable_until):
            overview = summarize(self.clusters(search.cluster, among=search.clusters), search, self._clock(), version)
            reusable_until = started + REUSE_FACTOR * (time.monotonic() - started)
        while len(self._overviews) >= OVERVIEWS_CACHED:
            del self._overviews[next(iter(self._overviews))]
        self._overviews[search] = reusable_until, overview  # the last one is the one used last
        return overview

    def _snapshot(self, name: str) -> Snapshot:
        return self._load(name) or Snapshot()

    def _publish(self, change: StatusChange) -> None:
        for callback in self._subscribers:
            callback(change)


def _shown(status: ClusterStatus) -> tuple[object, ...]:
    """Return what a poll that has changed no job can have changed."""
    return status.status, status.why, status.polled_by, status.polled_here
