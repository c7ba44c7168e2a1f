"""The daemon: wires the packages together, applies configs, and stops in time."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Final

import structlog

from monitor.client import ImportFile, Network, connect
from monitor.clock import ClockSteps
from monitor.config import Config, ConfigError, Expectation
from monitor.discovery import WatchedCluster
from monitor.discovery.discoverer import Discoverer
from monitor.expectations import CHECK_INTERVAL, ExpectationChecks
from monitor.jobs import Transition
from monitor.key_files import KEY_CHECK_INTERVAL, KEY_CHECK_TIMEOUT, KeyChecks, KeyFiles
from monitor.log_writer import LogWriter
from monitor.metrics import Exposition, ProcessMetrics
from monitor.poll_log import cluster_fields, log_transition
from monitor.pollers import Pollers
from monitor.redaction import Redactor, passwords_in
from monitor.replicas import Handover, open_replicas, replica_name
from monitor.scheduler import PollScheduler
from monitor.sharing import FleetSharing
from monitor.store import open_store
from monitor.web import AddressError, FleetStatus, Server

STOP_TIMEOUT: Final = 0.7
"""Seconds that running polls have when the monitor stops."""

MAINTENANCE_INTERVAL: Final = 1.0
"""Seconds from one maintenance of the store, and one check for dropped log lines, to the next."""

FILES_TIMEOUT: Final = 2.0
"""Seconds that a cluster has to name the files of a job."""

CLOCK_CHECK_INTERVAL: Final = 1.0
"""Seconds from one check of the clock to the next."""

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
        config: What to watch, until a reload.
        load: Loads the config file again, for a reload; raises ``ConfigError``. None where there is no file.
        redactor: Masks secrets in the log; gets those of each config that is applied.
        log_writer: Where the log is written; None where nothing is dropped.

    Attributes:
        server: The pages, once they are served.
        reloader: Reads and applies configs, one after the other; waits for no poll.
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
        self.reloader = ThreadPoolExecutor(1, thread_name_prefix="reload")
        self._key_files = KeyFiles()
        self._key_checks = KeyChecks(self._key_files, self.reloader, lambda: self.config, self._apply_config)
        self._redactor.learn(_secrets(config))  # before the first thing that could name one
        self._network = Network(connections=config.poll.concurrency)
        url, name = config.state.url.get_secret_value(), replica_name()
        self.store = open_store(url, retention=config.state.retention, connections=config.poll.concurrency, holder=name)
        self.replicas = open_replicas(
            url,
            takeover=config.replicas.takeover,
            name=name,
            on_change=lambda _: self._pollers.share_soon(),
            is_recorded=lambda: self.store.up,
        )
        self._handover = Handover(self.replicas)
        self.fleet = FleetStatus(self.store.snapshot)
        self._sharing = FleetSharing(self.store, self.fleet, self.replicas)
        self._process_metrics = ProcessMetrics()
        self._exposition = Exposition(self._process_metrics.registry)
        self._scheduler = PollScheduler(config.poll.concurrency, is_ours=self._handover.polls)
        self._clock_steps = ClockSteps()
        self._pollers = Pollers(
            network=self._network,
            store=self.store,
            status=self.fleet,
            exposition=self._exposition,
            process_metrics=self._process_metrics,
            scheduler=self._scheduler,
            handover=self._handover,
            clock_steps=self._clock_steps,
            renew_key=lambda file: self._key_checks.check(KEY_CHECK_TIMEOUT, file),
            takeover=config.replicas.takeover,
        )
        self._expectations = ExpectationChecks(
            self.store,
            expectations=lambda: self.config.expectations,
            polled=self._pollers.polled,
            show=self._pollers.show_expectations,
            labels=cluster_fields,
        )
        self._discoverer = Discoverer(
            self._network,
            self.store,
            self._key_files.key,
            self.reloader.submit,
            on_change=lambda: self._apply_config(self.config),
        )
        self.server: Server | None = None
        self._apply_config(config)
        self._process_metrics.set_reload_succeeded(time.time())
        if self.store.up:  # else it has just been tried
            self._maintain()
        self._scheduler.run_every(MAINTENANCE_INTERVAL, self._maintain)
        self._scheduler.run_every(KEY_CHECK_INTERVAL, self._key_checks.check)
        self._scheduler.run_every(CHECK_INTERVAL, self._expectations.check)
        self._pollers.start_planning()

    @property
    def external_url(self) -> str:
        """Where a reverse proxy serves the pages, without a slash at the end; empty where it is not known."""
        return self.config.external_url

    @property
    def expectations(self) -> Sequence[Expectation]:
        """The expectations of the config."""
        return self.config.expectations

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
        self.reloader.shutdown(wait=False, cancel_futures=True)
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

    def healthy(self) -> bool:
        """Return whether the scheduler is alive."""
        return self._scheduler.healthy()

    def ready(self) -> bool:
        """Return whether every discovery has been tried, and every cluster that is ours has been polled once."""
        return self._discoverer.ready() and self._handover.ready() and self._scheduler.ready()

    async def reload(self) -> str | None:
        """Reload the config file in a thread; return what is wrong with it, or None where it was applied."""
        problem = await asyncio.get_running_loop().run_in_executor(self.reloader, self._reload)
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
        _log.info("config_reloaded", clusters=len(self._pollers.watched))
        log_warnings(self.config)
        return None

    def _apply_config(self, config: Config) -> None:
        """Apply a config as a whole, with the clusters found."""
        plan = self._discoverer.plan(config)
        if config is not self.config or [*plan.watched] != [*self._pollers.watched.values()]:
            self._apply_clusters(config, plan.watched)
        self._pollers.hide_failures(time.time())
        self._discoverer.apply_plan(config, plan)
        self._process_metrics.set_discoveries(self._discoverer.statuses())

    def _apply_clusters(self, config: Config, planned: Sequence[WatchedCluster]) -> None:
        """Apply the settings and clusters of a config; whatever can fail comes first, and changes nothing in use."""
        keys = {key for entry in (*planned, *self._pollers.watched.values()) for key in entry.cluster.secrets()}
        self._redactor.learn(_secrets(config) | _secrets(self.config) | keys)
        changes = self._pollers.prepare(planned)
        self._apply_state_url(config)
        self._pollers.apply(changes)
        self._key_files.keep_only(entry.cluster.api_key_file for entry in planned)
        self.config = config

    def _apply_state_url(self, config: Config) -> None:
        """Use the new credentials of the state's database, and warn of changes that need a restart."""
        restart_needed = [key for key in _NEEDS_RESTART if attrgetter(key)(self.config) != attrgetter(key)(config)]
        if "state.url" in restart_needed and self.store.change_credentials(config.state.url.get_secret_value()):
            self.replicas.change_credentials(config.state.url.get_secret_value())
            restart_needed.remove("state.url")
            _log.info("state_credentials_reloaded")
        if restart_needed:
            _log.warning("restart_needed", settings=restart_needed)

    def _log_pending(self, name: str, cluster_id: str, transition: Transition) -> None:
        """Log a transition that was recorded earlier, possibly of a cluster that has left the config."""
        labels: dict[str, object] = {"milvus_cluster": name, "cluster_id": cluster_id}
        poller = self._pollers.get(name)
        log_transition(transition, labels if poller is None else cluster_fields(poller.cluster) | labels)

    def _maintain(self) -> None:
        if not self.store.up and self.config.state.url_file is not None:  # its password may have been replaced
            self._key_checks.check(file=self.config.state.url_file)
        self.store.maintain(self._log_pending)
        if self._log_writer is not None and (lines := self._log_writer.dropped - self._lines_dropped):
            self._lines_dropped += lines
            self._process_metrics.add_dropped_lines(lines)
            _log.warning("log_lines_dropped", lines=lines)


def _secrets(config: Config) -> frozenset[str]:
    """Return what must not be shown: the config's secrets, and those of the proxies on the way to its clusters."""
    return config.secrets() | passwords_in(os.environ)


def log_warnings(config: Config) -> None:
    """Log what a config contains that is probably not meant."""
    for message in config.warnings():
        _log.warning("config_warning", message=message)
