"""Draws the imports of some days as bars by state, and how long the latest ones took."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from heapq import nlargest
from typing import Final

import msgspec
from markupsafe import Markup

from monitor.jobs import TERMINAL, Job, JobState, typical_of
from monitor.web.svg import chart, element, fill, label, mark, percent, shorten, time_axis
from monitor.web.template_filters import duration

BARS_DRAWN: Final = 200
"""Imports of a timeline, the latest ones: more could not be distinguished."""

ROWS_DRAWN: Final = 12
"""Collections that have a row of their own, those with the latest imports; all further ones share the last row."""

LANES: Final = 4
"""Bars of one row that are drawn one below the other while they overlap; further ones are drawn over the last one."""

DURATIONS_DRAWN: Final = 20
"""Imports whose durations are compared, the latest ones."""

_LANE: Final = 14.0
_BAR: Final = 11.0
_NAME: Final = 17.0
_GAP: Final = 7.0
_NARROWEST: Final = 0.004
"""Share of the width that a bar takes at least, so that it is seen on a telephone."""

_COLUMN_HEIGHT: Final = 110.0
_COLUMN_TOP: Final = 22.0
_FEWEST_COLUMNS: Final = 8
"""Columns for which there is room at least, so that a single one is not as wide as the chart."""


class Bar(msgspec.Struct, frozen=True, gc=False):
    """An import in a timeline."""

    start: float  # when it was created or first seen, in seconds since the epoch
    end: float  # when it finished, or now
    state: JobState
    job_id: str
    stalled: bool = False  # whether it makes no progress
    row: str = ""  # the name of its row; empty for a chart with a single one
    known_start: bool = True  # whether it was seen running, or the server says when it was created

    @property
    def seconds(self) -> float:
        """How long it has taken."""
        return self.end - self.start

    @property
    def finished(self) -> bool:
        """Whether it is over."""
        return self.state in TERMINAL

    @property
    def pattern(self) -> str:
        """The state by which it is drawn, or `stalled`."""
        return "stalled" if self.stalled else self.state.value


class Window(msgspec.Struct, frozen=True, gc=False):
    """A time in which an import is expected in a row; an empty row stands for the chart's single one."""

    start: float  # from when on it is expected, in seconds since the epoch
    end: float  # when it has to be complete
    row: str = ""  # the name of its row
    title: str = "import"  # the name of the expectation


def job_bar(job: Job, now: float, row: str = "") -> Bar:
    """Return the bar of a job; one that was first seen finished starts when the server says that it was created."""
    end = job.finished_at if job.finished and job.finished_at is not None else now
    start, known_start = job.first_seen, job.first_seen < end or not job.finished
    if not known_start and job.created_at is not None and job.created_at < end:
        start, known_start = job.created_at, True
    return Bar(min(start, end), end, job.state, job.job_id, job.stalled and not job.finished, row, known_start)


def row_name(database: str, collection: str) -> str:
    """Return the name of the row of a collection."""
    name = collection or "(no collection)"
    return f"{database}/{name}" if database else name


def latest(bars: Iterable[Bar], limit: int = BARS_DRAWN) -> list[Bar]:
    """Return the bars that end last, in the order of their ends."""
    return nlargest(limit, bars, key=lambda bar: (bar.end, bar.start, bar.job_id))[::-1]


def timeline(name: str, bars: Sequence[Bar], start: float, end: float, windows: Sequence[Window] = ()) -> Markup:
    """Return a chart of imports between two times, a row for each collection.

    Args:
        name: What is unique on the page.
        bars: The imports.
        start: Seconds since the epoch.
        end: The same.
        windows: When imports are expected; drawn behind them.
    """
    bars = [bar for bar in bars if bar.end >= start and bar.start <= end]
    windows = [window for window in windows if window.end >= start and window.start <= end]
    span = max(end - start, 1.0)
    rows = _rows(bars, windows)
    parts: list[Markup] = []
    y = 4.0
    for row, (in_row, expected) in rows.items():
        placed = _lanes(in_row)
        lanes = max((lane for _, lane in placed), default=0) + 1
        if row:
            parts.append(element("line", class_="grid", x1="0%", x2="100%", y1=y - 3, y2=y - 3))
            parts.append(element("text", element("title", row), shorten(row), class_="row", x=0, y=y + 12))
            y += _NAME
        height = lanes * _LANE
        parts += [_window(window, start, span, y, height) for window in expected]
        for bar, lane in placed:
            parts += _bar(bar, start, span, y + lane * _LANE)
        y += height + _GAP
    axis = time_axis(start, end, 0.0, y)
    title = f"Imports from {_moment(start)} to {_moment(end)} UTC"
    return chart(name, title, _describe(bars, rows), y + 20, *axis, *parts)


