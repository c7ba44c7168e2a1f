"""What the handlers share: the daemon, the clock, the limits and the worker threads."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, Protocol

from monitor.client import ImportFile
from monitor.store import Store
from monitor.web.limits import WebLimits
from monitor.web.overview import ClusterStatus, FleetStatus
from monitor.web.workers import WorkerPool

MEMORY_THREADS: Final = 1
"""Threads for overviews and pages: more would only share one core."""

STORE_THREADS: Final = 4
"""Threads that wait for the database or for a cluster."""


NAMES_COMPARED: Final = 1000
"""Names among which the nearest to an unknown one is looked for."""


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


class UnknownClusterError(Exception):
    """No cluster has this name; ``nearest`` is a similar one, or empty."""

    def __init__(self, name: str, nearest: str) -> None:
        super().__init__(f"no cluster is named {name!r}")
        self.name = name
        self.nearest = nearest


class Context:
    """What the handlers share."""

    def __init__(self, monitor: MonitoredDaemon, clock: Callable[[], float], limits: WebLimits) -> None:
        self.fleet = monitor.fleet
        self.store = monitor.store
        self.monitor = monitor
        self.clock = clock
        self.limits = limits
        self.memory_pool = WorkerPool(MEMORY_THREADS, limits.waiting_requests)
        self.store_pool = WorkerPool(STORE_THREADS, limits.waiting_requests)

    async def find_cluster(self, name: str) -> ClusterStatus:
        """Return a cluster; raises ``UnknownClusterError``, ``BusyError``."""
        status = self.fleet.cluster(name)
        if status is None:
            names = self.fleet.names[:NAMES_COMPARED]
            nearest = await self.memory_pool.run(lambda: get_close_matches(name, names, 1))
            raise UnknownClusterError(name, "".join(nearest))
        return status
