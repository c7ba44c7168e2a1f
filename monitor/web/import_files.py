"""The files of a job, requested from its cluster when the page of the job is opened."""

import asyncio
import time
from typing import Final

import msgspec
import structlog

from monitor.client import ApiError, ImportFile, JobGoneError, StoppedError
from monitor.web.context import Context
from monitor.web.errors import BusyError

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.web")


class FileList(msgspec.Struct, frozen=True):
    """The files of a job, or why they are not available."""

    files: tuple[ImportFile, ...] = ()
    problem: str = ""


class ImportFiles:
    """Requests the files of jobs, and reuses responses for a while: an open page is updated every second."""

    def __init__(self, context: Context) -> None:
        self._fetch = context.monitor.import_files
        self._pool = context.cluster_pool
        self._limits = context.limits
        self._responses: dict[tuple[str, str], tuple[float, asyncio.Task[FileList]]] = {}

    async def files(self, cluster: str, job_id: str) -> FileList:
        """Return the files of a job within a bounded time."""
        now, key = time.monotonic(), (cluster, job_id)
        expires, response = self._responses.pop(key, (now, None))
        if response is None or now >= expires:
            expires = now + self._limits.files_max_age
            response = asyncio.ensure_future(self._pool.run(lambda: self._request(cluster, job_id)))
        self._responses[key] = expires, response
        while len(self._responses) > self._limits.files_cached:
            del self._responses[next(iter(self._responses))]
        try:
            return await asyncio.wait_for(asyncio.shield(response), self._limits.files_timeout)
        except TimeoutError:
            return FileList(problem="the cluster is slow to respond; try again in a moment")
        except BusyError as error:
            self._responses.pop(key, None)
            return FileList(problem=str(error))

    def _request(self, cluster: str, job_id: str) -> FileList:
        try:
            return FileList(self._fetch(cluster, job_id))
        except JobGoneError:
            return FileList(problem="the server has no such job any more")
        except ApiError as error:
            return FileList(problem=str(error))
        except (StoppedError, KeyError):
            return FileList(problem="the cluster is no longer watched")
        except Exception as error:  # noqa: BLE001 - a bug of ours must not cost the page, which names it
            _log.exception("files_crashed", milvus_cluster=cluster)
            return FileList(problem=f"{type(error).__name__} in the monitor itself")
