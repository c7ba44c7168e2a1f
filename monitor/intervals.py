"""The interval at which each cluster is polled: shorter with unfinished jobs, stretched by the rate of its API key."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

import structlog

from monitor.client import Usage
from monitor.config import Cluster
from monitor.jobs import Snapshot
from monitor.poller import PollOutcome
from monitor.quota import HEADROOM, UNSTRETCHED, Demand, Stretch, plan

RECENT_WEIGHT: Final = 0.5
"""Weight of the latest measurement in the average number of requests of a poll."""

CLUSTERS_NAMED: Final = 3
"""Clusters that a log event names, of all that share an API key."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.intervals")


@dataclass(slots=True)
class _Watched:
    """A cluster: whether it has unfinished jobs, and what its polls need.

    ``requests`` is the recent number of requests of one poll by endpoint; ``polls`` and ``used`` are what was counted
    when it was last measured, ``finished_polls`` the polls so far.
    """

    cluster: Cluster
    key: str = field(repr=False)
    usage: Usage
    active: bool
    requests: dict[str, float]
    finished_polls: int = 0
    polls: int = 0
    used: Mapping[str, int] = field(default_factory=dict)

    def measure(self) -> None:
        """Count the requests of the polls since the last call; the describes of the first poll happen only once."""
        polls = self.finished_polls - self.polls
        if not polls:
            return
        with self.usage.lock:
            used = dict(self.usage.requests)
        for endpoint, number in used.items():
            requests = (number - self.used.get(endpoint, 0)) / polls
            if self.polls:
                average = self.requests.get(endpoint, 0.0)
                self.requests[endpoint] = average + RECENT_WEIGHT * (requests - average)
            elif endpoint == "list":
                self.requests[endpoint] = requests
        self.polls, self.used = self.finished_polls, used


