"""What the handlers share: the daemon, the clock, the limits and the worker threads."""

from collections.abc import Callable
from typing import Final, Protocol

from monitor.client import ImportFile
from monitor.store import Store
from monitor.web.limits import WebLimits
from monitor.web.overview import FleetStatus
from monitor.web.workers import WorkerPool

MEMORY_THREADS: Final = 1
"""Threads for overviews and pages: more would only share one core."""

STORE_THREADS: Final = 4
"""Threads that wait for the database or for a cluster."""


class MonitoredDaemon(Protocol):
    """What the handlers need of the daemon."""

    @property
    def fleet(self) -> FleetStatus:
        """The clusters and their tracked jobs."""

    @property
    def store(self) -> Store:
        """Finished jobs and transitions."""

    def scrape(self, accept: str, now: float) -> tuple[bytes, str]:
        """Return the body and the content type of a scrape, without waiting."""

    def healthy(self) -> bool:
        """Return whether the process does its work, whatever the clusters do."""

    def ready(self) -> bool:
        """Return whether every cluster has been polled once."""

    async def reload(self) -> str | None:
        """Reload the config; return what is wrong with it, or None if it is in effect."""

    def import_files(self, cluster: str, job_id: str) -> tuple[ImportFile, ...]:
        """Ask a cluster for the files of a job; blocks, raises ``ApiError``."""


class Context:
    """What the handlers share.

    Args:
        monitor: The daemon.
        clock: Seconds since the epoch.
        limits: The limits.
    """

    def __init__(self, monitor: MonitoredDaemon, clock: Callable[[], float], limits: WebLimits) -> None:
        self.fleet = monitor.fleet
        self.store = monitor.store
        self.monitor = monitor
        self.clock = clock
        self.limits = limits
        self.memory_pool = WorkerPool(MEMORY_THREADS, limits.waiting_requests)
        self.store_pool = WorkerPool(STORE_THREADS, limits.waiting_requests)
