"""The daemon: puts the rooms together, takes signals, and stops in time."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from operator import attrgetter
from threading import Lock
from typing import Final

import structlog

from monitor.api import ErrorKind, ImportFile, Network, connect, files_of
from monitor.config import Cluster, Config, ConfigError, WebConfig, passwords_in
from monitor.fleet import Fleet
from monitor.log import Redactor
from monitor.metrics import ClusterMetrics, Exposition, OwnMetrics
from monitor.poller import Outcome, Poller, tell_transition
from monitor.scheduler import PollScheduler
from monitor.store import History, Wanted, Whose, open_store
from monitor.web import AddressError, Desk, Server, bound_socket, create_app, is_loopback

STOP_WITHIN: Final = 0.7
"""Seconds that running polls have when the monitor stops."""

STORE_EVERY: Final = 1.0
"""Seconds from one look after the store to the next."""

FILES_WITHIN: Final = 2.0
"""Seconds that a cluster has to tell the files of a job."""

FAILURE_KINDS: Final = tuple(kind.value for kind in ErrorKind)

_FIXED: Final[dict[str, Callable[[Config], object]]] = {
    "listen": attrgetter("listen"),
    "log.format": attrgetter("log.format"),
    "log.level": attrgetter("log.level"),
    "poll.concurrency": attrgetter("poll.concurrency"),
    "state.url": attrgetter("state.url"),
    "state.retention": attrgetter("state.retention"),
}
"""The settings, by their keys in the file, that count as they were at the start."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.daemon")
_faults: Final = logging.getLogger("monitor.daemon")


class Daemon:
    """Watches the clusters of a config until it is stopped.

    Args:
        config: What to watch.
        load: Loads the config anew, for a reload; raises ``ConfigError``. None where there is no file to load.
        redactor: Is told the secrets of each config that is taken.
    """

    def __init__(self, config: Config, load: Callable[[], Config] | None, redactor: Redactor) -> None:
        self.config = config
        self._load = load
        self._redactor = redactor
        self._reloading = Lock()
        self._reloader = ThreadPoolExecutor(1, thread_name_prefix="reload")  # a reload waits for no poll
        self._redactor.learn(_secrets(config))  # before the first thing that could say one
        self._network = Network(connections=config.poll.concurrency)
        self._store = open_store(
            config.state.url.get_secret_value(),
            retention=config.state.retention,
            connections=config.poll.concurrency,
        )
        self.fleet = Fleet(self._store.picture, self._store.latest)
        self._own = OwnMetrics()
        self._exposition = Exposition(self._own.registry)
        self._scheduler = PollScheduler(config.poll.concurrency)
        self._pollers: dict[str, Poller] = {}
        self._open: Callable[[WebConfig], Awaitable[None]] | None = None
        self._take(config)
        self._maintain_store()
        self._scheduler.every(STORE_EVERY, self._maintain_store)

    def start(self) -> None:
        """Start polling."""
        self._scheduler.start()

    def stop(self) -> int:
        """Stop polling within a bounded time, and return how many polls hang on a server that does not answer."""
        self._network.stop()
        self._reloader.shutdown(wait=False, cancel_futures=True)
        hanging = self._scheduler.stop(STOP_WITHIN)
        self._network.close()
        self._store.close()
        return hanging

    def scrape(self, accept: str, now: float) -> tuple[bytes, str]:
        """Return the body and the content type of a scrape."""
        self._own.store(up=self._store.up, failures=self._store.failures)
        return self._exposition.scrape(accept, now)

    def follow_clock(self) -> None:
        """Go on polling where the clock was set back."""
        seconds = self._scheduler.follow_clock()
        if seconds:
            _log.warning("clock_set_back", seconds=round(seconds, 1))

    def healthy(self) -> bool:
        """Say whether the clockwork turns."""
        return self._scheduler.healthy()

    def ready(self) -> bool:
        """Say whether every cluster has been polled once."""
        return self._scheduler.ready()

    async def reload(self) -> str | None:
        """Load the config anew, beside the scrapes; return what is wrong with it, or None where it was taken."""
        problem = await asyncio.get_running_loop().run_in_executor(self._reloader, self._reload)
        if problem is None and self._open is not None:
            try:
                await self._open(self.config.web)
            except AddressError as error:
                _log.error("config_rejected", problems=[str(error)])
                return str(error)
        return problem

    def served_by(self, server: Server) -> None:
        """Let a server go by the web config of each config that is taken."""
        self._open = server.take

    def history(self, wanted: Wanted, limit: int, cursor: str) -> History:
        """Return a page of recorded transitions; raises ``CursorError``."""
        return self._store.history(wanted, limit, cursor)

    def files(self, cluster: str, job_id: str) -> tuple[ImportFile, ...]:
        """Ask a cluster for the files of a job, with less patience than a poll has; raises ``ApiError``.

        Counted with the requests of the cluster's polls, and shown with the next of them.
        """
        poller = self._pollers[cluster]
        asked = poller.cluster.model_copy(update={"timeout": min(poller.cluster.timeout, FILES_WITHIN)})
        return files_of(asked, self._network, job_id, poller.usage)

    def _reload(self) -> str | None:
        with self._reloading:
            if self._load is None:
                return "there is no config file to load"
            try:
                config = self._load()
            except ConfigError as error:
                self._own.config_rejected()
                _log.error("config_rejected", problems=list(error.problems))
                return str(error)
            fixed = _needs_restart(self.config, config)
            if fixed:
                _log.warning("restart_needed", settings=fixed)
            self._take(config)
            _log.info("config_reloaded", clusters=len(config.clusters))
            return None

    def _take(self, config: Config) -> None:
        """Watch what a config says: add, change and remove clusters, and leave the others alone."""
        self._redactor.learn(_secrets(config) | _secrets(self.config))
        wanted = {cluster.name: cluster for cluster in config.clusters}
        for name in [name for name in self._pollers if name not in wanted]:
            self._scheduler.unwatch(name)
            self._pollers.pop(name).retire()
        for name, cluster in wanted.items():
            poller = self._pollers.get(name)
            if poller is None:
                self._add(cluster)
            elif poller.cluster != cluster:
                self._change(poller, cluster)
        self._pollers = {name: self._pollers[name] for name in wanted}
        self._exposition.show(poller.metrics for poller in self._pollers.values())
        self.fleet.watch(config.clusters)
        self._own.config_loaded(time.time())
        self.config = config

    def _maintain_store(self) -> None:
        """Let the store do what is due."""
        self._store.maintain(lambda name, cluster_id, step: tell_transition(step, name, cluster_id))

    def _add(self, cluster: Cluster) -> None:
        self._store.watch(Whose(cluster.name, cluster.identity(), cluster.cluster_id))
        metrics = ClusterMetrics(cluster, FAILURE_KINDS)
        picture = self._store.picture(cluster.name)
        if picture is not None:
            try:
                metrics.restored(picture, time.time())
            except Exception:  # noqa: BLE001 - what cannot be shown of one cluster must keep none from being watched
                _faults.exception("what is known of %s cannot be shown before its first poll", cluster.name)
        poller = Poller(cluster, connect(cluster, self._network), self._store, metrics, self._own)
        self._pollers[cluster.name] = poller
        self._watch(poller)

    def _change(self, poller: Poller, cluster: Cluster) -> None:
        """Go on with changed settings; where the name stands for another cluster now, begin anew."""
        if poller.cluster.identity() != cluster.identity():
            self._scheduler.unwatch(cluster.name)
            poller.retire()
            self._add(cluster)
            return
        poller.reconfigure(cluster, connect(cluster, self._network, poller.usage))
        self._watch(poller)

    def _watch(self, poller: Poller) -> None:
        def poll() -> Outcome:
            outcome = poller.poll()
            self.fleet.polled(poller.cluster.name, ok=outcome.ok, why=poller.trouble())
            return outcome

        self._scheduler.watch(poller.cluster.name, poller.cluster.interval, poll, poller.metrics.missed)


