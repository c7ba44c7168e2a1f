"""The keys of a terminal that scroll."""

import os
import re
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

QUIT: Final = "quit"
_KEYS: Final = {
    **dict.fromkeys(("\x1b[A", "\x1bOA", "k"), "up"),
    **dict.fromkeys(("\x1b[B", "\x1bOB", "j"), "down"),
    **dict.fromkeys(("\x1b[5~", "b"), "page up"),
    **dict.fromkeys(("\x1b[6~", " "), "page down"),
    **dict.fromkeys(("\x1b[H", "\x1bOH", "\x1b[1~", "g"), "top"),
    **dict.fromkeys(("\x1b[F", "\x1bOF", "\x1b[4~", "G"), "bottom"),
    "q": QUIT,
}
_KEY: Final = re.compile(r"\x1b\[[0-9;?]*[@-~]|\x1bO[@-~]|\x1b(?![\[O]|\Z)|[^\x1b]", re.DOTALL)
_LONGEST: Final = 16
"""Characters of a key at most; what is longer and has no end is none."""

_CHUNK: Final = 1024


class Keyboard:
    """Reads keys from a terminal; without one, nothing is ever pressed."""

    def __init__(self, terminal: int | None) -> None:
        self._terminal = terminal
        self._unread = ""

    @property
    def is_connected(self) -> bool:
        """Whether keys can be pressed."""
        return self._terminal is not None

    def pressed(self, timeout: float) -> list[str]:
        """Wait for keys for so many seconds, and return the names of those that have a meaning."""
        if self._terminal is None:
            time.sleep(timeout)
            return []
        ready, _, _ = select.select([self._terminal], [], [], timeout)
        if not ready:
            return []
        data = b""
        with suppress(OSError):  # the terminal is gone
            data = os.read(self._terminal, _CHUNK)
        if not data:
            self._terminal = None
        return self._names(self._unread + data.decode("utf-8", "replace"))

    def _names(self, text: str) -> list[str]:
        end, keys = 0, []
        while match := _KEY.match(text, end):
            end = match.end()
            if match[0] in _KEYS:
                keys.append(_KEYS[match[0]])
        self._unread = text[end:] if len(text) - end <= _LONGEST else ""
        return keys


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Read keys one by one and without showing them, until the block is left; Ctrl-C and Ctrl-Z work as before."""
    terminal = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    if terminal is None or not _is_in_foreground(terminal):
        yield Keyboard(None)
        return
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal, termios.TCSANOW)
    try:
        yield Keyboard(terminal)
    finally:
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def _is_in_foreground(terminal: int) -> bool:
    """Return whether the terminal is ours; it stops a job in the background that changes its mode."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # a terminal without job control
        return True


def scroll(offset: int, key: str, page: int) -> int:
    """Return the number of lines above the screen after a key; it may be beyond the last line."""
    steps = {"up": -1, "down": 1, "page up": -page, "page down": page, "top": -offset, "bottom": sys.maxsize}
    return max(0, offset + steps.get(key, 0))
