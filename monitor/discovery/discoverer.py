"""Runs the discoveries of a config in the background, and keeps what they find."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Semaphore, Thread
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from monitor.client import Network, StoppedError
from monitor.config import Config, Discovery
from monitor.discovery.files import FilesSource
from monitor.discovery.http import HttpSource
from monitor.discovery.known import KnownList, decode, encode
from monitor.discovery.model import DiscoveredCluster, DiscoveryError, Source
from monitor.discovery.reconcile import REMOVED, DiscoveryStatus, Plan, ReadKey, WatchedCluster, reconcile
from monitor.discovery.zilliz import ZillizSource

FIRST_LIST_LIMIT: Final = 30.0
"""Seconds after the start for which the monitor is not ready because a discovery has not listed its clusters yet."""

FILE_CHECK_INTERVAL: Final = 5.0
"""Seconds from one check of the files of a discovery to the next."""

LISTS_AT_ONCE: Final = 2
"""Lists of one discovery that run at the same time, at most: one can hang under settings that a reload has replaced."""

SLOT_CHECK_INTERVAL: Final = 0.5
"""Seconds from one attempt to get a free slot of these to the next."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.discovery")

ListResult = tuple[DiscoveredCluster, ...] | DiscoveryError


class ListStore(Protocol):
    """Keeps the latest list of each discovery."""

    def discovered(self, discovery: str) -> str | None:
        """Return the list of a discovery that was kept last; None where there is none, or it cannot be read now."""

    def keep_discovered(self, discovery: str, clusters: str) -> bool:
        """Keep the list of a discovery, unless it is kept already, and return whether that was possible now."""


def create_source(discovery: Discovery, network: Network, directory: Path, environ: Mapping[str, str]) -> Source:
    """Return the source of a discovery; nothing is read or sent yet.

    Args:
        discovery: Its settings.
        network: The connections.
        directory: Where relative paths in files begin.
        environ: The variables in files.
    """
    has_key = bool(discovery.api_key.get_secret_value())
    if discovery.zilliz is not None:
        account = discovery.zilliz
        return ZillizSource(
            account.url,
            account.api_key,
            network=network,
            timeout=discovery.timeout,
            requests_per_second=discovery.requests_per_second,
            tls=discovery.tls,
            on_demand=account.on_demand,
            needs_project_names=any(
                "project" in entry.patterns() for entry in (*discovery.include, *discovery.exclude)
            ),
        )
    if discovery.http is not None:
        return HttpSource(discovery.http, network, discovery.timeout, has_key=has_key)
    return FilesSource(discovery.files or (), directory, environ, has_key=has_key)


