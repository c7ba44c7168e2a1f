"""Template filters: numbers and times for people."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND: Final = 1000


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: ``2 h 5 min``."""
    if seconds is None:
        return ""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def ago(moment: datetime | None, now: float) -> str:
    """Return how long ago a time is."""
    if moment is None:
        return "never"
    seconds = now - moment.timestamp()
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def percent(ratio: float | None) -> str:
    """Return a ratio in percent; never 100 before it is all."""
    if ratio is None:
        return ""
    return f"{int(ratio * 100 + 1e-9)} %"


def number(value: float | None) -> str:
    """Return a number with thin spaces between thousands."""
    if value is None:
        return ""
    return f"{round(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(count: int | None) -> str:
    """Return a number of bytes."""
    if count is None:
        return ""
    value, units = float(count), list(_SIZES)
    while value >= _THOUSAND and len(units) > 1:
        value /= _THOUSAND
        del units[0]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def iso(moment: datetime | None) -> str:
    """Return a time in UTC, to the second, as ISO 8601."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(moment: datetime | None) -> str:
    """Return a time in UTC as people read it."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def spaced(name: str) -> str:
    """Return a name with spaces instead of underscores."""
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """Return a text with a capital at its start and a full stop at its end."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('?', '.')) or not text else '.'}"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    function.__name__: function for function in (ago, clock, duration, iso, number, percent, sentence, size, spaced)
}
