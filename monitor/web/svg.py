"""Writes SVG: elements with escaped values, and what all charts have in common.

Horizontal positions are in percent of the width, so that a chart fits a telephone and its letters do not shrink.
Colours and lines are in the style sheet, for the Content-Security-Policy allows no `style`; the patterns that
distinguish states without colours are attributes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup, escape

from monitor.jobs import JobState

TICKS: Final = 6
"""Labels of a time axis, at most: more would touch each other on a telephone. Those of days are a little shorter."""

LABEL_LENGTH: Final = 44
"""Characters of a label: as many as the width of a telephone has."""

_TICK_STEPS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 4, 6, 12)),
    *(86_400 * days for days in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)),
)
_DAY: Final = 86_400
_EDGE: Final = 0.06
"""Share of the width next to an edge in which a centred label would be cut off."""

_MARKS: Final = {JobState.FAILED: "✕", JobState.VANISHED: "?"}

_PATTERNS: Final = {
    "pending": "M2 3h2",
    "importing": "M-1 1l8 0M-1 4l8 0",
    "uncommitted": "M1 -1v8M4 -1v8",
    "committing": "M-1 1h8M-1 3h8M-1 5h8",
    "completed": "",
    "failed": "M-1 1l2 -2M-1 7l8 -8M5 7l2 -2M-1 -1l8 8",
    "vanished": "M1 1h1M4 4h1",
    "unknown": "M3 1h1",
    "stalled": "M-1 1l2 -2M-1 7l8 -8M5 7l2 -2",
}
"""The lines of each state's pattern, in a tile of 6 by 6 pixels."""


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """Return an element; what is no `Markup` is escaped, and attributes that are None are left out.

    An underscore in a name stands for a hyphen; one at the end is left out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{value if isinstance(value, Markup) else escape(_text(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{tag}{written}>{''.join(map(escape, children))}</{tag}>")  # noqa: S704 - everything is escaped


def chart(name: str, title: str, description: str, height: float, *children: str) -> Markup:
    """Return a chart as wide as its place, with what a screen reader says of it."""
    labels = (element("title", title, id=f"{name}-title"), element("desc", description, id=f"{name}-desc"))
    return element(
        "svg",
        *labels,
        *children,
        class_="chart",
        role="img",
        aria_labelledby=f"{name}-title",
        aria_describedby=f"{name}-desc",
        width="100%",
        height=height,
    )


def patterns() -> Markup:
    """Return the patterns of the states, to be put once on a page with charts."""
    made = [
        element(
            "pattern",
            element("rect", class_="ground", width=6, height=6),
            element("path", class_="ink", d=lines),
            id=f"of-{state}",
            class_=state,
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        )
        for state, lines in _PATTERNS.items()
    ]
    return element("svg", element("defs", *made), class_="patterns", aria_hidden="true", width=0, height=0)


def fill(state: str) -> str:
    """Return the pattern of a state, or of `stalled`."""
    return f"url(#of-{state})"


def mark(state: JobState) -> str:
    """Return the sign of a state that needs attention; empty for any other."""
    return _MARKS.get(state, "")


def percent(ratio: float) -> str:
    """Return a horizontal position; what is beyond an edge is on it."""
    return f"{_text(100 * min(1.0, max(0.0, ratio)))}%"


def shorten(label: str, length: int = LABEL_LENGTH) -> str:
    """Return a label that is not longer than there is room for."""
    return label if len(label) <= length else f"{label[: length - 1]}…"


def time_axis(start: float, end: float, top: float, bottom: float) -> list[Markup]:
    """Return lines at round times in UTC, with labels below them."""
    parts: list[Markup] = []
    step = next((step for step in _TICK_STEPS if (end - start) / step <= TICKS + (step >= _DAY)), _TICK_STEPS[-1])
    at = -(-start // step) * step
    while at <= end and len(parts) < 4 * TICKS:
        ratio = (at - start) / max(end - start, 1.0)
        parts.append(element("line", class_="grid", x1=percent(ratio), x2=percent(ratio), y1=top, y2=bottom))
        parts.append(label(clock_label(at, step), ratio, bottom + 14))
        at += step
    return parts


def label(text: str, ratio: float, y: float, class_: str | None = None) -> Markup:
    """Return a label above or below a position; one next to an edge stays inside."""
    anchor = "start" if ratio < _EDGE else "end" if ratio > 1 - _EDGE else "middle"
    return element("text", text, class_=class_, x=percent(ratio), y=y, text_anchor=anchor)


def clock_label(at: float, step: float) -> str:
    """Return a time in UTC as exactly as ticks so many seconds apart need it."""
    moment = datetime.fromtimestamp(at, UTC)
    if step >= _DAY:
        return f"{moment:%b} {moment.day}"
    return f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"  # noqa: PLR2004 - seconds of a minute


def present(states: Iterable[str]) -> list[str]:
    """Return states once each, in the order of the patterns: what a legend explains."""
    distinct = set(states)
    return [state for state in _PATTERNS if state in distinct]


def swatch(state: str) -> Markup:
    """Return the pattern of a state for a legend; without one, the frame of the windows of expected imports."""
    pattern = fill(state) if state in _PATTERNS else None
    kind = f"shape {state}" if pattern else "window"
    rect = element("rect", class_=kind, x=1, y=1, width=20, height=10, fill=pattern)
    return element("svg", rect, class_="swatch", aria_hidden="true", width=22, height=12)


def _text(value: str | float) -> str:
    """Return the value of an attribute; numbers with two digits, for more could not be seen."""
    return value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".") or "0"
