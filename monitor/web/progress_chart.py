"""Draws the progress of a job over time: its steps and states, where it stood still, and how long it may still take."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from monitor.store import ProgressSample
from monitor.web.progress import Progress, Span, thinned
from monitor.web.svg import chart, element, fill, label, mark, percent, time_axis
from monitor.web.template_filters import duration
from monitor.web.template_filters import percent as in_percent

CONE: Final = 1.4
"""How far off an estimate is: about half of those of docs/estimates.md are within this factor of the actual time."""

CURVE_POINTS: Final = 40
"""Points of a small curve: it is hardly wider than so many pixels."""

CURVE_WIDTH, CURVE_HEIGHT = 96.0, 22.0

_TOP, _HEIGHT = 10.0, 150.0
_BOTTOM: Final = _TOP + _HEIGHT
_STRIP: Final = _BOTTOM + 6.0
_STRIP_HEIGHT: Final = 16.0
_UNITS: Final = 1000.0
"""Units of the width in which the line is drawn; it is stretched to the chart's width."""

_LETTER: Final = 0.021
"""Share of the width of a telephone that a letter takes."""

_NAMED: Final = 3
"""Stretches without progress that the description names."""


def progress_chart(progress: Progress) -> Markup:
    """Return the chart of a job's progress."""
    axis_end = _axis_end(progress)
    span = max(axis_end - progress.start, 1.0)

    def ratio(at: float) -> float:
        return (at - progress.start) / span

    now = element(
        "line", class_="now", x1=percent(ratio(progress.end)), x2=percent(ratio(progress.end)), y1=_TOP, y2=_BOTTOM
    )
    parts = [
        *time_axis(progress.start, axis_end, _TOP, _STRIP + _STRIP_HEIGHT),
        *(_level(level) for level in (0.0, 0.5, 1.0)),
        *(_stall(stall, ratio(stall.start), stall.seconds / span) for stall in progress.stalls),
        _lines(progress, axis_end, span),
        *(_level_name(level) for level in (0.0, 0.5, 1.0)),
        now if axis_end > progress.end else "",
        *_end(progress, ratio(progress.end)),
        *(_phase(phase, ratio(phase.start), phase.seconds / span) for phase in progress.phases),
    ]
    return chart("progress", "Progress over time", describe(progress), _STRIP + _STRIP_HEIGHT + 18, *parts)


def describe(progress: Progress) -> str:
    """Return in words what the chart shows."""
    start, end = (datetime.fromtimestamp(at, UTC) for at in (progress.start, progress.end))
    day = "%Y-%m-%d %H:%M"
    texts = [f"From {start:{day}} to {end:{day}} UTC: "]
    texts.append(", ".join(f"{phase.state.value} for {duration(phase.seconds)}" for phase in progress.phases))
    latest = progress.latest
    texts.append(". No progress reported." if latest is None else f". Progress: {in_percent(_clamped(latest))}.")
    longest = sorted(progress.stalls, key=lambda stall: stall.seconds)[-_NAMED:]
    texts += [f" No progress for {duration(stall.seconds)} while {stall.state.value}." for stall in longest]
    if progress.seconds_left is not None:
        early, late = progress.seconds_left / CONE, progress.seconds_left * CONE
        texts.append(
            f" About {duration(progress.seconds_left)} left, often between {duration(early)} and {duration(late)}."
        )
    return "".join(texts)


def progress_curve(progress: Progress) -> Markup:
    """Return a small chart of a job's progress; empty where it has made none."""
    latest = progress.latest
    if latest is None or all((point.progress or 0.0) <= 0 for point in progress.points):
        return Markup()
    span = max(progress.end - progress.start, 1.0)
    points = [*thinned([point for point in progress.points if point.progress is not None], CURVE_POINTS)]
    steps = _steps(points, progress.start, progress.end, span, CURVE_WIDTH, CURVE_HEIGHT - 2, 1.0)
    title = f"{in_percent(_clamped(latest))} in {duration(span)}"
    stalled = bool(progress.stalls) and progress.stalls[-1].end >= progress.end
    if stalled:
        title += f", no progress for {duration(progress.stalls[-1].seconds)}"
    return element(
        "svg",
        element("title", title),
        element("path", class_="grid", d=f"M0 {CURVE_HEIGHT - 0.5:g}H{CURVE_WIDTH:g}"),
        element("path", class_="line stalled" if stalled else "line", d=steps),
        class_="chart curve",
        role="img",
        width=CURVE_WIDTH,
        height=CURVE_HEIGHT,
        viewBox=f"0 0 {CURVE_WIDTH:g} {CURVE_HEIGHT:g}",
    )


def _axis_end(progress: Progress) -> float:
    """Return until when the chart goes: the past takes at least half of it."""
    if progress.seconds_left is None:
        return progress.end
    return progress.end + min(progress.seconds_left * CONE, max(progress.end - progress.start, 60.0))


