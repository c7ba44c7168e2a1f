"""Sets up the log: one JSON object a line, or a readable line on a terminal, with every secret masked."""

import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import cache, partial
from typing import Any, Final, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.config import Masking

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_UNMASKED: Final = ("level", "timestamp")
"""What no text of anybody else gets into, and what a secret that is a common word would only spoil."""

_HALF: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys or takes for the end of a line, and what turns the direction of writing."""

_SEVERAL_LINES: Final = ("exception", "stack")
_UNWRITTEN: Final = "a line of the logger %s could not be written"
_encode: Final = msgspec.json.Encoder().encode
_DEPTH: Final = 4
_BITS: Final = 64


class Redactor:
    """Makes plain values of everything that is logged, and masks the secrets, wherever in an event they stand."""

    def __init__(self) -> None:
        self._masking = Masking()

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these secrets from now on, and only these."""
        self._masking = Masking(secrets)

    def masked(self, text: str) -> str:
        """Return a text with its secrets masked."""
        return self._masking.text(text)

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the event with values that JSON knows; a structlog processor."""
        return {
            key: value if value is None or key in _UNMASKED else self._plain(value, _DEPTH)
            for key, value in event.items()
        }

    def _plain(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:  # most values are: asking what else they could be takes longer than masking them
            return self._clean(value)
        if value is None or kind is bool:
            return value
        if isinstance(value, int | float) and _is_plain(value):
            return int(value) if isinstance(value, int) else float(value)
        if isinstance(value, Mapping) and depth:
            return {self._text(key): self._plain(inner, depth - 1) for key, inner in value.items()}
        if isinstance(value, list | tuple) and depth:
            return [self._plain(inner, depth - 1) for inner in value]
        return self._text(value)

    def _text(self, value: Any) -> str:
        try:
            text = str(value)
        except Exception as error:  # noqa: BLE001 - the text of any object may come from anybody's code, and a line is due
            text = f"<{type(value).__name__} without a text: {type(error).__name__}>"
        return self._clean(text)

    def _clean(self, text: str) -> str:
        masked = self.masked(text)
        return masked if masked.isascii() else _HALF.sub("\N{REPLACEMENT CHARACTER}", masked)


def _is_plain(number: float) -> bool:
    """Say whether every reader of JSON can be expected to take a number."""
    return number.bit_length() <= _BITS if isinstance(number, int) else math.isfinite(number)


class _Lines(logging.StreamHandler[TextIO]):
    """Writes lines; one that cannot be formatted or written is never dumped, for secrets may be in it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Tell of a line that could not be formatted; where nothing can be written, there is nobody to tell."""
        message = _UNWRITTEN % record.name
        told = logging.LogRecord(record.name, record.levelno, record.pathname, record.lineno, message, None, None)
        if record.msg != message:
            self.emit(told)


class _Ours:
    """Where a logger of ours writes: lines that are ready, without the record that the standard library would make.

    Args:
        lines: Where lines go.
        name: The logger's name; by it the standard library says what is logged.
    """

    def __init__(self, lines: _Lines, name: str) -> None:
        self.name = name
        self.takes = logging.getLogger(name).isEnabledFor
        self._lines = lines

    def write(self, line: str) -> None:
        """Write a line."""
        lines = self._lines
        with lines.lock or nullcontext():
            try:
                lines.stream.write(line + lines.terminator)
                lines.flush()
            except Exception:  # noqa: BLE001 - whatever keeps a line from being written must stop nobody: it is told
                lines.handleError(logging.LogRecord(self.name, logging.ERROR, "", 0, line, None, None))


class _Events(structlog.stdlib.BoundLogger):
    """Writes a line of each event at or above its logger's level; of one that no line can be made of, it tells."""

    _logger: _Ours  # type: ignore[assignment]

    def _proxy_to_logger(self, method_name: str, event: str | None = None, *event_args: str, **event_kw: Any) -> None:
        logger, level = self._logger, _LEVELS.get(method_name, logging.ERROR)
        if not logger.takes(level):
            return
        made: Any = {**self._context, **event_kw, "event": event}
        if event_args:
            made["positional_args"] = event_args
        try:
            for processor in self._processors:
                made = processor(logger, method_name, made)
        except structlog.DropEvent:
            return
        except Exception:  # noqa: BLE001 - the values come from anywhere, and who logs them must not be stopped
            logging.getLogger(logger.name).log(level, _UNWRITTEN, logger.name)
            return
        logger.write(made)


def configure(log_format: str, level: str, redactor: Redactor, stream: TextIO | None = None) -> None:
    """Send every log line and warning of the process, ours and the libraries', to a stream.

    Args:
        log_format: ``json``, ``console``, or ``auto``: console where the stream is a terminal.
        level: ``debug``, ``info``, ``warning`` or ``error``; of libraries nothing below ``warning`` is logged.
        redactor: Masks the secrets.
        stream: Standard error by default.
    """
    stream = sys.stderr if stream is None else stream
    terminal = stream.isatty()
    console = log_format == "console" or (log_format == "auto" and terminal)
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    tail: list[Processor] = [structlog.processors.format_exc_info, redactor]
    if console:
        renderer = structlog.dev.ConsoleRenderer(
            colors=terminal, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24, sort_keys=False
        )
        tail += [_without_nothing, _on_one_line, renderer]
    else:
        utf_8 = (stream.encoding or "utf-8").lower().replace("-", "") == "utf8"
        tail += [_as_json if utf_8 else _as_ascii]
    handler = _Lines(stream)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove_meta, *tail], foreign_pre_chain=shared))
    structlog.configure(
        processors=[*shared, *tail],
        logger_factory=cache(partial(_Ours, handler)),
        wrapper_class=_Events,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, _LEVELS[level]))
    logging.getLogger("monitor").setLevel(_LEVELS[level])
    logging.captureWarnings(capture=True)


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return an event as JSON, with a space after each comma and colon; every value is plain by then."""
    return msgspec.json.format(_encode(event), indent=0).decode()


def _as_ascii(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return the same in ASCII, for a stream that knows no more."""
    return json.dumps(event)


def _without_nothing(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leave out what is empty: a person reads this line."""
    return {key: value for key, value in event.items() if value not in (None, "")}


def _on_one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Show control characters as what they are, so that no text can write a line of its own.

    The lines of a traceback are set in, so that none of them can pass for an event.
    """
    for key, value in event.items():
        if key in _SEVERAL_LINES:
            event[key] = "\n".join(f"    {_shown(line)}" for line in value.split("\n"))
        elif isinstance(value, str):
            event[key] = _shown(value)
    return event


def _shown(text: str) -> str:
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)
