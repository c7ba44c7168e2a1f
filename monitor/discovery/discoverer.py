"""Runs the discoveries of a config in the background, and keeps what they find."""

import os
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from monitor.client import Network
from monitor.config import Config, Discovery
from monitor.discovery.cluster_list import ClusterList, decode, encode
from monitor.discovery.loop import DiscoveryLoop, ListResult
from monitor.discovery.model import REMOVED, DiscoveryError, DiscoveryStatus, WatchedCluster
from monitor.discovery.reconcile import Plan, ReadKey, reconcile
from monitor.discovery.sources import create_source

FIRST_LIST_LIMIT: Final = 30.0
"""Seconds after the start for which the monitor is not ready because a discovery has not listed its clusters yet."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.discovery")


class ListStore(Protocol):
    """Keeps the latest list of each discovery."""

    def discovered(self, discovery: str) -> str | None:
        """Return the list of a discovery that was kept last; None where there is none, or it cannot be read now."""

    def keep_discovered(self, discovery: str, clusters: str) -> bool:
        """Keep the list of a discovery, unless it is kept already, and return whether that was possible now."""


class Discoverer:
    """Keeps the lists of all discoveries. Everything but `ready` and `stop` is for one thread at a time.

    Args:
        network: The connections.
        store: Where lists are kept from one start to the next.
        read_key: Reads a key that an entry of a list names.
        run: Runs a function in the thread in which configs are applied.
        on_change: Applies the config in effect again, in that thread, after a list has come.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        network: Network,
        store: ListStore,
        read_key: ReadKey,
        run: Callable[[Callable[[], None]], "Future[None]"],
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._network = network
        self._store = store
        self._read_key = read_key
        self._run = run
        self._on_change = on_change
        self._clock = clock
        self._lists: dict[str, ClusterList] = {}
        self._skipped: Counter[str] = Counter()
        self._loops: dict[str, DiscoveryLoop] = {}
        self._watched: dict[str, WatchedCluster] | None = None  # by identity
        self._started_at: float | None = None

    def plan(self, config: Config) -> Plan:
        """Return which clusters a config watches, without a change to anything."""
        lists = {discovery.name: self._list_of(discovery) for discovery in config.discovery}
        return reconcile(config.clusters, config.discovery, lists, self._clock(), self._read_key)

    def apply_plan(self, config: Config, plan: Plan) -> None:
        """Note that a plan is in effect: log what it changes, keep it, and run the discoveries of its config."""
        self._lists = dict(plan.lists)
        self._log_changes(plan)
        self._log_skipped(plan)
        self._keep()
        directory = config.path.parent if config.path else Path()
        stopped, loops = dict(self._loops), {}
        for discovery in config.discovery:
            current = stopped.pop(discovery.name, None)
            if current is not None and current.discovery == discovery:
                loops[discovery.name] = current
                continue
            source = create_source(discovery, self._network, directory, os.environ)
            loop = loops[discovery.name] = DiscoveryLoop(discovery, source, self._deliver, current)
            if current is not None:
                current.stop()
            if self._started_at is not None:
                loop.start()
        for loop in stopped.values():
            loop.stop()
        self._loops = loops  # replaced, for other threads read it

    def start(self) -> None:
        """Start listing."""
        self._started_at = time.monotonic()
        for loop in list(self._loops.values()):
            loop.start()

    def stop(self) -> None:
        """Stop listing, without waiting for a server."""
        for loop in list(self._loops.values()):
            loop.stop()

    def ready(self) -> bool:
        """Return whether each discovery has been tried once, or has had time enough for it."""
        if all(loop.attempted for loop in list(self._loops.values())):
            return True
        return self._started_at is not None and time.monotonic() - self._started_at > FIRST_LIST_LIMIT

    def statuses(self) -> dict[str, DiscoveryStatus]:
        """Return how each discovery is doing, by its name."""
        watched = Counter(cluster.discovery for cluster in (self._watched or {}).values() if cluster.status != REMOVED)
        return {
            name: DiscoveryStatus(
                up=None if latest.listed_at is None and not latest.error else not latest.error,
                clusters=watched[name],
                last_success=latest.listed_at,
            )
            for name, latest in self._lists.items()
        }

    def _list_of(self, discovery: Discovery) -> ClusterList:
        """Return the list of a discovery: from those in effect, from before it was renamed, or from the store.

        What it asks counts first: without a name of its own, it is renamed when one before it is removed.
        """
        origin, name = _origin(discovery), discovery.name
        same = [loop.discovery.name for loop in self._loops.values() if _origin(loop.discovery) == origin]
        if same and name not in same:
            name = same[0]
        return self._lists[name] if name in self._lists else self._stored(name)

    def _stored(self, name: str) -> ClusterList:
        text = self._store.discovered(name)
        try:
            return ClusterList() if text is None else decode(text)
        except ValueError:
            _log.warning("discovered_clusters_unreadable", discovery=name)
            return ClusterList()

    def _deliver(self, loop: DiscoveryLoop, result: ListResult) -> None:
        """Use the result of a list, and wait until it is in effect."""
        with suppress(RuntimeError, CancelledError):  # the monitor stops
            self._run(lambda: self._use(loop, result)).result()

    def _use(self, loop: DiscoveryLoop, result: ListResult) -> None:
        name = loop.discovery.name
        if self._loops.get(name) is not loop:
            return
        try:
            latest = self._lists[name]
            failed_before = bool(latest.error)
            if not latest.clusters and latest.listed_at is None:
                latest = replace(self._stored(name), error=latest.error)  # it may not have been available at the start
            try:
                if isinstance(result, DiscoveryError):
                    raise result
                self._lists[name] = latest.update(result, self._clock())
            except DiscoveryError as error:
                self._lists[name] = latest.failed(str(error))
                if not failed_before:
                    _log.error("discovery_failed", discovery=name, message=str(error))
            else:
                if failed_before:
                    _log.info("discovery_recovered", discovery=name, clusters=len(result))
            self._on_change()
        except Exception:  # noqa: BLE001 - a fault of ours must not end the discoveries: it is logged
            _log.exception("discovery_crashed", discovery=name)
        finally:
            loop.attempted = True

    def _log_changes(self, plan: Plan) -> None:
        """Log the clusters that are new, are now paused or polled again, or are no longer watched."""
        current = {watched.cluster.identity(): watched for watched in plan.watched}
        previous, self._watched = self._watched, {key: watched for key, watched in current.items() if watched.discovery}
        if previous is None:
            return
        for key, watched in self._watched.items():
            if watched.status == REMOVED:
                continue
            if key not in previous:
                _log.info("cluster_discovered", **_labels(watched), status=watched.status)
            elif previous[key].polled and not watched.polled:
                _log.info("cluster_paused", **_labels(watched), status=watched.status)
            elif watched.polled and not previous[key].polled:
                _log.info("cluster_resumed", **_labels(watched), status=watched.status)
        reasons = {decision.listed.id: decision.reason for decision in plan.decisions if decision.reason}
        for key, watched in previous.items():
            now = current.get(key)
            if watched.status != REMOVED and (now is None or now.status == REMOVED):
                found_id = watched.cluster.cluster_id or key.removeprefix("/")
                reason = reasons.get(found_id, "its discovery is no longer in the config")
                _log.info("cluster_removed", **_labels(watched), reason=reason)

    def _log_skipped(self, plan: Plan) -> None:
        """Log how many clusters of a discovery cannot be watched, whenever their number has changed."""
        skipped = Counter(decision.discovery for decision in plan.decisions if decision.is_problem)
        for decision in plan.decisions:
            name = decision.discovery
            if decision.is_problem and skipped[name] != self._skipped[name]:
                self._skipped[name] = skipped[name]
                _log.warning(
                    "discovered_clusters_skipped",
                    discovery=name,
                    clusters=skipped[name],
                    message=f"{decision.listed.name}: {decision.reason}",
                )
        self._skipped = skipped

    def _keep(self) -> None:
        """Keep the lists in the store; what cannot be kept now is kept after the next list."""
        for name, latest in self._lists.items():
            if latest.clusters:
                self._store.keep_discovered(name, encode(latest))


def _origin(discovery: Discovery) -> object:
    """Return what a discovery asks, whatever it is called."""
    account, inventory = discovery.zilliz, discovery.http
    return account and (account.url, account.api_key), discovery.files, inventory and inventory.url


def _labels(watched: WatchedCluster) -> dict[str, object]:
    cluster = watched.cluster
    own: dict[str, object] = {"labels": cluster.labels} if cluster.labels else {}
    return {"milvus_cluster": cluster.name, "cluster_id": cluster.cluster_id, **own, "discovery": watched.discovery}