class PollIntervals:
    """Decides at which interval each cluster is polled. Safe to use from the threads of polls and of reloads.

    Args:
        set_interval: Takes the name of a scheduled cluster, its interval in seconds, and by which factor that is longer
            than configured, whenever these may have changed.
        share: Returns the share of the configured rate that an API key and endpoint has now.
        is_ours: Says of a cluster whether we poll it; a key's rate is divided by the monitors that poll its clusters.
        divide: Takes the part of its rate that each API key has here, of those that have not all of it.
    """

    def __init__(
        self,
        set_interval: Callable[[str, float, float], None],
        share: Callable[[tuple[str, str]], float] = lambda _key: 1.0,
        is_ours: Callable[[str], bool] = lambda _name: True,
        divide: Callable[[Mapping[str, float]], None] = lambda _parts: None,
    ) -> None:
        self._set_interval = set_interval
        self._share = share
        self._is_ours = is_ours
        self._divide = divide
        self._parts: Mapping[str, float] = {}
        self._clusters: dict[str, _Watched] = {}
        self._stretches: dict[str, Stretch] = {}
        self._first_polls: dict[str, float] = {}
        self._changed: set[str] = set()
        self._planning = Lock()

    def watch(self, cluster: Cluster, snapshot: Snapshot | None, usage: Usage) -> None:
        """Decide about a new or reconfigured cluster, by what is known of its jobs and requests."""
        watched = self._clusters.get(cluster.name)
        active = snapshot is not None and snapshot.has_unfinished_jobs()
        if watched is not None and watched.usage is usage:
            watched.cluster, watched.key, watched.active = cluster, cluster.rate_key(), active
        else:
            requests = {"list": float(max(1, len(cluster.databases)))}
            with usage.lock:
                used = dict(usage.requests)
            self._clusters[cluster.name] = _Watched(cluster, cluster.rate_key(), usage, active, requests, used=used)
        self._changed.add(cluster.name)

    def forget(self, name: str) -> None:
        """Forget a cluster that is no longer watched."""
        self._clusters.pop(name, None)

    def interval(self, name: str) -> tuple[float, float]:
        """Return the interval of a cluster in seconds, and by which factor it is longer than configured."""
        watched = self._clusters[name]
        stretch = self._stretches.get(watched.key, UNSTRETCHED)
        factor = stretch.active if watched.active else stretch.idle
        return watched.cluster.poll_interval(active=watched.active) * factor, factor

    def first_polls_within(self, name: str) -> float:
        """Return the seconds that the key of a cluster needs to poll all of its clusters that have not been polled."""
        return self._first_polls.get(self._clusters[name].key, 0.0)

    def poll_finished(self, name: str, outcome: PollOutcome) -> None:
        """Change the interval of a cluster where its poll saw its first job begin, or its last one finish."""
        watched, changes = self._clusters.get(name), outcome.diff
        if watched is None:
            return
        watched.finished_polls += 1
        if changes is None or not changes.changes_something:
            return
        active = changes.snapshot.has_unfinished_jobs()
        if active is not watched.active:
            watched.active = active
            self._set_interval(name, *self.interval(name))
            self._changed.add(name)  # the stretch may just be changing

    def plan(self) -> None:
        """Stretch the intervals as far as the rates of the API keys require; to be called every few seconds."""
        with self._planning:
            groups: defaultdict[str, list[_Watched]] = defaultdict(list)
            clusters: Counter[str] = Counter()
            for name, watched in list(self._clusters.items()):
                clusters[watched.key] += 1
                if self._is_ours(name):
                    watched.measure()
                    groups[watched.key].append(watched)
            self._parts = {key: len(ours) / clusters[key] for key, ours in groups.items() if len(ours) < clusters[key]}
            self._divide(self._parts)
            previous = self._stretches
            self._stretches = {key: self._plan_key(group, previous.get(key)) for key, group in groups.items()}
            self._first_polls = {key: self._first_polls_of(group) for key, group in groups.items()}
            for key, group in groups.items():
                _log_change(group, previous.get(key, UNSTRETCHED), self._stretches[key])
            self._set_changed({key for key, _ in previous.items() ^ self._stretches.items()})

    def _set_changed(self, keys: AbstractSet[str]) -> None:
        """Set the intervals of the clusters of some API keys, and of those that have changed since the last time."""
        if keys:
            self._changed.update([name for name, watched in list(self._clusters.items()) if watched.key in keys])
        while self._changed:
            name = self._changed.pop()
            with suppress(KeyError):  # it was forgotten meanwhile
                self._set_interval(name, *self.interval(name))

    def _plan_key(self, group: Sequence[_Watched], previous: Stretch | None) -> Stretch:
        demands = [
            Demand(watched.cluster.poll_interval(active=watched.active), watched.active, self._seconds(watched))
            for watched in group
        ]
        return plan(demands, previous or UNSTRETCHED)

    def _first_polls_of(self, group: Sequence[_Watched]) -> float:
        return sum(self._seconds(watched)["list"] for watched in group if not watched.finished_polls) / HEADROOM

    def _seconds(self, watched: _Watched) -> Mapping[str, float]:
        """Return of each endpoint the seconds for which one poll uses up the key's rate."""
        key, rate = watched.key, watched.cluster.requests_per_second * self._parts.get(watched.key, 1.0)
        return {
            endpoint: requests / (rate * self._share((key, endpoint)))
            for endpoint, requests in watched.requests.items()
        }


def _log_change(group: Sequence[_Watched], previous: Stretch, current: Stretch) -> None:
    if (previous == UNSTRETCHED) == (current == UNSTRETCHED):
        return
    names = [watched.cluster.name for watched in group[:CLUSTERS_NAMED]]
    if current == UNSTRETCHED:
        _log.info("poll_intervals_restored", clusters=len(group), for_example=names)
        return
    _log.warning(
        "poll_intervals_stretched",
        clusters=len(group),
        for_example=names,
        idle_factor=round(current.idle, 2),
        active_factor=round(current.active, 2),
        requests_per_second=min(watched.cluster.requests_per_second for watched in group),
    )
