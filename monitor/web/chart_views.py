"""The charts of a page with the tables behind them: progress of a job, timelines and durations of imports, curves."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

import msgspec
from markupsafe import Markup

from monitor.config import Cluster
from monitor.jobs import Job, JobState
from monitor.poller import policy
from monitor.store import ProgressSample, RecordedTransition, StoredJob
from monitor.web.overview import ClusterJob
from monitor.web.progress_chart import follow_progress, progress_chart, progress_curve
from monitor.web.svg import present, swatch
from monitor.web.timeline import (
    BARS_DRAWN,
    DURATIONS_DRAWN,
    Bar,
    Window,
    duration_chart,
    job_bar,
    latest,
    median_duration,
    row_name,
    timeline,
)

_DAY: Final = 86_400.0

PERIODS: Final = (("day", "Last 24 hours", _DAY), ("week", "Last 7 days", 7 * _DAY))
"""Name, title and seconds of each timeline. Completed imports are stored for 7 days after they have left the list."""

LONGEST_PERIOD: Final = PERIODS[-1][2]

WINDOW: Final = swatch("expected")

JobKey = tuple[str, str]
"""The name of a cluster, and the id of a job."""

Samples = Mapping[JobKey, Sequence[ProgressSample]]


class Key(msgspec.Struct, frozen=True):
    """An entry of a legend: a state, its pattern, and how many imports are in it."""

    state: str
    pattern: Markup
    count: int | None = None


class ProgressRow(msgspec.Struct, frozen=True):
    """A row of the table behind a chart of progress: from when on a job had a state and a progress."""

    at: datetime
    state: JobState
    progress: float | None
    seconds: float


class ProgressView(msgspec.Struct, frozen=True):
    """The chart of a job's progress, and the table behind it, the latest first."""

    svg: Markup
    legend: list[Key]
    rows: list[ProgressRow]


class BarRow(msgspec.Struct, frozen=True):
    """A row of the table behind timelines."""

    cluster: str
    job_id: str
    row: str
    state: str
    start: datetime
    seconds: float | None
    finished: bool


class WindowRow(msgspec.Struct, frozen=True):
    """A row of the table of expected imports."""

    title: str
    row: str
    start: datetime
    end: datetime


class Timeline(msgspec.Struct, frozen=True):
    """One timeline, and which states it shows."""

    title: str
    svg: Markup
    legend: list[Key]
    hidden: int


class Timelines(msgspec.Struct, frozen=True):
    """The timelines of a page, the durations of its latest imports, and the table behind them, the latest first."""

    timelines: list[Timeline]
    durations: Markup | None
    rows: list[BarRow]
    windows: list[WindowRow]
    complete: bool


def progress_view(
    job: Job,
    cluster: Cluster,
    stored: Iterable[ProgressSample],
    steps: Iterable[RecordedTransition],
    now: float,
) -> ProgressView | None:
    """Return the chart of a job's progress, from its stored points and its transitions.

    There is none of a job that was seen only when it had finished.
    """
    transitions = [entry.transition for entry in steps]
    points = [*stored, *(ProgressSample(step.at, step.to_state, step.progress) for step in transitions)]
    progress = follow_progress(job, points, policy(cluster), now)
    if job.finished and progress.end <= progress.start:
        return None
    ends = [*(point.at for point in progress.points), progress.end]
    rows = [
        ProgressRow(datetime.fromtimestamp(point.at, UTC), point.state, point.progress, until - at)
        for point, (at, until) in zip(progress.points, pairwise(ends), strict=True)
    ]
    shown = [phase.state.value for phase in progress.phases] + ["stalled"] * bool(progress.stalls)
    legend = [Key(state, swatch(state)) for state in present(shown)]
    return ProgressView(progress_chart(progress), legend, rows[::-1])


def curves(entries: Iterable[tuple[ClusterJob, Cluster]], stored: Samples, now: float) -> Mapping[JobKey, Markup]:
    """Return the small curves of running jobs, by their clusters and ids."""
    return {
        (name, job.job_id): progress_curve(
            follow_progress(job, stored.get((name, job.job_id), ()), policy(cluster), now)
        )
        for (name, job), cluster in entries
    }


def timelines(
    cluster: str,
    finished: Sequence[StoredJob] | None,
    tracked: Iterable[ClusterJob],
    now: float,
    *,
    by_collection: bool,
    typical: float | None = None,
    windows: Sequence[Window] = (),
) -> Timelines:
    """Return the timelines of a cluster or a collection.

    Args:
        cluster: The name of the cluster.
        finished: The finished jobs, the latest ones; None while the database is away.
        tracked: The jobs that are in memory.
        now: Seconds since the epoch.
        by_collection: Whether each collection has a row.
        typical: How many seconds the imports of the collection usually take; None where that is not known.
        windows: When imports are expected.
    """
    jobs = {entry.job.job_id: entry.job for entry in finished or ()}
    jobs |= {job.job_id: job for _, job in tracked if finished is None or not job.finished or job.job_id in jobs}
    bars = latest(
        (job_bar(job, now, row_name(job.database, job.collection) if by_collection else "") for job in jobs.values()),
        len(jobs),
    )
    shown = [_timeline(period, bars, now, windows) for period in PERIODS]
    ended = [bar for bar in bars if bar.finished and bar.known_start][-DURATIONS_DRAWN:]
    in_table = [bar for bar in bars if bar.end >= now - LONGEST_PERIOD][-BARS_DRAWN:] or ended
    return Timelines(
        timelines=shown,
        durations=_durations(ended, typical, by_collection=by_collection) if ended else None,
        rows=[_bar_row(cluster, bar) for bar in in_table[::-1]],
        windows=[_window_row(window) for window in windows[::-1]],
        complete=finished is not None,
    )


def _timeline(period: tuple[str, str, float], bars: Sequence[Bar], now: float, windows: Sequence[Window]) -> Timeline:
    name, title, seconds = period
    within = [bar for bar in bars if bar.end >= now - seconds]
    drawn = within[-BARS_DRAWN:]
    states = [bar.pattern for bar in drawn]
    legend = [Key(state, swatch(state), states.count(state)) for state in present(states)]
    if any(window.end >= now - seconds and window.start <= now for window in windows):
        legend.append(Key("expected", WINDOW))
    svg = timeline(f"last-{name}", drawn, now - seconds, now, windows)
    return Timeline(title, svg, legend, len(within) - len(drawn))


def _durations(ended: Sequence[Bar], typical: float | None, *, by_collection: bool) -> Markup:
    if by_collection:  # what is usual for one collection is not for another
        return duration_chart(ended, median_duration(ended), "median")
    return duration_chart(ended, typical)


def _bar_row(cluster: str, bar: Bar) -> BarRow:
    start = datetime.fromtimestamp(bar.start, UTC)
    return BarRow(
        cluster, bar.job_id, bar.row, bar.pattern, start, bar.seconds if bar.known_start else None, bar.finished
    )


def _window_row(window: Window) -> WindowRow:
    start, end = (datetime.fromtimestamp(at, UTC) for at in (window.start, window.end))
    return WindowRow(window.title, window.row, start, end)
