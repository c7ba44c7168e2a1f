"""The files of a job, which a cluster is asked for when somebody opens the job's page."""

import time
from dataclasses import dataclass
from typing import Final

import structlog

from monitor.client import ApiError, ImportFile, JobGoneError, StoppedError
from monitor.web.context import Context
from monitor.web.workers import BusyError

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.web")


@dataclass(frozen=True, slots=True)
class FileList:
    """A cluster's answer about the files of a job, or the problem with it."""

    files: tuple[ImportFile, ...] = ()
    problem: str = ""


class ImportFiles:
    """Asks clusters for the files of jobs, and reuses each answer for a while."""

    def __init__(self, context: Context) -> None:
        self._fetch = context.monitor.import_files
        self._pool = context.store_pool
        self._limits = context.limits
        self._cached: dict[tuple[str, str], tuple[float, FileList]] = {}

    async def files(self, cluster: str, job_id: str) -> FileList:
        """Return the files of a job within a bounded time."""
        key = cluster, job_id
        until, answer = self._cached.get(key, (0.0, FileList()))
        if time.monotonic() < until:
            return answer
        self._keep(key, FileList(problem="the cluster has not answered yet"))
        try:
            return await self._pool.run(lambda: self._ask(key), self._limits.files_timeout)
        except TimeoutError:
            return FileList(problem="the cluster is slow to answer; try again in a moment")
        except BusyError:
            self._cached.pop(key, None)
            return FileList(problem="too many requests are waiting")

    def _ask(self, key: tuple[str, str]) -> FileList:
        try:
            answer = FileList(self._fetch(*key))
        except JobGoneError:
            answer = FileList(problem="the server has no such job any more")
        except ApiError as error:
            answer = FileList(problem=str(error))
        except (StoppedError, KeyError):
            answer = FileList(problem="the cluster is no longer watched")
        except Exception as error:  # noqa: BLE001 - a bug of ours must not cost the page, which names it
            _log.exception("files_crashed", milvus_cluster=key[0])
            answer = FileList(problem=f"{type(error).__name__} in the monitor itself")
        self._keep(key, answer)
        return answer

    def _keep(self, key: tuple[str, str], answer: FileList) -> None:
        self._cached.pop(key, None)
        self._cached[key] = time.monotonic() + self._limits.files_max_age, answer
        for oldest in list(self._cached)[: max(0, len(self._cached) - self._limits.files_cached)]:
            self._cached.pop(oldest, None)
