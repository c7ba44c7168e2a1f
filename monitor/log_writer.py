"""Writes log lines to standard error without ever waiting for its reader."""

import os
import select
import stat
from collections import deque
from contextlib import suppress
from threading import Condition, Thread
from typing import Final, TextIO

BACKLOG_LIMIT: Final = 8 * 2**20
"""Bytes of lines that wait for a reader that has stopped reading; what comes then is dropped and counted."""

CLOSE_TIMEOUT: Final = 0.5
"""Seconds that the lines still waiting have at the end."""

_RETRY_INTERVAL: Final = 1.0  # seconds after which a write that would block is tried again at the latest


class LogWriter:
    """Writes to the file descriptor of a stream at once where that cannot block, else from a thread of its own.

    The other end of a pipe can stop reading: a log driver in blocking mode, a stopped terminal. A poll must not wait
    for it. A line that fits into one atomic write is written by the thread that logs it as long as the pipe has room,
    so that it is not lost if the process is killed afterwards.

    Args:
        stream: Standard error.
        backlog_limit: Bytes of lines that may wait.

    Attributes:
        dropped: Lines that were dropped so far because too many waited, or the stream was closed.
    """

    def __init__(self, stream: TextIO, backlog_limit: int = BACKLOG_LIMIT) -> None:
        self.encoding = stream.encoding or "utf-8"
        self.dropped = 0
        self._is_terminal = stream.isatty()
        self._descriptor = stream.fileno()
        self._is_file = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
        self._backlog_limit = backlog_limit
        self._backlog: deque[bytes] = deque()
        self._backlog_size = 0
        self._changed = Condition()  # its lock is reentrant: a signal handler may log while its thread writes
        self._thread: Thread | None = None

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._is_terminal

    def flush(self) -> None:
        """Do nothing: what can be written is written."""

    def write(self, line: str) -> None:
        """Write a line, or let it wait; never blocks and raises nothing."""
        data = line.encode(self.encoding, "backslashreplace")
        with self._changed:
            if not self._backlog and self._has_room(len(data)):
                data = data[self._written(data) :]
            if not data:
                return
            if self._backlog_size + len(data) > self._backlog_limit:
                self.dropped += 1
                return
            self._backlog.append(data)
            self._backlog_size += len(data)
            if self._thread is None:
                self._thread = Thread(target=self._write_backlog, name="log-writer", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Wait a bounded time, in seconds, for the lines that wait."""
        with self._changed:
            self._changed.wait_for(lambda: not self._backlog, timeout)

    def _has_room(self, size: int) -> bool:
        """Return whether so many bytes can be written without blocking."""
        if self._is_file:
            return True
        return size <= select.PIPE_BUF and not self._is_terminal and self._is_ready(0.0)

    def _is_ready(self, timeout: float) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(timeout * 1000))

    def _written(self, data: bytes) -> int:
        """Write and return how many bytes were taken; a line that the stream rejects for good is dropped."""
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:  # the reader made the pipe non-blocking
            return 0
        except OSError:  # closed, or a full disk
            self.dropped += 1
            return len(data)

    def _write_backlog(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._backlog)
                data = self._backlog[0]
            with suppress(OSError):
                self._is_ready(_RETRY_INTERVAL)
            written = self._written(data)  # may block: this is what the thread is for
            with self._changed:
                self._backlog_size -= written
                if written < len(data):
                    self._backlog[0] = data[written:]
                else:
                    self._backlog.popleft()
                    self._changed.notify_all()
