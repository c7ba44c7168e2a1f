"""What the polls have seen, for whoever looks; whoever listens is told what changes.

A poll leaves only its picture here. What a look needs beyond that is made when somebody looks, and serves as long as
the jobs are the same.
"""

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from threading import Lock
from typing import Final

from msgspec.structs import replace

from monitor.config import Cluster
from monitor.fleet.index import ClusterIndex, index_of
from monitor.fleet.look import Look, asks_for_ended, look_at
from monitor.fleet.search import Search
from monitor.fleet.seen import Change, Seen
from monitor.jobs import Jobs, JobState, Picture, TrackedJob
from monitor.store import Recorded

LOOKS: Final = 4
"""Looks that are kept for whoever looks for the same next; each holds no more than references."""

LOOK_SHARE: Final = 10.0
"""A look that took a while serves for this many times as long, so that looking takes a tenth of a core at most."""

_NO_JOBS: Final = Jobs()
_LOST: Final = (JobState.FAILED, JobState.VANISHED)


class Fleet:
    """Every cluster that is watched. Safe to use from the threads of polls and of looks.

    Args:
        picture: Returns what is known of a cluster by its name, or None.
        latest: Returns the transitions of a cluster's latest poll.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        picture: Callable[[str], Picture | None],
        latest: Callable[[str], tuple[Recorded, ...]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.version = 0
        self._picture = picture
        self._latest = latest
        self._clock = clock
        self._lock = Lock()
        self._looking = Lock()
        self._seen: dict[str, Seen] = {}
        self._names: list[str] = []
        self._before: dict[str, Jobs] = {}
        self._indexes: dict[str, ClusterIndex] = {}
        self._looks: OrderedDict[Search, tuple[float, Look]] = OrderedDict()
        self._listeners: list[Callable[[Change], None]] = []

    def watch(self, clusters: Iterable[Cluster]) -> None:
        """Go by a config: forget clusters that it no longer has, or that are other ones under an old name."""
        with self._lock:
            was = self._seen
            self._seen = {cluster.name: self._kept(was.get(cluster.name), cluster) for cluster in clusters}
            self._names = sorted(self._seen)
            for known in (self._before, self._indexes):
                for name in [name for name in known if name not in self._seen]:
                    del known[name]
            self.version += 1
            version = self.version
        self._tell(Change(version, None))

    def polled(self, name: str, *, ok: bool, why: str) -> None:
        """Take over what a poll has left.

        Args:
            name: The cluster.
            ok: Whether the poll succeeded.
            why: Why the cluster is down; empty where it is not.
        """
        picture = self._picture(name)
        now = self._clock()
        with self._lock:
            was = self._seen.get(name)
            if was is None:
                return
            status = "down" if why else "up" if ok or was.status == "up" else was.status
            seen = Seen(was.cluster, status, why, last_success=now if ok else was.last_success, last_poll=now)
            self._seen[name] = seen
            old = self._before.get(name, _NO_JOBS)
            new = _NO_JOBS if picture is None else picture.jobs
            if old is new and (was.status, was.why) == (status, why):
                return
            self._indexes.pop(name, None)
            if picture is not None:
                self._before[name] = new
            self.version += 1
            version = self.version
        if self._listeners:
            jobs, removed = new.since(old)
            self._tell(Change(version, seen, jobs, removed, self._latest(name) if ok else ()))

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Tell somebody of every change from now on, in the thread of the poll that made it."""
        self._listeners.append(listener)

    def cluster(self, name: str) -> tuple[Seen, ClusterIndex | None] | None:
        """Return a cluster with its jobs; None for the jobs before its first poll, None for an unknown cluster."""
        seen = self._seen.get(name)
        return None if seen is None else (seen, self._index(name))

    def clusters(self, after: str = "") -> Iterator[tuple[Seen, ClusterIndex | None]]:
        """Return every cluster whose name comes after one, by name."""
        names = self._names
        for name in names[bisect_right(names, after) if after else 0 :]:
            found = self.cluster(name)
            if found is not None:
                yield found

    def names(self) -> list[str]:
        """Return the names of all clusters, sorted."""
        return self._names

    def job(self, cluster: str, job_id: str) -> TrackedJob | None:
        """Return a job, or None for one that is not known."""
        picture = self._picture(cluster) if cluster in self._seen else None
        return None if picture is None else picture.jobs.get(job_id)

    def jobs(self, search: Search, after: tuple[str, str] | None = None) -> Iterator[tuple[str, TrackedJob]]:
        """Return the jobs that a search finds, by cluster and id, with the names of their clusters.

        Left out are finished jobs that are no longer listed; those that failed or vanished only once
        ``failed_retention`` has passed.

        Args:
            search: What is searched for.
            after: The cluster and the id after which to go on.
        """
        now = self._clock()
        names = [search.cluster] if search.cluster is not None else self._names
        for name in names if after is None else [name for name in names if name >= after[0]]:
            found = self.cluster(name)
            if found is None:
                continue
            seen, index = found
            if index is None or not _may_have(index, search):
                continue
            since = now - seen.cluster.failed_retention
            for tracked in index.jobs.after(after[1] if after is not None and name == after[0] else ""):
                if _is_shown(tracked, since) and search.takes(name, tracked):
                    yield name, tracked

    def look(self, search: Search) -> Look:
        """Look at the fleet, or take over the last look for the same: where nothing has changed, or very lately."""
        with self._looking:
            kept = self._looks.get(search)
            if kept is not None and (kept[1].version == self.version or time.monotonic() < kept[0]):
                self._looks.move_to_end(search)
                return kept[1]
            started, version = time.monotonic(), self.version
            one = None if search.cluster is None else self.cluster(search.cluster)
            fleet = self.clusters() if search.cluster is None else [one] if one is not None else []
            look = look_at(fleet, search, self._clock(), version, ended_too=asks_for_ended(search))
            took = time.monotonic() - started
            self._looks[search] = (started + took * LOOK_SHARE, look)
            self._looks.move_to_end(search)
            while len(self._looks) > LOOKS:
                self._looks.popitem(last=False)
            return look

    def _index(self, name: str) -> ClusterIndex | None:
        picture = self._picture(name)
        if picture is None:
            return None
        index = self._indexes.get(name)
        if index is None or index.jobs is not picture.jobs:
            index = self._indexes[name] = index_of(picture.jobs)
        return index

    def _kept(self, was: Seen | None, cluster: Cluster) -> Seen:
        if was is None or _address(was.cluster) != _address(cluster):
            self._before.pop(cluster.name, None)
            restored = self._picture(cluster.name)
            if restored is not None:
                self._before[cluster.name] = restored.jobs
            return Seen(cluster)
        return replace(was, cluster=cluster)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def _address(cluster: Cluster) -> tuple[str, ...]:
    return cluster.url, cluster.cluster_id, cluster.project_id, cluster.region_id


def _is_shown(tracked: TrackedJob, since: float) -> bool:
    return not tracked.retired or (tracked.job.state in _LOST and (tracked.finished_at or 0.0) > since)


def _may_have(index: ClusterIndex, search: Search) -> bool:
    """Say whether a cluster can have what is searched for, as far as its sums tell."""
    return not search.states or any(index.counts[state] or (index.lost and state in _LOST) for state in search.states)
