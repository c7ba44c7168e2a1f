"""Renders log events as logfmt: ``key=value`` pairs on one line, as Prometheus and Loki write and read them.

A value is quoted where a reader could end it too early, with the escapes of JSON, which are those that the decoder of
go-logfmt (of Loki, Alertmanager and others) understands. structlog's own renderer raises an exception for odd keys, and
leaves carriage returns and other control characters as they are.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from structlog.typing import EventDict, Processor, WrappedLogger

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_KEY: Final = re.compile(r"[^A-Za-z0-9_]")
_QUOTED: Final = re.compile(r'[ ="\\]')


def logfmt(*, ascii_only: bool) -> Processor:
    """Return a renderer of plain values (of JSON) as logfmt; with `ascii_only`, other characters are escaped."""

    def line(_logger: WrappedLogger, _level: str, event: EventDict) -> str:
        pairs = []
        for key, value in event.items():
            name = _NOT_IN_KEY.sub("_", key) or "_"
            if isinstance(value, Mapping) and all(map(_NAME.fullmatch, value)):
                pairs += [f"{name}.{inner}={_value(text, ascii_only)}" for inner, text in value.items()]
            else:
                pairs.append(f"{name}={_value(value, ascii_only)}")
        return " ".join(pairs)

    return line


def _value(value: Any, ascii_only: bool) -> str:
    """Return a value as text, quoted if necessary; None is nothing, a list or a mapping is its JSON."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    is_plain = text and text.isprintable() and not _QUOTED.search(text) and (text.isascii() or not ascii_only)
    return text if is_plain else _quoted(text, ascii_only)


def _quoted(text: str, ascii_only: bool) -> str:
    quoted = json.dumps(text, ensure_ascii=ascii_only)
    if quoted.isprintable():
        return quoted
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in quoted)
