"""Template filters: numbers and times for people."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from monitor.jobs import whole_percent

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: ``2 h 5 min``."""
    rest = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(filter(None, parts[:2])) or "0 s"


def ago(moment: datetime, now: float) -> str:
    """Return how long ago a time is."""
    seconds = now - moment.timestamp()
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def percent(ratio: float) -> str:
    """Return a ratio in percent; less than 100 % until it is 1."""
    return f"{whole_percent(ratio)} %"


def number(value: float) -> str:
    """Return a number with thin spaces between thousands."""
    return f"{round(value):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def iso(moment: datetime) -> str:
    """Return a time in UTC, to the second, as ISO 8601."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock(moment: datetime) -> str:
    """Return a time in UTC for people, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def short_clock(moment: datetime, now: float) -> str:
    """Return a time in UTC for people: only the time of day if it is today's, else the date and the minute."""
    moment, today = moment.astimezone(UTC), datetime.fromtimestamp(now, UTC).date()
    return moment.strftime("%H:%M:%S" if moment.date() == today else "%Y-%m-%d %H:%M")


def sentence(text: str) -> str:
    """Return a text with a capital letter at its start and a full stop at its end."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('?', '.')) or not text else '.'}"


def utc(at: float) -> datetime:
    """Return a time in seconds since the epoch as a date and time."""
    return datetime.fromtimestamp(at, UTC)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    function.__name__: function for function in (ago, clock, duration, iso, number, percent, sentence, short_clock, utc)
}
