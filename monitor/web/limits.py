"""The fixed limits of the HTTP server, which only tests change, and the bounded pools of worker threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from monitor.web.errors import BusyError

_Result = TypeVar("_Result")


class WebLimits(msgspec.Struct, frozen=True):
    """Limits on what clients can use; times in seconds. A reverse proxy is one address."""

    connections: int = 2048  # at a time; one more replaces one that has no request
    connections_per_address: int = 1024  # so that one client cannot use up all
    handshakes: int = 256  # of TLS at a time; one more replaces the oldest
    keep_alive: int = 75  # for an idle connection, and for a request to arrive: above usual scrape intervals
    replaced_after: float = 5.0  # idle after a response, until a connection can be replaced: clients open a new one
    handshake: int = 10  # for a TLS handshake
    head_bytes: int = 32 * 1024  # of a request's line and headers
    body_bytes: int = 64 * 1024  # of a request's body; no endpoint needs one
    write_timeout: float = 30.0  # in which a client that has fallen behind must read what it asked for
    write_buffer: int = 64 * 1024  # bytes of a response that wait for a client before it counts as behind
    waiting_requests: int = 64  # that wait for a worker thread, for each kind of work
    waiting_passwords: int = 16  # that wait for their check
    waiting_passwords_per_address: int = 4  # so that a flood from one place delays nobody else for long
    streams: int = 200  # event streams at a time
    streams_per_address: int = 100
    stream_queue: int = 2000  # events that wait for a slow client, 1 kB each; then it has to fetch everything again
    jobs_per_poll: int = 500  # job events of one poll; after a larger change clients have to fetch everything again
    heartbeat: float = 15.0  # without an event, until a comment is sent: no proxy closes the stream as idle
    pulse_interval: float = 1.0  # between two `pulse` events, at least
    files_timeout: float = 2.0  # that a page waits for a cluster's list of files
    files_max_age: float = 10.0  # for which such a list is reused
    files_cached: int = 100  # such lists in memory
    charts_timeout: float = 1.0  # that a page waits for the database; then its charts show what is in memory


def limited_by_files(limits: WebLimits, files: int) -> WebLimits:
    """Return limits under which connections and handshakes use no more than this number of files."""
    handshakes = min(limits.handshakes, files // 4)
    connections = files - handshakes
    if connections >= limits.connections:
        return limits
    per_address = min(limits.connections_per_address, connections // 2)
    return replace(limits, connections=connections, connections_per_address=per_address, handshakes=handshakes)


class WorkerPool:
    """Threads for what would block the event loop: ``pending`` functions run or wait, never more than a limit."""

    def __init__(self, threads: int, limit: int) -> None:
        self._executor = ThreadPoolExecutor(threads)
        self._limit = limit
        self.pending = 0

    async def run(self, function: Callable[[], _Result]) -> _Result:
        """Return the result of a function; raises ``BusyError``. A thread that outlives its request still counts."""
        if self.pending >= self._limit:
            raise BusyError
        future = asyncio.get_running_loop().run_in_executor(self._executor, function)
        self.pending += 1
        future.add_done_callback(self._finish)
        return await asyncio.shield(future)

    def _finish(self, _: "asyncio.Future[_Result]") -> None:
        self.pending -= 1
