"""Keeps the memory of the daemon small: it runs for months beside what it watches."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_ARENA_MAX: Final = -8
"""glibc's M_ARENA_MAX, see mallopt(3)."""

_ARENAS: Final = 2


def share_arenas() -> None:
    """Let threads share the places from which glibc gives memory; call it before there are any.

    Otherwise each of the threads that poll gets one of its own, and keeps whatever its largest answer once needed.
    """
    _call("mallopt", _ARENA_MAX, _ARENAS)


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
        gc.enable()
        gc.freeze()
        _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    """Call a function of glibc, where the C library is one that has it."""
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
