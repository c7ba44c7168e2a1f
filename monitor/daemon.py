"""The daemon: wires the packages together, applies configs, handles signals, and stops in time."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from operator import attrgetter
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import urlsplit

import structlog

from monitor.client import POLL_LIMIT, ErrorKind, ImportApi, ImportFile, Network, connect
from monitor.clock import ClockSteps
from monitor.config import Cluster, Config, ConfigError, load_web
from monitor.discovery import WatchedCluster
from monitor.discovery.discoverer import Discoverer
from monitor.intervals import PollIntervals
from monitor.jobs import Snapshot, Transition
from monitor.key_files import KeyFiles
from monitor.log_writer import LogWriter
from monitor.metrics import ClusterMetrics, Exposition, ProcessMetrics
from monitor.poll_log import cluster_fields, log_transition
from monitor.poller import Poller, PollOutcome
from monitor.redaction import Redactor, passwords_in
from monitor.replicas import Handover, open_replicas, replica_name
from monitor.scheduler import PollScheduler
from monitor.sharing import FleetSharing
from monitor.store import ClusterRef, open_store
from monitor.web import AddressError, FleetStatus, Server, bound_socket, create_app, is_loopback

STOP_TIMEOUT: Final = 0.7
"""Seconds that running polls have when the monitor stops."""

MAINTENANCE_INTERVAL: Final = 1.0
"""Seconds from one maintenance of the store, and one look for dropped log lines, to the next."""

STORE_LIMIT: Final = 15.0
"""Seconds that a poll may wait for the store: three transactions that are given up."""

OWNERSHIP_INTERVAL: Final = 0.5
"""Seconds from one look at which clusters are ours to the next."""

MISSED_BEFORE_TAKEOVER: Final = 2.0
"""Seconds, besides ``takeover``, for which nobody may have polled a cluster that has become ours."""

FILES_TIMEOUT: Final = 2.0
"""Seconds that a cluster has to name the files of a job."""

CLOCK_CHECK_INTERVAL: Final = 1.0
"""Seconds from one look at the clock to the next."""

RESERVED_FILES: Final = 128
"""Open files reserved for other than HTTP connections, besides two for each poll: its connection and the store's."""

KEY_CHECK_INTERVAL: Final = 15.0
"""Seconds from one look at the files with keys and certificates to the next."""

PLAN_INTERVAL: Final = 5.0
"""Seconds from one look at the rates of the API keys to the next."""

KEY_CHECK_TIMEOUT: Final = 5.0
"""Seconds that a poll waits for the file of a rejected key to be read again, while a reload may be running."""

