"""Runs functions in a thread of its own, so that whoever waits for one can give up: a hanging disk has no timeout."""

from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, TypeVar

END_TIMEOUT: Final = 1.0
"""Seconds to wait for the end of the thread."""

LAST_RESULT_TIMEOUT: Final = 0.3
"""Seconds to wait at the end for functions that others wait for; usually they take milliseconds."""

T = TypeVar("T")
_Call = tuple[Future[Any], Callable[[], Any]]


class Worker:
    """Runs one function at a time. For one caller at a time.

    Args:
        name: The name of its thread, which does not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._latest: Future[Any] | None = None
        self._given_up = False

    @property
    def is_busy(self) -> bool:
        """Whether a function runs."""
        return self._latest is not None and not self._latest.done()

    @property
    def is_hanging(self) -> bool:
        """Whether a function still runs that nobody waits for any more."""
        return self._given_up and self.is_busy

    def check(self) -> None:
        """Raise ``TimeoutError`` while a function hangs."""
        if self.is_hanging:
            raise TimeoutError("the disk of the store does not answer")

    def run(self, function: Callable[[], T], timeout: float) -> T:
        """Return the result of a function, which goes on running if it takes too long.

        Args:
            function: What to run.
            timeout: Seconds to wait for it.

        Raises:
            TimeoutError: It takes longer, or an earlier one is still running.
        """
        self.check()
        if self._thread is None:
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._latest, self._given_up = future, False
        self._calls.put((future, function))
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():  # the function itself has raised it, or has just ended
                return future.result()
            self._given_up = True
            raise TimeoutError(f"the disk of the store has not answered for {timeout:g} s") from None

    def wait(self, timeout: float) -> None:
        """Wait some seconds for a function that runs, unless it hangs."""
        if self._latest is not None and not self._given_up:
            wait([self._latest], timeout)

    def end(self) -> None:
        """End the thread, unless it hangs; it is started again when it is needed."""
        if self._thread is not None and not self.is_hanging:
            self._calls.put(None)
            self._thread.join(END_TIMEOUT)
            self._thread = None

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - raised where the result is waited for
                future.set_exception(error)
            del call, future, function  # while waiting for the next one


class Workers:
    """Runs functions of several callers at a time; while one hangs, the next ones are not begun.

    Args:
        name: The name of the threads.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = Lock()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []

    @property
    def is_busy(self) -> bool:
        """Whether a function runs."""
        with self._lock:
            return any(worker.is_busy for worker in self._workers)

    def run(self, function: Callable[[], T], timeout: float) -> T:
        """Return the result of a function, as `Worker.run` does."""
        with self._lock:
            for worker in self._idle:
                worker.check()
            if not self._idle:
                self._workers.append(Worker(self._name))
            worker = self._idle.pop() if self._idle else self._workers[-1]
        try:
            return worker.run(function, timeout)
        finally:
            with self._lock:
                self._idle.append(worker)

    def end(self) -> None:
        """End the threads, unless they are busy; they are started again when they are needed."""
        for worker in self._workers.copy():
            worker.wait(LAST_RESULT_TIMEOUT)
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.end()
        with self._lock:
            self._idle += idle
