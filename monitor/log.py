"""Configures the log: JSON or logfmt, or readable lines on a terminal, with every secret masked."""

import logging
import math
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache, partial
from threading import RLock
from typing import Any, Final, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from monitor.log_writer import LogWriter
from monitor.logfmt import logfmt
from monitor.redaction import Redactor

LINE_LIMIT: Final = 64 * 1024
"""Bytes of a line with its end: log collectors split or drop longer lines."""

_VALUE_LIMITS: Final = (16_384, 1_024, 64)
"""Characters that a line that is too long keeps of each value, tried in this order."""

_MULTILINE: Final = ("exception", "stack")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""Control characters of terminals, ends of lines, and changes of the writing direction."""

_MAX_DEPTH: Final = 4  # of nested values; what is deeper becomes text
_MAX_BITS: Final = 64  # of an integer: some readers of JSON accept no more
_stamp: Final = structlog.processors.TimeStamper(fmt="iso", utc=True)
_render_stack: Final = structlog.processors.StackInfoRenderer()


def configure(log_format: str, level: str, redactor: Redactor, stream: TextIO | LogWriter | None = None) -> None:
    """Write every log line and warning of the process, ours and the libraries', to a stream.

    Args:
        log_format: ``json``, ``logfmt``, ``console``, or ``auto``: console where the stream is a terminal, else JSON.
        level: ``debug``, ``info``, ``warning`` or ``error``; of libraries nothing below ``warning`` is logged.
        redactor: Masks the secrets.
        stream: Standard error by default.
    """
    minimum = logging.getLevelNamesMapping()[level.upper()]
    output = _Output(sys.stderr if stream is None else stream, log_format, redactor)
    structlog.configure(
        processors=[output.line],
        wrapper_class=structlog.make_filtering_bound_logger(minimum),
        logger_factory=cache(partial(_Logger, output)),
        cache_logger_on_first_use=False,  # the loggers of modules follow the next call of `configure`
    )
    root = logging.getLogger()
    root.handlers = [_LibraryHandler(output)]
    root.setLevel(max(logging.WARNING, minimum))
    logging.getLogger("monitor").setLevel(minimum)
    logging.captureWarnings(capture=True)


class _Output:
    """Makes lines of events and writes them.

    A line that cannot be made or written is replaced by a line that reports it, without values that may hold secrets.
    """

    def __init__(self, stream: TextIO | LogWriter, log_format: str, redactor: Redactor) -> None:
        self._stream = stream
        self._encoding = stream.encoding or "utf-8"
        self._redactor = redactor
        self._lock = RLock()  # a signal handler may log while its thread writes
        is_utf8 = self._encoding.lower().replace("-", "") == "utf8"
        self._render: Processor = structlog.processors.JSONRenderer()  # ASCII, for a stream that knows no more
        if log_format == "console" or (log_format == "auto" and stream.isatty()):
            self._render = _console(colors=stream.isatty())
        elif log_format == "logfmt":
            self._render = logfmt(ascii_only=not is_utf8)
        elif is_utf8:
            self._render = structlog.processors.JSONRenderer(serializer=_json)

    def line(self, logger: WrappedLogger, level: str, event: EventDict) -> str:
        """Return the line of an event; a structlog processor."""
        try:
            if "exc_info" in event or "stack_info" in event:
                event = structlog.processors.format_exc_info(logger, level, _render_stack(logger, level, event))
            plain = _head(level)
            for name, value in event.items():
                plain[name] = self._plain(value, _MAX_DEPTH)
            return self._fitting(level, plain)
        except Exception:  # noqa: BLE001 - no value may stop the code that logs it; a line reports it
            return self.unwritten(logger.name, level)

    def write(self, line: str, name: str) -> None:
        """Write a line of the logger with this name."""
        with self._lock:
            try:
                self._put(line)
            except Exception:  # noqa: BLE001 - no fault of a stream may stop the code that logs; a line reports it
                with suppress(Exception):
                    self._put(self.unwritten(name, "error"))

    def _put(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def unwritten(self, name: str, level: str) -> str:
        """Return the line that reports that a line of a logger could not be made or written."""
        return str(self._render(None, level, _head(level, f"a line of the logger {name} could not be written")))

    def _fitting(self, level: str, event: EventDict) -> str:
        """Return the line of plain values, cut where it would be longer than ``LINE_LIMIT``."""
        line = str(self._render(None, level, event))
        for limit in _VALUE_LIMITS:
            if len(line.encode(self._encoding, "backslashreplace")) < LINE_LIMIT:
                break
            line = str(self._render(None, level, {key: _cut(value, limit) for key, value in event.items()}))
        return line

    def _plain(self, value: Any, depth: int) -> Any:
        """Return a value as JSON knows it, with the secrets masked."""
        kind = type(value)
        if kind is str:  # most are
            return self._clean(value)
        if value is None or kind is bool:
            return value
        if isinstance(value, int | float) and _is_portable(value):
            return int(value) if isinstance(value, int) else float(value)
        if isinstance(value, Mapping) and depth:
            return {self._text(key): self._plain(inner, depth - 1) for key, inner in value.items()}
        if isinstance(value, list | tuple) and depth:
            return [self._plain(inner, depth - 1) for inner in value]
        return self._text(value)

    def _text(self, value: Any) -> str:
        try:
            text = str(value)
        except Exception as error:  # noqa: BLE001 - `__str__` of a library's object may fail; the line reports it
            text = f"<{type(value).__name__} without a text: {type(error).__name__}>"
        return self._clean(text)

    def _clean(self, text: str) -> str:
        masked = self._redactor.text(text)
        return masked if masked.isascii() else _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", masked)


def _head(level: str, event: str = "") -> EventDict:
    """Return the fields with which a line begins."""
    return {**_stamp(None, level, {}), "level": level, "event": event}


class _Logger:
    """Passes structlog's lines on to an output."""

    def __init__(self, output: _Output, name: str = "monitor") -> None:
        self.name = name
        self._output = output

    def write(self, line: str) -> None:
        """Write a line."""
        self._output.write(line, self.name)

    debug = info = warning = error = critical = write


