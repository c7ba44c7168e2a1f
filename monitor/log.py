"""Sets up the log: one JSON object a line, or a readable line on a terminal, with every secret masked."""

import json
import logging
import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import cache, partial
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.config import Masking

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_OURS: Final = ("level", "timestamp")
"""What no text of anybody else gets into, and what a secret that is a common word would only spoil."""

_HALF: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What a terminal obeys or takes for the end of a line, and what turns the direction of writing."""

_SEVERAL_LINES: Final = ("exception", "stack")
_UNWRITTEN: Final = "a line of the logger %s could not be written"
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
        return {key: value if key in _OURS else self._plain(value, _DEPTH) for key, value in event.items()}

    def _plain(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind is str:  # most values are: asking what else they could be takes longer than masking them
            return self._clean(value)
        if value is None or kind is bool or (isinstance(value, int) and value.bit_length() <= _BITS):
            return value
        if isinstance(value, float) and math.isfinite(value):
            return value
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
        self.debug = self.info = self.warning = self.error = self.exception = self.critical = self._write
        self._lines = lines

    def _write(self, line: str) -> None:
        lines = self._lines
        with lines.lock or nullcontext():
            try:
                lines.stream.write(line + lines.terminator)
                lines.flush()
            except Exception:  # noqa: BLE001 - whatever keeps a line from being written must stop nobody: it is told
                lines.handleError(logging.LogRecord(self.name, logging.ERROR, "", 0, line, None, None))


def _by_level(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop an event that is below the level of its logger."""
    if logger.takes(_LEVELS.get(method, logging.ERROR)):
        return event
    raise structlog.DropEvent


def _in_one(tail: Sequence[Processor]) -> Processor:
    """Return processors as one, which tells of an event that they cannot make a line of."""

    def render(logger: WrappedLogger, method: str, event: EventDict) -> Any:
        try:
            made: Any = event
            for processor in tail:
                made = processor(logger, method, made)
        except Exception:  # noqa: BLE001 - the values come from anywhere, and who logs them must not be stopped
            logging.getLogger(logger.name).log(_LEVELS.get(method, logging.ERROR), _UNWRITTEN, logger.name)
            raise structlog.DropEvent from None
        return made

    return render


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
        structlog.contextvars.merge_contextvars,
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
        tail += [_as_json(json.JSONEncoder(ensure_ascii=not utf_8))]
    handler = _Lines(stream)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove_meta, *tail], foreign_pre_chain=shared))
    structlog.configure(
        processors=[_by_level, *shared, _in_one(tail)],
        logger_factory=cache(partial(_Ours, handler)),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, _LEVELS[level]))
    logging.getLogger("monitor").setLevel(_LEVELS[level])
    logging.captureWarnings(capture=True)


def _as_json(encoder: json.JSONEncoder) -> Processor:
    """Return a processor that makes JSON, with an encoder that is made once; every value is plain by then."""

    def render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
        return encoder.encode(event)

    return render


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