_NEEDS_RESTART: Final = (
    "listen",
    "log.format",
    "log.level",
    "poll.concurrency",
    "replicas.takeover",
    "state.url",
    "state.retention",
)
"""The settings, by their keys in the file, that a reload cannot change."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.daemon")


class Daemon:
    """Watches the clusters of a config until it is stopped.

    Args:
        config: What to watch.
        load: Loads the config file again, for a reload; raises ``ConfigError``. None where there is no file.
        redactor: Masks secrets in the log; gets those of each config that is applied.
        log_writer: Where the log is written; None where nothing is dropped.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config] | None,
        redactor: Redactor,
        log_writer: LogWriter | None = None,
    ) -> None:
        self.config = config
        self._load = load
        self._redactor = redactor
        self._log_writer = log_writer
        self._lines_dropped = 0
        self._key_files = KeyFiles()
        self._key_checks: dict[Path | None, Future[None]] = {}
        self._reloader = ThreadPoolExecutor(1, thread_name_prefix="reload")  # one after the other; waits for no poll
        self._redactor.learn(_secrets(config))  # before the first thing that could name one
        self._network = Network(connections=config.poll.concurrency)
        url, name = config.state.url.get_secret_value(), replica_name()
        self.store = open_store(url, retention=config.state.retention, connections=config.poll.concurrency, holder=name)
        self.replicas = open_replicas(url, takeover=config.replicas.takeover, name=name)
        self._handover = Handover(self.replicas)
        self.fleet = FleetStatus(self.store.snapshot)
        self._sharing = FleetSharing(self.store, self.fleet, self.replicas)
        self._process_metrics = ProcessMetrics()
        self._exposition = Exposition(self._process_metrics.registry)
        self._scheduler = PollScheduler(config.poll.concurrency, is_ours=self._handover.polls)
        self._intervals = PollIntervals(
            self._set_interval, self._network.limiter.share, self._handover.polls, self._network.limiter.divide
        )
        self._clock_steps = ClockSteps()
        self._pollers: dict[str, Poller] = {}
        self._changing_clusters = Lock()
        self._watched: dict[str, WatchedCluster] = {}
        self._discoverer = Discoverer(
            self._network, self.store, self._key_files.key, self._reloader.submit, self._apply_discovered
        )
        self.server: Server | None = None
        self._apply_config(config)
        self._process_metrics.set_reload_succeeded(time.time())
        if self.store.up:  # else it has just been tried
            self._maintain()
        self._scheduler.run_every(MAINTENANCE_INTERVAL, self._maintain)
        self._scheduler.run_every(KEY_CHECK_INTERVAL, self._check_keys)
        self._scheduler.run_every(PLAN_INTERVAL, self._intervals.plan)
        if not self._handover.alone:
            self._scheduler.run_every(OWNERSHIP_INTERVAL, self._share_clusters)

    @property
    def external_url(self) -> str:
        """Where a reverse proxy serves the pages, without a slash at the end; empty where it is not known."""
        return self.config.external_url

    def start(self) -> None:
        """Join the other monitors, and start polling and looking for clusters.

        Raises:
            StoreError: The clusters cannot be shared by this database; the message says what to do.
        """
        self.replicas.start()
        self._scheduler.start()
        self._discoverer.start()
        self._sharing.start()

    def stop(self) -> int:
        """Stop polling within a bounded time, and return how many polls hang on a server that does not respond."""
        self.replicas.release()
        self._sharing.stop()
        self._network.stop()
        self._discoverer.stop()
        self._reloader.shutdown(wait=False, cancel_futures=True)
        hanging = self._scheduler.stop(STOP_TIMEOUT)
        self._network.close()
        self.store.close()
        return hanging

    def scrape(self, accept: str, now: float) -> tuple[bytes, str]:
        """Return the body and the content type of a scrape."""
        self._process_metrics.set_store(up=self.store.up, failures=self.store.failures)
        self._process_metrics.set_replicas(len(self.replicas.members()))
        return self._exposition.scrape(accept, now)

    async def watch_clock(self) -> None:
        """Go on polling whenever the clock is set back."""
        handled = self._clock_steps.latest()
        while True:
            await asyncio.sleep(CLOCK_CHECK_INTERVAL)
            steps = self._clock_steps.latest()
            seconds = -sum(step.seconds for step in steps if step.seconds < 0 and step not in handled)
            handled = steps
            if seconds:
                self._scheduler.reschedule()
                _log.warning("clock_set_back", seconds=round(seconds, 1))

    async def watch_certificates(self) -> None:
        """Use certificates and keys of the pages that have changed in their files; settings wait for a reload."""
        problem = None
        while self.server is not None:
            await asyncio.sleep(KEY_CHECK_INTERVAL)
            current, previous_problem, problem = self.server.web_config, problem, None
            if current.path is None or current.context is None:
                continue
            loop = asyncio.get_running_loop()
            try:
                web = await loop.run_in_executor(self._reloader, load_web, current.path, os.environ)
                if web.settings == current.settings and web.fingerprint != current.fingerprint:
                    await self.server.apply_web_config(web)
                    _log.info("certificates_reloaded", file=str(current.path))
            except (ValueError, AddressError) as error:
                problem = str(error)
                if problem != previous_problem:
                    _log.warning("certificates_unreadable", file=str(current.path), message=problem)
            except Exception:  # noqa: BLE001 - a fault of ours must not end these checks: it is logged, the old ones stay
                _log.exception("keys_not_reloaded")

    def healthy(self) -> bool:
        """Return whether the scheduler is alive."""
        return self._scheduler.healthy()

    def ready(self) -> bool:
        """Return whether every discovery has been tried, and every cluster that is ours has been polled once."""
        return self._discoverer.ready() and self._handover.ready() and self._scheduler.ready()

    async def reload(self) -> str | None:
        """Reload the config file in a thread; return what is wrong with it, or None where it was applied."""
        problem = await asyncio.get_running_loop().run_in_executor(self._reloader, self._reload)
        if problem is None and self.server is not None:
            try:
                await self.server.apply_web_config(self.config.web)
            except AddressError as error:
                self._process_metrics.set_reload_failed()
                _log.error("config_rejected", problems=[str(error)])
                return str(error)
        return problem

    def import_files(self, cluster: str, job_id: str) -> tuple[ImportFile, ...]:
        """Ask a cluster for the files of a job, with less patience than a poll has.

        Counted with the requests of the cluster's polls, and shown with the next of them.

        Raises:
            KeyError: The cluster is not watched.
            ApiError: The request failed.
            StoppedError: The monitor is stopping.
        """
        poller = self._pollers[cluster]
        hasty = poller.cluster.model_copy(update={"timeout": min(poller.cluster.timeout, FILES_TIMEOUT)})
        return connect(hasty, self._network, poller.usage, poller.known_databases).import_files(job_id)

    def _reload(self) -> str | None:
        if self._load is None:
            return "there is no config file to reload"
        try:
            config = self._load()
            self._apply_config(config)
            self._process_metrics.set_reload_succeeded(time.time())
        except ConfigError as error:
            self._process_metrics.set_reload_failed()
            _log.error("config_rejected", problems=list(error.problems))
            return str(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the monitor: the old config stays
            self._process_metrics.set_reload_failed()
            problem = f"{type(error).__name__} in the monitor itself"
            _log.exception("config_rejected", problems=[problem])
            return problem
        _log.info("config_reloaded", clusters=len(self._watched))
        return None

    def _check_keys(self, timeout: float = 0.0, file: Path | None = None) -> None:
        """Read files with API keys again, one or all, in the thread of reloads; wait for it a bounded time."""
        check = self._key_checks.get(file)
        with suppress(RuntimeError, CancelledError, TimeoutError):  # the monitor stops, or a reload takes long
            if check is None or check.done():
                check = self._key_checks[file] = self._reloader.submit(self._reload_keys, file)
            check.result(timeout)

    def _reload_keys(self, only: Path | None) -> None:
        """Use the keys that have changed in their files; a file that cannot be read leaves its key in use."""
        try:
            config, changed = self._key_files.renew(self.config, only)
            if only in (None, config.state.url_file):
                config = self._key_files.renew_state_url(config)
            if changed or config.state != self.config.state:
                self._apply_config(config)
            if changed:
                _log.info("keys_reloaded", clusters=changed)
        except Exception:  # noqa: BLE001 - a fault of ours must not end these checks: it is logged, the old keys stay
            _log.exception("keys_not_reloaded")

    def _apply_discovered(self) -> None:
        self._apply_config(self.config)

    def _apply_config(self, config: Config) -> None:
        """Apply a config as a whole, with the clusters found."""
        plan = self._discoverer.plan(config)
        if config is not self.config or [*plan.watched] != [*self._watched.values()]:
            with self._changing_clusters:
                self._apply_clusters(config, plan.watched)
        for name, watched in self._watched.items():
            if watched.shows_failures:  # they go one by one
                self._pollers[name].metrics.pause(time.time(), show_failures=True)
        self._discoverer.apply_plan(config, plan)
        self._process_metrics.set_discoveries(self._discoverer.statuses())

    def _apply_clusters(self, config: Config, planned: Sequence[WatchedCluster]) -> None:
        """Start, reconfigure and stop pollers as needed.

        Whatever can fail comes first, and changes nothing that is in use.
        """
        previous = self.config
        watched = {entry.cluster.name: entry for entry in planned}
        keys = {key for entry in (*planned, *self._watched.values()) for key in entry.cluster.secrets()}
        self._redactor.learn(_secrets(config) | _secrets(previous) | keys)
        clusters = {name: entry.cluster for name, entry in watched.items()}
        kept = {
            name: poller
            for name, poller in self._pollers.items()
            if name in clusters and poller.cluster.identity() == clusters[name].identity()
        }
        changed = {
            name: connect(clusters[name], self._network, poller.usage, poller.known_databases)
            for name, poller in kept.items()
            if poller.cluster != clusters[name]
        }
        stopped = self._pollers.keys() - kept.keys()
        added = [cluster for name, cluster in clusters.items() if name not in kept]
        apis = {cluster.name: connect(cluster, self._network) for cluster in added}

        restart_needed = [key for key in _NEEDS_RESTART if attrgetter(key)(previous) != attrgetter(key)(config)]
        if "state.url" in restart_needed and self.store.change_credentials(config.state.url.get_secret_value()):
            self.replicas.change_credentials(config.state.url.get_secret_value())
            restart_needed.remove("state.url")
            _log.info("state_credentials_reloaded")
        if restart_needed:
            _log.warning("restart_needed", settings=restart_needed)
        snapshots = dict[str, Snapshot | None]()
        for name in stopped:
            self._scheduler.unschedule(name)
            self._intervals.forget(name)
            poller = self._pollers.pop(name)
            snapshots[poller.cluster.identity()] = poller.retire()
        renamed = {cluster.name: snapshot for cluster in added if (snapshot := snapshots.get(cluster.identity()))}
        self.store.watch((ClusterRef(one.name, one.identity(), one.cluster_id) for one in added), renamed)
        for cluster in added:
            self._pollers[cluster.name] = self._create_poller(cluster, apis[cluster.name])
        for name, api in changed.items():
            self._pollers[name].reconfigure(clusters[name], api)
        self._pollers = {name: self._pollers[name] for name in clusters}
        resumed = {name for name in kept if not self._watched[name].polled}
        self._watched = watched
        self._key_files.keep_only(cluster.api_key_file for cluster in clusters.values())
        self._pause_or_resume()
        self._show_clusters()
        self._process_metrics.set_clusters(len(clusters))
        self.fleet.apply_config(planned)
        scheduled = [name for name in {*apis, *changed, *resumed} if watched[name].polled]
        for name in scheduled:
            self._intervals.watch(clusters[name], self.store.snapshot(name), self._pollers[name].usage)
        self._intervals.plan()
        for name in scheduled:
            self._schedule(self._pollers[name])
        self.config = config

    def _pause_or_resume(self) -> None:
        """Stop polling the clusters that are not to be polled, and show which they are."""
        for name, watched in self._watched.items():
            self._pollers[name].metrics.set_missing(missing=watched.missing)
            if watched.polled:
                self._pollers[name].metrics.resume()
            else:
                self._scheduler.unschedule(name)
                self._intervals.forget(name)
                self._pollers[name].metrics.pause(time.time(), show_failures=watched.shows_failures)

    def _create_poller(self, cluster: Cluster, api: ImportApi) -> Poller:
        metrics = ClusterMetrics(cluster, [kind.value for kind in ErrorKind])
        snapshot = self.store.snapshot(cluster.name)
        if snapshot is not None:
            try:
                metrics.restore(snapshot, time.time())
            except Exception:  # noqa: BLE001 - what cannot be shown of one cluster must keep none from being watched
                _log.exception("snapshot_not_shown", **cluster_fields(cluster))
        return Poller(
            cluster,
            api,
            self.store,
            metrics,
            self._process_metrics,
            clock_steps=self._clock_steps.latest,
            is_ours=self._handover.polls,
        )

    def _show_clusters(self) -> None:
        self._exposition.show(poller.metrics for name, poller in self._pollers.items() if self._handover.holds(name))

    def _share_clusters(self) -> None:
        """Take over the clusters that have become ours, and let go those that are ours no longer."""
        gained, lost = self._handover.refresh(self._pollers, self)
        if not (gained or lost):
            return
        with self._changing_clusters:
            polled = [name for name in gained if (one := self._watched.get(name)) is not None and one.polled]
            for name in polled:
                self._intervals.forget(name)
                self._intervals.watch(self._pollers[name].cluster, self.store.snapshot(name), self._pollers[name].usage)
            self._intervals.plan()
            not_polled_for = self.config.replicas.takeover + MISSED_BEFORE_TAKEOVER
            for name in polled:
                self._scheduler.take_over(name, not_polled_for, self._intervals.first_polls_within(name))
            self._show_clusters()
            self.fleet.apply_config([*self._watched.values()])

    def take_over(self, names: list[str]) -> None:
        """Load clusters that another monitor has polled until now."""
        self.store.take_over(names)
        for name in names:
            if (poller := self._pollers.get(name)) is not None:
                try:
                    poller.take_over(self.store.snapshot(name))
                except Exception:  # noqa: BLE001 - what cannot be shown of one cluster must keep none from being polled
                    _log.exception("snapshot_not_shown", **cluster_fields(poller.cluster))

    def let_go(self, _names: list[str]) -> None:
        """Hide clusters that another monitor polls from now on, and store what it has to know of them."""
        self._show_clusters()
        self.store.flush()

    def _schedule(self, poller: Poller) -> None:
        key_rejected = False

        def poll() -> PollOutcome:
            nonlocal key_rejected
            file = poller.cluster.api_key_file
            if key_rejected and file is not None:
                self._check_keys(KEY_CHECK_TIMEOUT, file)
            outcome = poller.poll()
            key_rejected = outcome.unauthorized
            name, changes = poller.cluster.name, outcome.diff
            if self._pollers.get(name) is poller and (outcome.ok or outcome.error):  # else it was stopped
                self._intervals.poll_finished(name, outcome)
                transitions = self.store.recent_transitions(name) if changes and changes.transitions else ()
                self.fleet.poll_finished(name, error=outcome.error, diff=changes, transitions=transitions)
            return outcome

        cluster = poller.cluster

        def show_interval(interval: float, in_force: float) -> None:
            poller.metrics.set_interval(interval, in_force)
            self.fleet.set_interval(cluster.name, in_force)

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

    def _set_interval(self, name: str, interval: float, stretch: float) -> None:
        poller = self._pollers.get(name)
        if poller is not None:
            self._scheduler.set_interval(name, interval)
            poller.metrics.set_stretch(stretch)

    def _log_pending(self, name: str, cluster_id: str, transition: Transition) -> None:
        """Log a transition that was recorded earlier, possibly of a cluster that has left the config."""
        labels: dict[str, object] = {"milvus_cluster": name, "cluster_id": cluster_id}
        poller = self._pollers.get(name)
        log_transition(transition, labels if poller is None else cluster_fields(poller.cluster) | labels)

    def _maintain(self) -> None:
        if not self.store.up and self.config.state.url_file is not None:  # its password may have been replaced
            self._check_keys(file=self.config.state.url_file)
        self.store.maintain(self._log_pending)
        if self._log_writer is not None and (lines := self._log_writer.dropped - self._lines_dropped):
            self._lines_dropped += lines
            self._process_metrics.add_dropped_lines(lines)
            _log.warning("log_lines_dropped", lines=lines)


def _secrets(config: Config) -> frozenset[str]:
    """Return what must not be shown: the config's secrets, and those of the proxies on the way to its clusters."""
    return config.secrets() | passwords_in(os.environ)


async def serve(
    daemon: Daemon,
    *,
    background_tasks: Iterable[Callable[[], Awaitable[None]]] = (),
    stop_after: float | None = None,
    on_ready: Callable[[str], None] = lambda _url: None,
) -> int:
    """Run a daemon until SIGINT or SIGTERM, or for `stop_after` seconds; SIGHUP reloads its config.

    Meanwhile `background_tasks` run in the same event loop. `on_ready` is called with the URL once it is served.

    Returns:
        How many threads still hang on a server that does not respond.

    Raises:
        AddressError: The address cannot be listened on.
    """
    config = daemon.config
    sock = bound_socket(config.listen.host, config.listen.port)
    app = create_app(daemon)
    server = daemon.server = Server(
        app,
        config.web,
        end_streams=app.state.streams.end,
        reserved_files=RESERVED_FILES + 2 * config.poll.concurrency,
        host_names=lambda: (config.listen.host, urlsplit(daemon.external_url).hostname or ""),
    )
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[str | None]] = set()

    def reload() -> None:
        task = loop.create_task(daemon.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that came during the start reloads now
    if stop_after is not None:
        loop.call_later(stop_after, server.stop)
    tasks = [asyncio.ensure_future(run()) for run in (*background_tasks, daemon.watch_clock, daemon.watch_certificates)]
    host, port = sock.getsockname()[:2]
    scheme = "http" if config.web.context is None else "https"
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    daemon.start()
    _log.info("monitor_started", version=version("milvus-import-monitor"), listen=url, clusters=len(daemon.fleet.names))
    if not (config.web.has_auth() or is_loopback(host)):
        _log.warning("listening_without_auth", listen=url)
    on_ready(url)
    try:
        await server.serve(sockets=[sock])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        hanging = daemon.stop()
        _log.info("monitor_stopped", hanging_polls=hanging)
    busy: int = sum(pool.pending for pool in app.state.pools)
    return hanging + busy