class _LibraryHandler(logging.Handler):
    """Logs what libraries log with the standard library."""

    def __init__(self, output: _Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line of a record."""
        level = record.levelname.lower()
        try:
            event: EventDict = {"event": record.getMessage(), "exc_info": record.exc_info}
        except Exception:  # noqa: BLE001 - arguments that do not fit the format stop no library; a line reports it
            line = self._output.unwritten(record.name, level)
        else:
            if record.stack_info:
                event["stack"] = record.stack_info
            line = self._output.line(record, level, event)
        self._output.write(line, record.name)


def _console(*, colors: bool) -> Processor:
    """Return a renderer of readable lines, with control characters escaped and tracebacks indented.

    So no text can pass for another event.
    """
    render = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24, sort_keys=False
    )

    def line(logger: WrappedLogger, level: str, event: EventDict) -> str:
        shown = {}
        for key, value in event.items():
            if key in _MULTILINE and isinstance(value, str):
                shown[key] = "\n".join(f"    {_visible(text)}" for text in value.split("\n"))
            elif value not in (None, ""):
                shown[key] = _visible(value) if isinstance(value, str) else value
        return render(logger, level, shown)

    return line


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def _is_portable(number: float) -> bool:
    return number.bit_length() <= _MAX_BITS if isinstance(number, int) else math.isfinite(number)


def _json(event: EventDict, **_: Any) -> str:
    """Return an event as JSON, with a space after each comma and colon."""
    return msgspec.json.format(msgspec.json.encode(event), indent=0).decode()


def _cut(value: Any, limit: int) -> Any:
    """Return a plain value; of a long value its text, with the middle replaced by the number of characters cut."""
    text = value if isinstance(value, str) else _json(value)
    if len(text) <= limit:
        return value
    half = limit // 2
    return f"{text[:half]} [{len(text) - 2 * half} characters cut] {text[-half:]}"
