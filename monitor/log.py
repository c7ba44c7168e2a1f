"""Sets up the log: one JSON object a line, or a readable line on a terminal, with every secret masked."""

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MASK: Final = "********"

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_DEPTH: Final = 4


class Redactor:
    """Replaces secrets in everything that is logged, wherever in an event they stand."""

    def __init__(self) -> None:
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these secrets from now on, and only these."""
        longest_first = sorted(set(secrets), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def masked(self, text: str) -> str:
        """Return a text with its secrets masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Mask the secrets of an event; a structlog processor."""
        if self._pattern is not None:
            for key, value in event.items():
                event[key] = self._clean(value, _DEPTH)
        return event

    def _clean(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, MutableMapping) and depth:
            return {key: self._clean(inner, depth - 1) for key, inner in value.items()}
        if isinstance(value, list | tuple) and depth:
            return [self._clean(inner, depth - 1) for inner in value]
        return value if isinstance(value, int | float | None) else self.masked(str(value))


def configure(log_format: str, level: str, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Send every log line of the process, ours and the libraries', to a stream.

    Args:
        log_format: ``json``, ``console``, or ``auto``: console where the stream is a terminal.
        level: ``debug``, ``info``, ``warning`` or ``error``.
        redactor: Masks the secrets.
        stream: Standard error by default.
    """
    stream = sys.stderr if stream is None else stream
    terminal = stream.isatty()
    console = log_format == "console" or (log_format == "auto" and terminal)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    tail: list[Processor]
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            colors=terminal, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24, sort_keys=False
        )
        tail = [_without_nothing, _on_one_line, redactor, renderer]
    else:
        tail = [structlog.processors.format_exc_info, redactor, structlog.processors.JSONRenderer(ensure_ascii=False)]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove_meta, *tail], foreign_pre_chain=shared))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("monitor").setLevel(_LEVELS[level])


def _without_nothing(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out what is empty: a person reads this line."""
    return {key: value for key, value in event.items() if value not in (None, "")}


def _on_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Show control characters as what they are, so that no server's text can write a line of its own."""
    for key, value in event.items():
        if isinstance(value, str) and key != "exception":
            event[key] = _CONTROL.sub(lambda match: repr(match[0])[1:-1], value)
    return event
