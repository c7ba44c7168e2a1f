"""Work that would keep the scrapes waiting is done beside the event loop, and only so much of it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

LOOKERS: Final = 1
"""Threads that look at what is in memory: more would only share one core."""

WAITERS: Final = 4
"""Threads that wait for the database or for a cluster."""

WAITING: Final = 64
"""Requests that wait for each of the two kinds at a time; one more is answered 503."""

_Result = TypeVar("_Result")


class BusyError(Exception):
    """Too many wait already."""


class Desk:
    """One kind of work.

    Args:
        name: For its threads.
        threads: How many; none before there is work.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How much is begun and not ended."""
        return self._waiting

    async def do(self, work: Callable[[], _Result], within: float | None = None) -> _Result:
        """Do something.

        Args:
            work: What.
            within: Seconds after which nobody waits for it any more; the thread is free when it has ended by itself.

        Raises:
            BusyError: There is no room.
            TimeoutError: It takes longer.
        """
        if self._waiting >= WAITING:
            raise BusyError
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._end)
        return await asyncio.wait_for(asyncio.shield(future), within)

    def _end(self, done: "asyncio.Future[_Result]") -> None:
        self._waiting -= 1
        if not done.cancelled():
            done.exception()  # whoever asked may have gone, and nobody else would look at it

    def close(self) -> None:
        """Begin nothing any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)
