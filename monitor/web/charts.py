"""Loads what the charts of a page show; while the database is away, they show what is in memory."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

from monitor.config import Cluster
from monitor.jobs import Job, typical_duration
from monitor.store import JobFilter, RecordedTransition, Store, StoredJob, StoreUnavailableError, TransitionFilter
from monitor.web.chart_views import LONGEST_PERIOD, JobKey, Samples, curves, progress_view, timelines
from monitor.web.context import Context
from monitor.web.errors import BusyError
from monitor.web.expected_windows import expected_windows
from monitor.web.overview import ClusterJob, finished_only
from monitor.web.progress_chart import POINTS_DRAWN
from monitor.web.timeline import BARS_DRAWN

_T = TypeVar("_T")

Values = Callable[[], Mapping[str, Any]]
"""Makes the values of a template from what was loaded; to be called where pages are rendered."""


class Charts:
    """The charts of the pages."""

    def __init__(self, context: Context) -> None:
        self._monitor = context.monitor
        self._fleet = context.fleet
        self._store = context.store
        self._clock = context.clock
        self._memory_pool = context.memory_pool
        self._store_pool = context.store_pool
        self._timeout = context.limits.charts_timeout

    async def of_search(self, search: JobFilter, page: Callable[[int], slice]) -> Values:
        """Load the curves of running jobs and, if one cluster is searched, the timelines of what is found.

        Args:
            search: Which imports the page shows.
            page: Returns which of so many running jobs are on the page.
        """
        overview = await self._memory_pool.run(lambda: self._fleet.overview(search))
        shown = overview.running[page(len(overview.running))]
        name = search.cluster

        def load() -> tuple[Samples, Sequence[StoredJob] | None]:
            samples = load_samples(self._store, [(cluster, job.job_id) for cluster, job in shown])
            return samples, None if name is None else load_finished(self._store, search)

        nothing: tuple[Samples, Sequence[StoredJob] | None] = ({}, None)
        samples, finished = await self._load(load, nothing)

        def values() -> Mapping[str, Any]:
            now = self._clock()
            tracked = [*overview.attention, *overview.running]
            shown_timelines = None
            if name is not None:
                by_collection = search.collection is None
                shown_timelines = timelines(
                    name,
                    finished,
                    tracked,
                    now,
                    by_collection=by_collection,
                    typical=self._typical(name, search),
                    windows=expected_windows(
                        self._monitor.expectations,
                        name,
                        chain((job for _, job in tracked), (entry.job for entry in finished or ())),
                        (now - LONGEST_PERIOD, now),
                        by_collection=by_collection,
                    ),
                )
            shown_curves = curves(self._with_clusters(shown), samples, now)
            return {"curves": shown_curves, "timelines": shown_timelines}

        return values

    async def of_job(self, cluster: Cluster, job: Job | None) -> Values:
        """Load the progress of a job; there is no chart of one that is no longer stored."""
        if job is None:
            return lambda: {"progress_chart": None}
        key = cluster.name, job.job_id

        def load() -> tuple[Samples, Sequence[RecordedTransition]]:
            steps = self._store.transitions(TransitionFilter(cluster=cluster.name, job_id=job.job_id), POINTS_DRAWN)
            return load_samples(self._store, [key]), steps.entries

        nothing: tuple[Samples, Sequence[RecordedTransition]] = ({}, ())
        samples, steps = await self._load(load, nothing)

        def values() -> Mapping[str, Any]:
            shown = progress_view(job, cluster, samples.get(key, ()), steps, self._clock())
            return {"progress_chart": shown}

        return values

    async def _load(self, load: Callable[[], _T], otherwise: _T) -> _T:
        """Return what a function loads, or something else where the database is slow or has too much to do."""
        try:
            return await asyncio.wait_for(self._store_pool.run(load), self._timeout)
        except (TimeoutError, BusyError):
            return otherwise

    def _typical(self, cluster: str, search: JobFilter) -> float | None:
        """Return the seconds that imports of the searched collection usually take, None where that is not known."""
        status = self._fleet.cluster(cluster)
        if status is None or search.collection is None or search.database is None:
            return None
        typical = typical_duration(status.snapshot.outcomes.get((search.database, search.collection)))
        return None if typical is None else typical.median

    def _with_clusters(self, entries: Iterable[ClusterJob]) -> Iterator[tuple[ClusterJob, Cluster]]:
        for name, job in entries:
            if (status := self._fleet.cluster(name)) is not None:
                yield (name, job), status.cluster


def load_samples(store: Store, keys: Collection[JobKey]) -> Samples:
    """Return the stored points of some jobs; none while the database is away."""
    try:
        return store.samples(keys) if keys else {}
    except StoreUnavailableError:
        return {}


def load_finished(store: Store, search: JobFilter) -> Sequence[StoredJob] | None:
    """Return the finished jobs for the timelines, the latest ones; None while the database is away."""
    wanted = finished_only(search)
    if wanted is None:
        return ()
    try:
        return store.finished(wanted, BARS_DRAWN).entries
    except StoreUnavailableError:
        return None