def _clamped(ratio: float) -> float:
    return min(1.0, max(0.0, ratio))


def _steps(
    points: Sequence[ProgressSample],
    start: float,
    end: float,
    span: float,
    width: float,
    height: float,
    top: float = 0.0,
) -> str:
    """Return the path of a progress, which keeps each value until the next one."""
    commands: list[str] = []
    for point in points:
        if point.progress is None:
            continue
        x = f"{width * _clamped((point.at - start) / span):.1f}"
        y = f"{top + height * (1.0 - _clamped(point.progress)):.1f}"
        commands.append(f"H{x}V{y}" if commands else f"M{x} {y}")
    return f"{''.join(commands)}H{width * _clamped((end - start) / span):.1f}" if commands else ""


def _lines(progress: Progress, axis_end: float, span: float) -> Markup | str:
    """Return the line of the progress, the area below it, and the cone of the estimate."""
    steps = _steps(progress.points, progress.start, progress.end, span, _UNITS, _HEIGHT)
    if not steps:
        return ""
    begin = steps[1:].split(" ")[0]
    area = element("path", class_="area", d=f"{steps}V{_HEIGHT:g}H{begin}Z")
    return element(
        "svg",
        area,
        *_cone(progress, axis_end, span),
        element("path", class_=f"line {progress.state.value}", d=steps),
        class_="stretched",
        x=0,
        y=_TOP,
        width="100%",
        height=_HEIGHT,
        viewBox=f"0 0 {_UNITS:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
    )


def _cone(progress: Progress, axis_end: float, span: float) -> list[Markup]:
    latest = progress.latest
    if progress.seconds_left is None or latest is None:
        return []
    latest = _clamped(latest)
    x, y = _UNITS * (progress.end - progress.start) / span, _HEIGHT * (1.0 - latest)

    def line_end(seconds: float) -> str:
        """Return where the line ends that reaches the top in so many seconds: there, or at the edge."""
        share = min(1.0, (axis_end - progress.end) / seconds) if seconds > 0 else 1.0
        right = x + _UNITS * min(seconds, axis_end - progress.end) / span
        return f"{right:.1f} {y - y * share:.1f}"

    early, late = line_end(progress.seconds_left / CONE), line_end(progress.seconds_left * CONE)
    corner = f"L{_UNITS:.1f} 0.0" if progress.seconds_left / CONE < axis_end - progress.end else ""
    return [
        element("path", class_="cone", d=f"M{x:.1f} {y:.1f}L{early}{corner}L{late}Z"),
        element("path", class_="estimate", d=f"M{x:.1f} {y:.1f}L{line_end(progress.seconds_left)}"),
    ]


def _level(level: float) -> Markup:
    y = _TOP + _HEIGHT * (1.0 - level)
    return element("line", class_="grid", x1="0%", x2="100%", y1=y, y2=y)


def _level_name(level: float) -> Markup:
    y = _TOP + _HEIGHT * (1.0 - level)
    return element("text", in_percent(level), class_="level", x=2, y=y + 12 if level else y - 4)


def _stall(stall: Span, start: float, width: float) -> Markup:
    """Return the ground of a time without progress, with its length where that fits."""
    title = f"no progress for {duration(stall.seconds)}"
    rect = element(
        "rect",
        element("title", title),
        class_="standstill",
        x=percent(start),
        width=percent(width),
        y=_TOP,
        height=_HEIGHT,
        fill=fill("stalled"),
    )
    if width < _LETTER * len(title):
        return rect
    name = element("text", title, class_="inside", x=percent(start + width / 2), y=_TOP + 16, text_anchor="middle")
    return element("g", rect, name)


def _end(progress: Progress, ratio: float) -> list[Markup]:
    """Return a point at the latest progress, or the sign of how the job ended."""
    latest = progress.latest
    y = _TOP + _HEIGHT * (1.0 - _clamped(latest or 0.0))
    if sign := mark(progress.state):
        return [label(sign, ratio, min(y + 5, _BOTTOM - 4), class_=f"mark {progress.state.value}")]
    if latest is None:
        return []
    return [element("circle", class_=f"point {progress.state.value}", cx=percent(ratio), cy=y, r=4)]


def _phase(phase: Span, start: float, width: float) -> Markup:
    name = phase.state.value
    rect = element(
        "rect",
        element("title", f"{name} for {duration(phase.seconds)}"),
        class_=f"shape {name}",
        x=percent(start),
        width=percent(max(width, 0.003)),
        y=_STRIP,
        height=_STRIP_HEIGHT,
        fill=fill(name),
    )
    if width < _LETTER * (len(name) + 2):
        return rect
    return element("g", rect, element("text", name, class_="inside", x=percent(start + 0.008), y=_STRIP + 12))
