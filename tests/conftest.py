"""What holds for every test."""

import logging
import signal
import warnings

import pytest
import structlog
from hypothesis import settings

# A machine with something else to do is slow, not wrong.
settings.register_profile("unhurried", parent=settings.default, deadline=None)
settings.load_profile("unhurried")

# What a shell starts in the background ignores Ctrl-C, and so would every program that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Undo what a command did to logging: the next test of the process may look for an event below that level."""
    root, monitor = logging.getLogger(), logging.getLogger("monitor")
    before = root.handlers, root.level, monitor.level
    shown = warnings.showwarning
    yield
    root.handlers = before[0]
    root.setLevel(before[1])
    monitor.setLevel(before[2])
    logging.captureWarnings(False)
    warnings.showwarning = shown
    structlog.reset_defaults()
