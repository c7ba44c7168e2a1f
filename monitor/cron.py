"""When a cron expression fires, in a time zone."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from apscheduler.triggers.cron import CronTrigger

MAX_EXPRESSION: Final = 200
"""Characters of an expression."""

FIRES_AT_ONCE: Final = 2000
"""Fire times that one call returns and that are cached, at most: more than a day of those of every minute."""

_LOOKBACKS: Final = tuple(days * 86_400.0 for days in (1 / 24, 1, 8, 32, 367, 8 * 366))
"""Seconds in which the latest fire time is searched: at most eight years, the longest time between two leap days."""

_SKIPPED: Final = 7200.0
"""Seconds before a time from which it is found although the clocks went forward: they skip an hour or less."""

_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_FIELDS: Final = "minute, hour, day of the month, month, day of the week"


class Cron:
    """A cron expression of five fields, as crontab understands it, in a time zone.

    An hour that is skipped when the clocks go forward counts as the one after it, as in cron: 02:30 fires at 03:30. One
    that is repeated when they go back fires once, unless every hour fires.

    Args:
        expression: Such as ``0 2 * * *``; days of the week are 0 or 7 (Sunday) to 6, or names.
        timezone: Such as ``Europe/Berlin``.

    Raises:
        ValueError: The expression cannot be read or never fires; with one sentence that says what is expected.
    """

    def __init__(self, expression: str, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._trigger = _trigger(expression, self._zone)
        self._every_hour = "*" in expression.split()[1]
        self._next = lru_cache(FIRES_AT_ONCE)(self._compute_next)
        self._latest = 0.0
        if self._trigger.get_next_fire_time(None, datetime(2024, 1, 1, tzinfo=UTC)) is None:  # a leap year
            raise ValueError("must be a time that exists; this day is in none of these months")

    def next(self, after: float) -> float:
        """Return when it fires next after a time; both in seconds since the epoch."""
        return self._next(after)

    def fires(self, at: float) -> bool:
        """Return whether it fires at a time, also as one of a skipped hour: those are found only from before it."""
        return self._next(at - 1e-3) == at or at in self.between(at - _SKIPPED, at + 1e-3)

    def latest(self, now: float) -> float | None:
        """Return when it fired last up to a time; None where that is years ago."""
        start = self._latest
        if not (start and start <= now < start + _LOOKBACKS[0]):
            start = next((at for back in _LOOKBACKS if (at := self._compute_next(now - back)) <= now), 0.0)
            if not start:
                return None
        while (following := self._next(start)) <= now:
            start = following
        self._latest = start
        return start

    def between(self, since: float, until: float) -> list[float]:
        """Return when it fires from a time on until before another one; of many only the first."""
        fires: list[float] = []
        at = since - 1e-3
        while len(fires) < FIRES_AT_ONCE and (at := self._next(at)) < until:
            fires.append(at)
        return fires

    def _compute_next(self, after: float) -> float:
        at = after
        while True:
            start = datetime.fromtimestamp(at, self._zone)
            fire: datetime | None = self._trigger.get_next_fire_time(None, start)
            if fire is None:  # after the year 9999
                return float("inf")
            at = fire.timestamp()
            if at > after and (self._every_hour or not fire.fold):
                return at
            at += 1.0


def check_timezone(name: str) -> str:
    """Return the name of a time zone; raises ``ValueError`` where there is none of this name."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # a path, a directory, an unknown name
        raise ValueError("must be the name of a time zone, such as Europe/Berlin or UTC") from None
    return name


def _trigger(expression: str, zone: ZoneInfo) -> "CronTrigger":
    from apscheduler.triggers.cron import CronTrigger  # noqa: PLC0415 - 60 ms that only expectations need

    fields = expression.split()
    if len(fields) != len(_FIELDS.split(", ")) or len(expression) > MAX_EXPRESSION:
        raise ValueError(f"must be a cron expression of five fields ({_FIELDS}), such as 0 2 * * *")
    minute, hour, month_day, month, weekday = fields
    if "*" not in (month_day[0], weekday[0]):
        raise ValueError("must restrict either the day of the month or the day of the week, not both")
    try:
        return CronTrigger.from_crontab(f"{minute} {hour} {month_day} {month} {_named(weekday)}", zone)
    except ValueError as error:
        text = " ".join(str(error).split())
        raise ValueError(f"must be a cron expression, such as 0 2 * * *: {text[:1].lower()}{text[1:]}") from None


def _named(weekdays: str) -> str:
    """Return days of the week by name: APScheduler's numbers begin on Monday, those of crontab on Sunday."""
    names: list[str] = []
    for item in weekdays.lower().split(","):
        days, _, step = item.partition("/")
        first, _, last = ("0", "", "6") if days == "*" else days.partition("-")
        if not (first.isdecimal() and (not last or last.isdecimal()) and (not step or step.isdecimal())):
            names.append(item)  # names of days, which APScheduler reads, or a mistake that it reports
            continue
        start, end = int(first), int(last or ("6" if step else first))
        if not start <= end <= len(_DAYS):
            raise ValueError("days of the week are 0 to 7, or mon to sun, the smaller one first")
        if step == "0":
            raise ValueError("increment must be higher than 0")
        names += [_DAYS[day % len(_DAYS)] for day in range(start, end + 1, int(step or 1))]
    return "*" if weekdays == "*" else ",".join(names)