def duration_chart(bars: Sequence[Bar], typical: float | None = None, name: str = "usually") -> Markup:
    """Return a chart of how long imports took, the latest on the right, with a duration to compare them with."""
    longest = max([bar.seconds for bar in bars] + [typical or 0.0, 1.0])
    columns = max(len(bars), _FEWEST_COLUMNS)
    bottom = _COLUMN_TOP + _COLUMN_HEIGHT
    parts = [
        element("line", class_="grid", x1="0%", x2="100%", y1=_COLUMN_TOP, y2=_COLUMN_TOP),
        element("text", duration(longest), x=2, y=_COLUMN_TOP - 6),
        element("line", class_="grid", x1="0%", x2="100%", y1=bottom, y2=bottom),
    ]
    for number, bar in enumerate(bars):
        height = max(1.0, _COLUMN_HEIGHT * bar.seconds / longest)
        state = bar.state.value
        rect = element(
            "rect",
            element("title", f"{bar.job_id}: {state} after {duration(bar.seconds)}"),
            class_=f"shape {state}",
            x=percent((number + 0.15) / columns),
            width=percent(0.7 / columns),
            y=bottom - height,
            height=height,
            fill=fill(state),
        )
        parts.append(rect)
        if sign := mark(bar.state):
            parts.append(label(sign, (number + 0.5) / columns, bottom - height - 3, class_=f"mark {state}"))
    if bars:
        parts.append(label(_moment(bars[0].end), 0.0, bottom + 15))
    if len(bars) > columns // 2:
        parts.append(label(_moment(bars[-1].end), 1.0, bottom + 15))
    if typical is not None:
        y = bottom - _COLUMN_HEIGHT * typical / longest
        parts.append(element("line", class_="typical", x1="0%", x2="100%", y1=y, y2=y))
        parts.append(label(f"{name} {duration(typical)}", 1.0, y - 4 if y > _COLUMN_TOP + 14 else y + 13, "inside"))
    title = f"Durations of the last {len(bars)} imports" if len(bars) != 1 else "Duration of the last import"
    durations = [f"{bar.state.value} after {duration(bar.seconds)}" for bar in bars]
    usual = "" if typical is None else f" {name.capitalize()} {duration(typical)}."
    return chart("durations", title, f"Oldest first: {', '.join(durations)}.{usual}", bottom + 20, *parts)


def median_duration(bars: Iterable[Bar]) -> float | None:
    """Return the median duration of completed imports, of whichever collections; None where there are too few."""
    typical = typical_of(bar.seconds for bar in bars if bar.state is JobState.COMPLETED and bar.known_start)
    return None if typical is None else typical.median


_Rows = dict[str, tuple[list[Bar], list[Window]]]


def _rows(bars: Sequence[Bar], windows: Sequence[Window]) -> _Rows:
    """Return what stands in each row, in the order of the rows' names; the rows with the oldest imports share one."""
    recent = list(dict.fromkeys([bar.row for bar in latest(bars)[::-1]] + [window.row for window in windows]))
    own = recent if len(recent) <= ROWS_DRAWN else recent[: ROWS_DRAWN - 1]
    rows: _Rows = {row: ([], []) for row in sorted(own)}
    last_row = f"{len(recent) - len(own)} other collections"
    for bar in bars:
        rows.setdefault(bar.row if bar.row in own else last_row, ([], []))[0].append(bar)
    for window in windows:
        rows.setdefault(window.row if window.row in own else last_row, ([], []))[1].append(window)
    return rows


def _lanes(bars: Iterable[Bar]) -> list[tuple[Bar, int]]:
    """Return bars with their lanes: each is in the first one that is free when it starts."""
    free: list[float] = []
    placed: list[tuple[Bar, int]] = []
    for bar in sorted(bars, key=lambda bar: (bar.start, bar.end)):
        lane = next((number for number, until in enumerate(free) if until <= bar.start), len(free))
        lane = min(lane, LANES - 1)
        free[lane : lane + 1] = [max(bar.end, *free[lane : lane + 1], 0.0)]
        placed.append((bar, lane))
    return placed


def _bar(bar: Bar, start: float, span: float, y: float) -> list[Markup]:
    left, right = max(0.0, (bar.start - start) / span), min(1.0, (bar.end - start) / span)
    left = min(left, 1.0 - _NARROWEST)
    title = f"{bar.job_id}: {bar.pattern}, {duration(bar.seconds)}, from {_moment(bar.start)} UTC"
    parts = [
        element(
            "rect",
            element("title", title),
            class_=f"shape {bar.pattern}",
            x=percent(left),
            width=percent(max(right - left, _NARROWEST)),
            y=y,
            height=_BAR,
            fill=fill(bar.pattern),
        )
    ]
    if sign := mark(bar.state):
        parts.append(label(sign, max(right, left), y + _BAR - 1, class_=f"mark {bar.state.value}"))
    return parts


def _window(window: Window, start: float, span: float, y: float, height: float) -> Markup:
    left, right = max(0.0, (window.start - start) / span), min(1.0, (window.end - start) / span)
    return element(
        "rect",
        element("title", f"{window.title} expected: {_moment(window.start)} to {_moment(window.end)} UTC"),
        class_="window",
        x=percent(left),
        width=percent(max(right - left, _NARROWEST)),
        y=y - 2,
        height=height + 2,
    )


def _describe(bars: Sequence[Bar], rows: _Rows) -> str:
    if not bars:
        return "No imports."
    counts = Counter(bar.pattern for bar in bars)
    imports = ", ".join(f"{count} {state}" for state, count in counts.items())
    names = [row for row in rows if row]
    return f"{imports}{f', in {len(names)} collections' if len(names) > 1 else ''}."


def _moment(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%b} {moment.day} {moment:%H:%M}"
