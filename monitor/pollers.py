"""The pollers of all clusters: starts, reconfigures and stops them, and hands clusters over to other monitors."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

import structlog

from monitor.client import POLL_LIMIT, ErrorKind, ImportApi, Network
from monitor.clock import ClockSteps
from monitor.config import Cluster
from monitor.discovery import WatchedCluster
from monitor.intervals import PollIntervals
from monitor.jobs import Snapshot
from monitor.metrics import ClusterMetrics, ExpectationSample, Exposition, ProcessMetrics
from monitor.poll_log import cluster_fields
from monitor.poller import Poller, PollOutcome
from monitor.poller_changes import PollerChanges, plan_changes
from monitor.replicas import Handover
from monitor.scheduler import PollScheduler
from monitor.store import ClusterRef, Store
from monitor.web import FleetStatus

STORE_LIMIT: Final = 15.0
"""Seconds that a poll may wait for the store: three transactions that are given up."""

OWNERSHIP_INTERVAL: Final = 0.5
"""Seconds from one refresh of which clusters are ours to the next."""

MISSED_BEFORE_TAKEOVER: Final = 2.0
"""Seconds, besides ``takeover``, for which nobody may have polled a cluster that has become ours."""

PLAN_INTERVAL: Final = 5.0
"""Seconds from one planning of the intervals, by the rates of the API keys, to the next."""

_FAILURE_KINDS: Final = tuple(kind.value for kind in ErrorKind)

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.pollers")


class Pollers:
    """Keeps a poller for each cluster, and its polls scheduled while the cluster is ours and not paused.

    Args:
        network: Connects to the clusters.
        store: Where the snapshots are kept.
        status: What the pages show.
        exposition: Where the metrics are shown.
        process_metrics: Those of all clusters together.
        scheduler: Runs the polls.
        handover: Knows which clusters this monitor polls.
        clock_steps: The latest steps of the clock.
        renew_key: Reads the file of a rejected API key again, before the next poll with it.
        takeover: Seconds after which other monitors take over from one that stands still.
    """

    def __init__(  # noqa: PLR0913 - each is one collaborator, passed once by the daemon
        self,
        *,
        network: Network,
        store: Store,
        status: FleetStatus,
        exposition: Exposition,
        process_metrics: ProcessMetrics,
        scheduler: PollScheduler,
        handover: Handover,
        clock_steps: ClockSteps,
        renew_key: Callable[[Path], None],
        takeover: float,
    ) -> None:
        self._network = network
        self._store = store
        self._status = status
        self._exposition = exposition
        self._process_metrics = process_metrics
        self._scheduler = scheduler
        self._handover = handover
        self._clock_steps = clock_steps
        self._renew_key = renew_key
        self._takeover = takeover
        self._intervals = PollIntervals(
            self._set_interval, network.limiter.share, handover.polls, network.limiter.divide
        )
        self._pollers: dict[str, Poller] = {}
        self._names: frozenset[str] = frozenset()
        self._changing = Lock()
        self.watched: Mapping[str, WatchedCluster] = {}

    def __getitem__(self, name: str) -> Poller:
        """Return the poller of a cluster; raise ``KeyError`` where it is not watched."""
        return self._pollers[name]

    def get(self, name: str) -> Poller | None:
        """Return the poller of a cluster, None where it is not watched."""
        return self._pollers.get(name)

    def start_planning(self) -> None:
        """Let the scheduler plan intervals and, among several monitors, share clusters; before it is started."""
        self._scheduler.run_every(PLAN_INTERVAL, self._intervals.plan)
        if not self._handover.alone:
            self._scheduler.run_every(OWNERSHIP_INTERVAL, self.share)

    def prepare(self, planned: Sequence[WatchedCluster]) -> PollerChanges:
        """Connect to the clusters that are new or changed; changes nothing that is in use.

        Raises:
            ConfigError: A cluster's certificates cannot be used.
        """
        return plan_changes(planned, self._pollers, self._network)

    def apply(self, changes: PollerChanges) -> None:
        """Start, reconfigure and stop pollers as needed."""
        with self._changing:
            self._apply(changes)

    def _apply(self, changes: PollerChanges) -> None:
        watched, previous = changes.watched, self.watched
        clusters = {name: entry.cluster for name, entry in watched.items()}
        added = [clusters[name] for name in changes.added]
        snapshots = dict[str, Snapshot | None]()
        for name in changes.stopped:
            self._scheduler.unschedule(name)
            self._intervals.forget(name)
            poller = self._pollers.pop(name)
            snapshots[poller.cluster.identity()] = poller.retire()
        renamed = {cluster.name: snapshot for cluster in added if (snapshot := snapshots.get(cluster.identity()))}
        self._store.watch(
            (ClusterRef(cluster.name, cluster.identity(), cluster.cluster_id) for cluster in added), renamed
        )
        for cluster in added:
            self._pollers[cluster.name] = self._create(cluster, changes.added[cluster.name])
        for name, api in changes.reconfigured.items():
            self._pollers[name].reconfigure(clusters[name], api)
        self._pollers = {name: self._pollers[name] for name in clusters}
        self._names = frozenset(clusters)
        resumed = {name for name in clusters if name not in changes.added and not previous[name].polled}
        self.watched = watched
        self._pause_or_resume()
        self._show()
        self._process_metrics.set_clusters(len(clusters))
        self._status.apply_config([*watched.values()])
        scheduled = [name for name in {*changes.added, *changes.reconfigured, *resumed} if watched[name].polled]
        self._watch_intervals(scheduled)
        for name in scheduled:
            self._schedule(self._pollers[name])

    def polled(self) -> Iterator[tuple[Cluster, float | None]]:
        """Yield the clusters that this monitor polls, each with the time of its last successful poll."""
        for name, watched in [*self.watched.items()]:
            if watched.polled and self._handover.polls(name) and (status := self._status.cluster(name)) is not None:
                yield watched.cluster, status.last_success

    def show_expectations(self, name: str, samples: Sequence[ExpectationSample]) -> None:
        """Show the states of the expected imports of a cluster."""
        if (poller := self._pollers.get(name)) is not None:
            poller.metrics.set_expectations(samples)

    def hide_failures(self, now: float) -> None:
        """Hide, one by one, the failures of removed clusters whose time has passed."""
        for name, watched in self.watched.items():
            if watched.shows_failures:
                self._pollers[name].metrics.pause(now, show_failures=True)

    def share(self) -> None:
        """Take over the clusters that have become ours, and let go those that are ours no longer."""
        gained, lost = self._handover.refresh(self._names, self)
        if not (gained or lost):
            return
        with self._changing:
            polled = [name for name in gained if (entry := self.watched.get(name)) is not None and entry.polled]
            for name in polled:
                self._intervals.forget(name)
            self._watch_intervals(polled)
            not_polled_for = self._takeover + MISSED_BEFORE_TAKEOVER
            for name in polled:
                self._scheduler.take_over(name, not_polled_for, self._intervals.first_polls_within(name))
            self._show()
            self._status.apply_config([*self.watched.values()])

    def share_soon(self) -> None:
        """Share the clusters without waiting for the next refresh, for the members have changed."""
        self._scheduler.run_soon(self.share)

    def take_over(self, names: list[str]) -> None:
        """Load clusters that another monitor has polled until now."""
        self._store.take_over(names)
        for name in names:
            if (poller := self._pollers.get(name)) is not None:
                try:
                    poller.take_over(self._store.snapshot(name))
                except Exception:  # noqa: BLE001 - what cannot be shown of one cluster must keep none from being polled
                    _log.exception("snapshot_not_shown", **cluster_fields(poller.cluster))

    def let_go(self, _names: list[str]) -> None:
        """Hide clusters that another monitor polls from now on, and store what it has to know of them."""
        self._show()
        self._store.flush()

    def _pause_or_resume(self) -> None:
        """Stop polling the clusters that are not to be polled, and show which they are."""
        for name, watched in self.watched.items():
            metrics = self._pollers[name].metrics
            metrics.set_missing(missing=watched.missing)
            if watched.polled:
                metrics.resume()
            else:
                self._scheduler.unschedule(name)
                self._intervals.forget(name)
                metrics.pause(time.time(), show_failures=watched.shows_failures)

    def _create(self, cluster: Cluster, api: ImportApi) -> Poller:
        metrics = ClusterMetrics(cluster, _FAILURE_KINDS)
        snapshot = self._store.snapshot(cluster.name)
        if snapshot is not None:
            try:
                metrics.restore(snapshot, time.time())
            except Exception:  # noqa: BLE001 - what cannot be shown of one cluster must keep none from being watched
                _log.exception("snapshot_not_shown", **cluster_fields(cluster))
        return Poller(
            cluster,
            api,
            self._store,
            metrics,
            self._process_metrics,
            clock_steps=self._clock_steps.latest,
            is_ours=self._handover.polls,
        )

    def _watch_intervals(self, names: Iterable[str]) -> None:
        """Plan the intervals of clusters from now on."""
        for name in names:
            poller = self._pollers[name]
            self._intervals.watch(poller.cluster, self._store.snapshot(name), poller.usage)
        self._intervals.plan()

    def _show(self) -> None:
        self._exposition.show(poller.metrics for name, poller in self._pollers.items() if self._handover.holds(name))

    def _schedule(self, poller: Poller) -> None:
        cluster = poller.cluster
        key_rejected = False

        def poll() -> PollOutcome:
            nonlocal key_rejected
            file = poller.cluster.api_key_file
            if key_rejected and file is not None:
                self._renew_key(file)
            outcome = poller.poll()
            key_rejected = outcome.unauthorized
            self._poll_finished(poller, outcome)
            return outcome

        def show_interval(interval: float, in_force: float) -> None:
            poller.metrics.set_interval(interval, in_force)
            self._status.set_interval(cluster.name, in_force)

        def count_missed(polls: int) -> None:
            if not poller.is_throttled():  # else the rate of the key delays polls, which is no fault of the cluster
                poller.metrics.poll_missed(polls)

        interval, stretch = self._intervals.interval(cluster.name)
        poller.metrics.set_stretch(stretch)
        self._scheduler.schedule(
            cluster.name,
            interval,
            poll,
            count_missed,
            longest_poll=(POLL_LIMIT + 1) * cluster.timeout + STORE_LIMIT,
            show_interval=show_interval,
            first_polls_within=self._intervals.first_polls_within(cluster.name),
        )

    def _poll_finished(self, poller: Poller, outcome: PollOutcome) -> None:
        name, changes = poller.cluster.name, outcome.diff
        if self._pollers.get(name) is poller and (outcome.ok or outcome.error):  # else it was stopped
            self._intervals.poll_finished(name, outcome)
            transitions = self._store.recent_transitions(name) if changes and changes.transitions else ()
            self._status.poll_finished(name, error=outcome.error, diff=changes, transitions=transitions)

    def _set_interval(self, name: str, interval: float, stretch: float) -> None:
        poller = self._pollers.get(name)
        if poller is not None:
            self._scheduler.set_interval(name, interval)
            poller.metrics.set_stretch(stretch)