class _Loop:
    """Lists the clusters of one discovery, again and again, in a thread of its own.

    Args:
        discovery: The discovery.
        source: Its source.
        deliver: Takes each result, and returns when it is in effect.
        previous: The loop of the same discovery under the settings before, if there is one.
    """

    def __init__(
        self,
        discovery: Discovery,
        source: Source,
        deliver: Callable[["_Loop", ListResult], None],
        previous: "_Loop | None" = None,
    ) -> None:
        self.discovery = discovery
        self.attempted: bool = previous is not None and previous.attempted
        self.slots: Semaphore = Semaphore(LISTS_AT_ONCE) if previous is None else previous.slots
        self._source = source
        self._deliver = deliver
        self._stopped = Event()
        # A server that does not respond must not keep the process from ending.
        self._thread = Thread(target=self._run, name=f"discovery-{discovery.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            started = time.monotonic()
            version = self._version()
            result: ListResult
            try:
                with self._slot():
                    result = self._source.list_clusters()
            except DiscoveryError as error:
                result = error
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end a discovery: logged, and it has failed
                _log.exception("discovery_crashed", discovery=self.discovery.name)
                result = DiscoveryError(f"{type(error).__name__} in the monitor itself")
            if not self._stopped.is_set():
                self._deliver(self, result)
            self._wait(started + self.discovery.interval, version)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Wait until fewer than ``LISTS_AT_ONCE`` lists of the discovery run; raise `StoppedError` where it stops."""
        while not self.slots.acquire(timeout=SLOT_CHECK_INTERVAL):
            if self._stopped.is_set():
                raise StoppedError
        try:
            yield
        finally:
            self.slots.release()

    def _wait(self, until: float, version: str | None) -> None:
        """Wait until a time, or until a file has changed."""
        while (remaining := until - time.monotonic()) > 0:
            pause = remaining if version is None else min(remaining, FILE_CHECK_INTERVAL)
            if self._stopped.wait(pause) or self._version() != version:
                return

    def _version(self) -> str | None:
        return self._source.version() if isinstance(self._source, FilesSource) else None


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
        self._lists: dict[str, KnownList] = {}
        self._skipped: Counter[str] = Counter()
        self._loops: dict[str, _Loop] = {}
        self._watched: dict[str, WatchedCluster] | None = None  # by identity
        self._started_at: float | None = None

    def plan(self, config: Config) -> Plan:
        """Return which clusters a config watches, without a change to anything."""
        lists = {discovery.name: self._known(discovery) for discovery in config.discovery}
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
            loop = loops[discovery.name] = _Loop(discovery, source, self._deliver, current)
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
                up=None if known.listed_at is None and not known.error else not known.error,
                clusters=watched[name],
                last_success=known.listed_at,
            )
            for name, known in self._lists.items()
        }

    def _known(self, discovery: Discovery) -> KnownList:
        """Return what is known of a discovery: from its lists, from before it was renamed, or from the store.

        What it asks counts first: without a name of its own, it is renamed when one before it is removed.
        """
        origin, name = _origin(discovery), discovery.name
        same = [loop.discovery.name for loop in self._loops.values() if _origin(loop.discovery) == origin]
        if same and name not in same:
            name = same[0]
        return self._lists[name] if name in self._lists else self._stored(name)

    def _stored(self, name: str) -> KnownList:
        text = self._store.discovered(name)
        try:
            return KnownList() if text is None else decode(text)
        except ValueError:
            _log.warning("discovered_clusters_unreadable", discovery=name)
            return KnownList()

    def _deliver(self, loop: _Loop, result: ListResult) -> None:
        """Use the result of a list, and wait until it is in effect."""
        with suppress(RuntimeError, CancelledError):  # the monitor stops
            self._run(lambda: self._use(loop, result)).result()

    def _use(self, loop: _Loop, result: ListResult) -> None:
        name = loop.discovery.name
        if self._loops.get(name) is not loop:
            return
        try:
            known = self._lists[name]
            failed_before = bool(known.error)
            if not known.clusters and known.listed_at is None:
                known = replace(self._stored(name), error=known.error)  # it may not have been available at the start
            try:
                if isinstance(result, DiscoveryError):
                    raise result
                self._lists[name] = known.update(result, self._clock())
            except DiscoveryError as error:
                self._lists[name] = known.failed(str(error))
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
        reasons = {decision.found.id: decision.reason for decision in plan.decisions if decision.reason}
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
                    message=f"{decision.found.name}: {decision.reason}",
                )
        self._skipped = skipped

    def _keep(self) -> None:
        """Keep the lists in the store; what cannot be kept now is kept after the next list."""
        for name, known in self._lists.items():
            if known.clusters:
                self._store.keep_discovered(name, encode(known))


def _origin(discovery: Discovery) -> object:
    """Return what a discovery asks, whatever it is called."""
    account, inventory = discovery.zilliz, discovery.http
    return account and (account.url, account.api_key), discovery.files, inventory and inventory.url


def _labels(watched: WatchedCluster) -> dict[str, object]:
    cluster = watched.cluster
    own: dict[str, object] = {"labels": cluster.labels} if cluster.labels else {}
    return {"milvus_cluster": cluster.name, "cluster_id": cluster.cluster_id, **own, "discovery": watched.discovery}
