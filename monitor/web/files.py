"""The files of a job, asked of its cluster when somebody looks at it; not more often than every few seconds."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from monitor.api import ApiError, ImportFile, JobGoneError, StoppedError
from monitor.web.desk import BusyError, Desk

WITHIN: Final = 2.0
"""Seconds that a page waits for a cluster."""

FRESH: Final = 10.0
"""Seconds for which an answer counts."""

KEPT: Final = 100
"""Answers that are kept."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.web")


@dataclass(frozen=True, slots=True)
class Told:
    """What a cluster told of a job's files.

    Attributes:
        files: The files; none where it names none.
        why_not: Why there is no answer; empty where there is one.
    """

    files: tuple[ImportFile, ...] = ()
    why_not: str = ""


class Files:
    """Asks for the files of jobs.

    Args:
        ask: Asks a cluster for the files of a job; raises ``ApiError``.
        desk: Where it is waited for.
    """

    def __init__(self, ask: Callable[[str, str], tuple[ImportFile, ...]], desk: Desk) -> None:
        self._ask = ask
        self._desk = desk
        self._kept: OrderedDict[tuple[str, str], tuple[float, Told | None]] = OrderedDict()

    async def of(self, cluster: str, job_id: str) -> Told:
        """Return the files of a job, within a bounded time."""
        key = cluster, job_id
        until, told = self._kept.get(key, (0.0, None))
        if time.monotonic() < until:
            return told or Told(why_not="the cluster has not answered yet")
        self._kept[key] = time.monotonic() + FRESH, None
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        try:
            return await self._desk.do(lambda: self._asked(key), WITHIN)
        except TimeoutError:
            return Told(why_not="the cluster takes long to answer; look again in a moment")
        except BusyError:
            del self._kept[key]
            return Told(why_not="too many requests wait already")

    def _asked(self, key: tuple[str, str]) -> Told:
        try:
            told = Told(self._ask(*key))
        except JobGoneError:
            told = Told(why_not="the server says that there is no such job any more")
        except ApiError as error:
            told = Told(why_not=str(error))
        except (StoppedError, KeyError):  # the cluster is no longer watched
            told = Told(why_not="the monitor does not ask this cluster any more")
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the page: it is told
            _log.exception("files_crashed", milvus_cluster=key[0])
            told = Told(why_not=f"{type(error).__name__} in the monitor itself")
        if key in self._kept:
            self._kept[key] = time.monotonic() + FRESH, told
        return told
