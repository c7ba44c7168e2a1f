"""What the handlers share: the daemon, the clock, the limits, the event streams and the worker threads."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Final, Protocol

from monitor.client import ImportFile
from monitor.config import Expectation
from monitor.jobs import Job
from monitor.store import Store
from monitor.web.cluster_status import ClusterStatus
from monitor.web.errors import RequestError
from monitor.web.events import EventStreams
from monitor.web.fleet import FleetStatus
from monitor.web.limits import WebLimits, WorkerPool

MEMORY_THREADS: Final = 1  # threads for overviews and pages: more would only share one core
STORE_THREADS: Final = 4  # threads that wait for the database
CLUSTER_THREADS: Final = 2  # threads that wait for a cluster
NAMES_COMPARED: Final = 1000  # names with which an unknown one is compared


class MonitoredDaemon(Protocol):
    """What the handlers need of the daemon."""

    fleet: FleetStatus  # the clusters and their tracked jobs
    store: Store  # finished jobs and transitions

    @property
    def expectations(self) -> Sequence[Expectation]:
        """Return the expected imports of the config."""

    @property
    def external_url(self) -> str:
        """Where a reverse proxy serves the pages, without a slash at the end; empty where it is not known."""

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
    """What the handlers share."""

    def __init__(self, monitor: MonitoredDaemon, clock: Callable[[], float], limits: WebLimits) -> None:
        self.monitor = monitor
        self.fleet = monitor.fleet
        self.store = monitor.store
        self.clock = clock
        self.limits = limits
        self.streams = EventStreams(self.fleet, clock, limits)
        self.memory_pool = WorkerPool(MEMORY_THREADS, limits.waiting_requests)
        self.store_pool = WorkerPool(STORE_THREADS, limits.waiting_requests)
        self.cluster_pool = WorkerPool(CLUSTER_THREADS, limits.waiting_requests)

    async def find_cluster(self, name: str) -> ClusterStatus:
        """Return a cluster; raises ``RequestError`` with the nearest name if there is none."""
        status = self.fleet.cluster(name)
        if status is None:
            names = self.fleet.names[:NAMES_COMPARED]
            nearest = "".join(await self.memory_pool.run(lambda: get_close_matches(name, names, 1)))
            hint = f"did you mean {nearest}?" if nearest else "/api/v1/clusters lists them"
            raise RequestError(404, f"no cluster is named {name!r}", hint, nearest)
        return status

    async def find_job(self, cluster: ClusterStatus, job_id: str) -> Job | None:
        """Return a job, None if there is none; raises ``StoreUnavailableError`` if it is not tracked."""
        name = cluster.cluster.name
        return cluster.tracked.get(job_id) or await self.store_pool.run(lambda: self.store.job(name, job_id))
