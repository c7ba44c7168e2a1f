"""The charts of a page with the tables behind them; while the database is away, they show what is in memory."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar

import msgspec
from markupsafe import Markup

from monitor.config import Cluster
from monitor.jobs import Job, typical_duration
from monitor.poller import policy
from monitor.store import JobFilter, ProgressSample, RecordedTransition, StoredJob, StoreUnavailableError
from monitor.web.context import Context
from monitor.web.errors import BusyError
from monitor.web.expected_windows import expected_windows
from monitor.web.overview import ClusterJob, FleetOverview, finished_only
from monitor.web.progress import Progress, follow_progress
from monitor.web.progress_chart import progress_chart, progress_curve
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

JobKey = tuple[str, str]
"""The name of a cluster, and the id of a job."""

_T = TypeVar("_T")

Values = Callable[[], Mapping[str, Any]]
"""Makes the values of a template from what was loaded; to be called where pages are rendered."""


class Key(msgspec.Struct, frozen=True):
    """An entry of a legend: a state, its pattern, and how many imports are in it."""

    state: str
    pattern: Markup
    count: int | None = None


class ProgressView(msgspec.Struct, frozen=True):
    """The chart of a job's progress, and its table: each point with the seconds until the next, the latest first."""

    svg: Markup
    legend: list[Key]
    rows: list[tuple[ProgressSample, float]]


class Timeline(msgspec.Struct, frozen=True):
    """One timeline, and which states it shows."""

    title: str
    svg: Markup
    legend: list[Key]
    hidden: int


class Timelines(msgspec.Struct, frozen=True):
    """The timelines of a page, the durations of its latest imports, and the tables behind them, the latest first."""

    cluster: str
    timelines: list[Timeline]
    durations: Markup | None
    bars: list[Bar]
    windows: list[Window]
    complete: bool


class Charts:
    """The charts of the pages."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._fleet = context.fleet
        self._store = context.store

    async def of_search(self, search: JobFilter, overview: FleetOverview, running: Collection[ClusterJob]) -> Values:
        """Load the curves of the running jobs on a page and, if one cluster is searched, its timelines."""
        keys = [(cluster, job.job_id) for cluster, job in running]
        finished = finished_only(search) if search.cluster else None
        samples, stored = await asyncio.gather(
            self._load(lambda: self._store.samples(keys) if keys else {}),
            self._load(lambda: self._store.finished(finished, BARS_DRAWN).entries if finished else ()),
        )

        def values() -> Mapping[str, Any]:
            now = self._context.clock()
            curves = {
                (name, job.job_id): progress_curve(
                    follow_progress(job, (samples or {}).get((name, job.job_id), ()), policy(status.cluster), now)
                )
                for name, job in running
                if (status := self._fleet.cluster(name)) is not None
            }
            tracked = [job for _, job in (*overview.attention, *overview.running)]
            return {
                "curves": curves,
                "timelines": self._timelines(search.cluster, search, stored, tracked, now) if search.cluster else None,
            }

        return values

    async def of_job(self, cluster: Cluster, job: Job | None, steps: Iterable[RecordedTransition]) -> Values:
        """Load the progress of a job, which its transitions complete; None stands for one that is no longer stored."""
        if job is None:
            return lambda: {"progress_chart": None}
        key = cluster.name, job.job_id
        samples = await self._load(lambda: self._store.samples([key])) or {}
        points = [
            ProgressSample(step.at, step.to_state, step.progress) for step in (entry.transition for entry in steps)
        ]

        def values() -> Mapping[str, Any]:
            now = self._context.clock()
            progress = follow_progress(job, [*samples.get(key, ()), *points], policy(cluster), now)
            # There is no progress of a job that was seen only when it had finished.
            shown = not job.finished or progress.end > progress.start
            return {"progress_chart": _progress_view(progress) if shown else None}

        return values

    async def _load(self, load: Callable[[], _T]) -> _T | None:
        """Return what a function loads; None where the database is away, slow, or has too much to do."""
        try:
            return await asyncio.wait_for(self._context.store_pool.run(load), self._context.limits.charts_timeout)
        except (TimeoutError, BusyError, StoreUnavailableError):
            return None

    def _timelines(
        self, cluster: str, search: JobFilter, stored: Sequence[StoredJob] | None, tracked: Sequence[Job], now: float
    ) -> Timelines:
        """Return the timelines of a search in one cluster, from its stored and its tracked jobs."""
        by_collection = search.collection is None
        jobs = {entry.job.job_id: entry.job for entry in stored or ()}
        jobs |= {job.job_id: job for job in tracked if stored is None or not job.finished or job.job_id in jobs}
        bars = latest(
            (
                job_bar(job, now, row_name(job.database, job.collection) if by_collection else "")
                for job in jobs.values()
            ),
            len(jobs),
        )
        period = now - LONGEST_PERIOD, now
        expectations = self._context.monitor.expectations
        windows = expected_windows(
            expectations, cluster, (*tracked, *jobs.values()), period, by_collection=by_collection
        )
        ended = [bar for bar in bars if bar.finished and bar.known_start][-DURATIONS_DRAWN:]
        in_table = [bar for bar in bars if bar.end >= now - LONGEST_PERIOD][-BARS_DRAWN:] or ended
        return Timelines(
            cluster=cluster,
            timelines=[_timeline(period, bars, now, windows) for period in PERIODS],
            durations=self._durations(search, ended) if ended else None,
            bars=in_table[::-1],
            windows=windows[::-1],
            complete=stored is not None,
        )

    def _durations(self, search: JobFilter, ended: Sequence[Bar]) -> Markup:
        if search.collection is None:  # what is usual for one collection is not for another
            return duration_chart(ended, median_duration(ended), "median")
        status = self._fleet.cluster(search.cluster or "")
        outcomes = {} if status is None else status.snapshot.outcomes
        typical = typical_duration(outcomes.get((search.database or "", search.collection)))
        return duration_chart(ended, None if typical is None else typical.median)


def _progress_view(progress: Progress) -> ProgressView:
    ends = [*(point.at for point in progress.points), progress.end]
    rows = [(point, until - at) for point, (at, until) in zip(progress.points, pairwise(ends), strict=True)]
    shown = [phase.state.value for phase in progress.phases] + ["stalled"] * bool(progress.stalls)
    return ProgressView(progress_chart(progress), [Key(state, swatch(state)) for state in present(shown)], rows[::-1])


def _timeline(period: tuple[str, str, float], bars: Sequence[Bar], now: float, windows: Sequence[Window]) -> Timeline:
    name, title, seconds = period
    within = [bar for bar in bars if bar.end >= now - seconds]
    drawn = within[-BARS_DRAWN:]
    states = [bar.pattern for bar in drawn]
    legend = [Key(state, swatch(state), states.count(state)) for state in present(states)]
    if any(window.end >= now - seconds and window.start <= now for window in windows):
        legend.append(Key("expected", swatch("expected")))
    svg = timeline(f"last-{name}", drawn, now - seconds, now, windows)
    return Timeline(title, svg, legend, len(within) - len(drawn))
