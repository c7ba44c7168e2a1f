"""Worker threads for what would block the event loop, with a bounded number of requests waiting."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

_Result = TypeVar("_Result")


class BusyError(Exception):
    """Too many requests are waiting already."""


class WorkerPool:
    """Runs functions in so many threads; no more than ``waiting`` of them run or wait at a time."""

    def __init__(self, threads: int, waiting: int) -> None:
        self._limiter = anyio.CapacityLimiter(threads)
        self._waiting = waiting
        self._tasks: set[asyncio.Task[object]] = set()
        self._running: set[object] = set()

    @property
    def running(self) -> int:
        """Number of busy threads."""
        return len(self._running)

    async def run(self, function: Callable[[], _Result], timeout: float | None = None) -> _Result:  # noqa: ASYNC109
        """Return the result of a function; a thread that outlives the timeout counts until it ends.

        Raises:
            BusyError: Too many are waiting.
            TimeoutError: It takes longer than ``timeout`` seconds.
        """
        if len(self._tasks) >= self._waiting:
            raise BusyError

        def call() -> _Result:
            self._running.add(token := object())
            try:
                return function()
            finally:
                self._running.discard(token)

        thread = anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._limiter)
        task: asyncio.Task[_Result] = asyncio.ensure_future(thread)
        self._tasks.add(task)
        task.add_done_callback(self._finish)
        with anyio.fail_after(timeout):
            return await asyncio.shield(task)

    def _finish(self, task: "asyncio.Task[_Result]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # the request may have ended, and nobody else would retrieve it