def _secrets(config: Config) -> frozenset[str]:
    """Return what must not be seen: the config's secrets, and those of the proxies on the way to its clusters."""
    return config.secrets() | passwords_in(os.environ)


def _needs_restart(old: Config, new: Config) -> list[str]:
    """Name the settings, as the file does, whose change a reload cannot take over."""
    return [name for name, value in _FIXED.items() if value(old) != value(new)]


async def _follow_clock(daemon: Daemon) -> None:
    while True:
        await asyncio.sleep(1.0)
        daemon.follow_clock()


async def serve(
    daemon: Daemon,
    *,
    beside: Iterable[Callable[[], Awaitable[None]]] = (),
    stop_after: float | None = None,
    announce: Callable[[str], None] = lambda _url: None,
) -> int:
    """Run a daemon until SIGINT or SIGTERM; SIGHUP reloads its config.

    Args:
        daemon: The daemon.
        beside: What else runs in this loop for as long.
        stop_after: Seconds after which it stops by itself, or None.
        announce: Is told the URL once it is served.

    Returns:
        How many threads still hang on a server that does not answer.

    Raises:
        AddressError: The address cannot be listened on.
    """
    config = daemon.config
    sock = bound_socket(config.listen.host, config.listen.port)
    app = create_app(daemon)
    server = Server(app, config.web, end_streams=app.state.streams.end)
    daemon.served_by(server)
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[str | None]] = set()

    def reload() -> None:
        task = loop.create_task(daemon.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    if stop_after is not None:
        loop.call_later(stop_after, server.stop)
    others = [asyncio.ensure_future(run()) for run in beside]
    others.append(asyncio.ensure_future(_follow_clock(daemon)))
    host, port = sock.getsockname()[:2]
    scheme = "http" if config.web.context is None else "https"
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    daemon.start()
    _log.info("monitor_started", version=version("milvus-import-monitor"), listen=url, clusters=len(config.clusters))
    if not (config.web.has_auth() or is_loopback(host)):
        _log.warning("listening_without_auth", listen=url)
    announce(url)
    try:
        await server.serve(sockets=[sock])
    finally:
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        hanging = daemon.stop()
        _log.info("monitor_stopped", hanging_polls=hanging)
        sys.stderr.flush()
    desks: tuple[Desk, ...] = app.state.desks
    for desk in desks:
        desk.close()
    return hanging + sum(desk.waiting for desk in desks)
