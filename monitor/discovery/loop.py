"""Lists the clusters of one discovery again and again, in a thread of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Semaphore, Thread
from typing import Final

import structlog

from monitor.client import StoppedError
from monitor.config import Discovery
from monitor.discovery.files import FilesSource
from monitor.discovery.model import DiscoveredCluster, DiscoveryError, Source

FILE_CHECK_INTERVAL: Final = 5.0
"""Seconds from one check of the files of a discovery to the next."""

LISTS_AT_ONCE: Final = 2
"""Lists of one discovery that run at the same time, at most: one can hang under settings that a reload has replaced."""

SLOT_CHECK_INTERVAL: Final = 0.5
"""Seconds from one attempt to get a free slot of these to the next."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.discovery")

ListResult = tuple[DiscoveredCluster, ...] | DiscoveryError


class DiscoveryLoop:
    """Lists the clusters of one discovery, again and again, in a thread of its own.

    Args:
        discovery: The discovery.
        source: Its source.
        deliver: Takes each result, and returns when it is in effect.
        previous: The loop of the same discovery under the settings before, if there is one.
    """

    def __init__(
        self,
        discovery: Discovery,
        source: Source,
        deliver: Callable[["DiscoveryLoop", ListResult], None],
        previous: "DiscoveryLoop | None" = None,
    ) -> None:
        self.discovery = discovery
        self.attempted: bool = previous is not None and previous.attempted
        self.slots: Semaphore = Semaphore(LISTS_AT_ONCE) if previous is None else previous.slots
        self._source = source
        self._deliver = deliver
        self._stopped = Event()
        # A server that does not respond must not keep the process from ending.
        self._thread = Thread(target=self._run, name=f"discovery-{discovery.name}", daemon=True)

    def start(self) -> None:
        """Start listing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listing, without waiting for a server."""
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            started = time.monotonic()
            version = self._version()
            result: ListResult
            try:
                with self._slot():
                    result = self._source.list_clusters()
            except DiscoveryError as error:
                result = error
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end a discovery: logged, and it has failed
                _log.exception("discovery_crashed", discovery=self.discovery.name)
                result = DiscoveryError(f"{type(error).__name__} in the monitor itself")
            if not self._stopped.is_set():
                self._deliver(self, result)
            self._wait(started + self.discovery.interval, version)

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """Wait until fewer than ``LISTS_AT_ONCE`` lists of the discovery run; raise `StoppedError` where it stops."""
        while not self.slots.acquire(timeout=SLOT_CHECK_INTERVAL):
            if self._stopped.is_set():
                raise StoppedError
        try:
            yield
        finally:
            self.slots.release()

    def _wait(self, until: float, version: str | None) -> None:
        """Wait until a time, or until a file has changed."""
        while (remaining := until - time.monotonic()) > 0:
            pause = remaining if version is None else min(remaining, FILE_CHECK_INTERVAL)
            if self._stopped.wait(pause) or self._version() != version:
                return

    def _version(self) -> str | None:
        return self._source.version() if isinstance(self._source, FilesSource) else None
