"""Numbers and times as people read them."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND: Final = 1000


def duration(seconds: float | None) -> str:
    """Return a duration by its two greatest units: ``2 h 5 min``."""
    if seconds is None:
        return ""
    whole = max(0, round(seconds))
    for position, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            count, rest = divmod(whole, size)
            if position + 1 == len(_UNITS):
                return f"{count} {unit}"
            next_size, next_unit = _UNITS[position + 1]
            part = rest // next_size
            return f"{count} {unit} {part} {next_unit}" if part else f"{count} {unit}"
    return "0 s"


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
    value = float(count)
    for unit in _SIZES:
        if value < _THOUSAND or unit == _SIZES[-1]:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _THOUSAND
    raise AssertionError("the last unit takes everything")


def iso(moment: datetime | None) -> str:
    """Return a time in UTC, to the second, as ISO 8601."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(moment: datetime | None) -> str:
    """Return a time in UTC as people read it."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def spoken(word: str) -> str:
    """Return one of our names as words."""
    return word.replace("_", " ")


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "ago": ago,
    "clock": clock,
    "duration": duration,
    "iso": iso,
    "number": number,
    "percent": percent,
    "size": size,
    "spoken": spoken,
}
