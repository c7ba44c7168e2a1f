"""Keeps the memory of the daemon small: it runs for months beside what it watches."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ARENA_MAX: Final = -8
_MMAP_THRESHOLD: Final = -3
"""glibc's M_ARENA_MAX and M_MMAP_THRESHOLD, see mallopt(3)."""

_ARENAS: Final = 2

_LARGE: Final = 2**20
"""Bytes."""

_GARBAGE_AFTER: Final = 50_000
"""Objects that have come to be, less those that went by themselves, after which Python looks for garbage among them:
some megabytes at most. Polls leave next to none, and a look (usually after 700) costs more than some of their parts."""


def keep_little() -> None:
    """Let glibc keep little of what threads need for a moment; call it before there are any.

    Otherwise each of the threads that poll gets a place of its own from which it is given memory, and keeps whatever
    its largest answer once needed; and the memory of the largest scrape would be kept for the next one. What is large
    goes back to the system at once.
    """
    _call("mallopt", _ARENA_MAX, _ARENAS)
    _call("mallopt", _MMAP_THRESHOLD, _LARGE)


@contextmanager
def loading() -> Iterator[None]:
    """Load what will be kept.

    Python would look through all of it for garbage, over and over while it grows, and again whenever it looks for old
    garbage: with a million jobs that is a third of a start, and half a second at a time in which no thread runs.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.set_threshold(_GARBAGE_AFTER)
        gc.enable()
        gc.freeze()
        _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    """Call a function of glibc, where the C library is one that has it."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
