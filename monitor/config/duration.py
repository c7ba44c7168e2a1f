"""Durations as people write them: `500ms`, `30s`, `1h30m`, `2d`."""

from __future__ import annotations

import re
from typing import Final

MILLISECONDS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""The units, longest first, which is also the order in which they are written."""

PATTERN: Final = r"^(?=[0-9])([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,12}ms)?$"
"""A duration as a regular expression that Python and JSON Schema (ECMA 262) read alike."""

_DURATION: Final = re.compile(PATTERN)
_PART: Final = re.compile(r"([0-9]+)(ms|[dhms])")
_NUMBER: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?")
_SHORT_NUMBER: Final = re.compile(r"[0-9]{1,6}")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `1h30m`: whole numbers with a unit each, the longest unit first.

    Raises:
        ValueError: With one plain sentence that says what is expected.
    """
    if not _DURATION.fullmatch(text):
        if _NUMBER.fullmatch(text):
            example = f"{text}s" if _SHORT_NUMBER.fullmatch(text) else "30s"
            raise ValueError(f"missing unit: write {example}")
        raise ValueError("must be a duration such as 500ms, 30s, 5m, 1h30m or 2d")
    return sum(int(number) * MILLISECONDS[unit] for number, unit in _PART.findall(text)) / 1000


def format_duration(seconds: float) -> str:
    """Write a duration, rounded to milliseconds, the way `parse_duration` reads it: `1h30m`, or `0s` for zero."""
    remaining = round(seconds * 1000)
    parts = []
    for unit, milliseconds in MILLISECONDS.items():
        count, remaining = divmod(remaining, milliseconds)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
