"""What the handlers share: the daemon, the clock, the limits, the event streams and the worker threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import Final, Protocol, TypeVar

from monitor.client import ImportFile
from monitor.jobs import Job
from monitor.store import Store
from monitor.web.errors import BusyError, RequestError
from monitor.web.events import EventStreams
from monitor.web.limits import WebLimits
from monitor.web.overview import ClusterStatus, FleetStatus

MEMORY_THREADS: Final = 1  # threads for overviews and pages: more would only share one core
STORE_THREADS: Final = 4  # threads that wait for the database
CLUSTER_THREADS: Final = 2  # threads that wait for a cluster
NAMES_COMPARED: Final = 1000  # names among which the nearest to an unknown one is looked for

_Result = TypeVar("_Result")


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


class WorkerPool:
    """Threads for what would block the event loop: ``pending`` functions run or wait, never more than a limit."""

    def __init__(self, threads: int, limit: int) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._limit = limit
        self.pending = 0

    async def run(self, function: Callable[[], _Result], timeout: float | None = None) -> _Result:  # noqa: ASYNC109
        """Return the result of a function; raises ``BusyError``, and ``TimeoutError`` after so many seconds.

        A thread that outlives the request counts until it ends.
        """
        if self.pending >= self._limit:
            raise BusyError
        future = asyncio.get_running_loop().run_in_executor(self._executor, function)
        self.pending += 1
        future.add_done_callback(self._finish)
        async with asyncio.timeout(timeout):
            return await asyncio.shield(future)

    def _finish(self, _: "asyncio.Future[_Result]") -> None:
        self.pending -= 1


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
