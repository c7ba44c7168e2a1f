"""Imports what the daemon needs, without what others bring along and it never uses."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_UNUSED: Final = ("rich", "greenlet", "chardet", "charset_normalizer")
"""What the daemon never uses, and others load wherever it is: structlog, to colour tracebacks and to tell apart what
shares a thread; requests, to guess the encoding of a text, while all that the monitor reads is JSON."""


@contextmanager
def sparing() -> Iterator[None]:
    """Import what the daemon needs, and hide meanwhile what it never uses; what is loaded already stays."""
    modules: dict[str, Any] = sys.modules
    hidden = [name for name in _UNUSED if name not in modules]
    modules.update(dict.fromkeys(hidden))  # None stands for what cannot be imported
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Unable to find acceptable character detection")
            yield
    finally:
        for name in hidden:
            del modules[name]
