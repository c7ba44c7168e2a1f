"""The metrics of one cluster, rendered by its polls and kept ready as text."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import add
from threading import Lock
from typing import Final

from monitor.config import Cluster
from monitor.jobs import Difference, Picture
from monitor.metrics.counts import Counts
from monitor.metrics.jobs import render_jobs
from monitor.metrics.samples import Line, Memo, labels, line, lines_by_family

STALE_AFTER: Final = 5
"""Intervals for which the jobs seen last are shown; durations of a poll, where that is longer than the interval."""


@dataclass(frozen=True, slots=True)
class ClusterText:
    """A cluster's text, by family in the order of ``FAMILIES``; it is replaced as a whole.

    Attributes:
        fresh: Everything.
        stale: What stays true when the cluster cannot be reached: failures, outcomes, counters, the cluster itself.
        fresh_until: Until when ``fresh`` is to be shown, in seconds since the epoch.
    """

    fresh: tuple[bytes, ...]
    stale: tuple[bytes, ...]
    fresh_until: float

    def at(self, now: float) -> tuple[bytes, ...]:
        """Return what is to be shown at a time."""
        return self.fresh if now <= self.fresh_until else self.stale


class ClusterMetrics:
    """Takes what each poll found and keeps ``text`` ready.

    Args:
        cluster: The cluster.
        failure_kinds: Every kind of failure of a poll; each is exported from the start.
    """

    def __init__(self, cluster: Cluster, failure_kinds: Iterable[str]) -> None:
        self._lock = Lock()
        self._cluster = cluster
        self._counts = Counts(failure_kinds)
        self._picture = Picture()
        self._up: bool | None = None
        self._last_success: float | None = None
        self._success_took = 0.0
        self._last_duration: float | None = None
        self._memo = Memo()
        self._show(0.0)

    def reconfigure(self, cluster: Cluster) -> None:
        """Take over changed settings; what was counted and seen stays."""
        with self._lock:
            self._cluster = cluster
            self._show(self._seen_at)

    def restored(self, picture: Picture, now: float) -> None:
        """Show what is known from before a restart: what lasts, until the next poll."""
        with self._lock:
            self._picture = picture
            self._counts.know(picture.jobs.places())
            self._show(now)

    def polled(self, difference: Difference, *, now: float, duration: float, bad_records: int) -> None:
        """Show what a successful poll saw.

        Args:
            difference: What it changed.
            now: When it was made.
            duration: Seconds it took.
            bad_records: Records of its list that were no jobs.
        """
        with self._lock:
            self._up = True
            self._last_success = now
            self._last_duration = self._success_took = duration
            self._counts.polls += 1
            was, self._picture = self._picture, difference.picture
            same = self._picture.jobs is was.jobs and self._picture.outcomes is was.outcomes
            if same and now < self._jobs.until and not bad_records:
                self.text = self._with_vitals()
                return
            self._counts.bad_records += bad_records
            self._counts.know((one.job.database, one.job.collection) for one in difference.changed)
            self._counts.count(difference.transitions)
            self._show(now)

    def failed(self, kind: str, *, now: float, duration: float) -> None:
        """Show that a poll failed; the picture stays.

        Args:
            kind: The kind of error.
            now: When it was made.
            duration: Seconds it took.
        """
        with self._lock:
            self._up = False
            self._last_duration = duration
            self._counts.polls += 1
            self._counts.failures[kind] += 1
            self._show(now)

    def missed(self, polls: int) -> None:
        """Count polls that did not run."""
        with self._lock:
            self._counts.missed += polls
            self._show_counts()

    def used(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Take over what was asked of the API so far, by endpoint; the next poll shows it."""
        with self._lock:
            self._counts.used(requests, throttled)

    def _show(self, now: float) -> None:
        """Render everything, as it is at a time."""
        self._seen_at = now
        self._jobs = render_jobs(self._cluster, self._picture, self._counts, now, self._memo)
        self._show_counts()

    def _show_counts(self) -> None:
        """Render what does not depend on the jobs, beside them."""
        self._who = labels(("milvus_cluster", self._cluster.name))
        lines = chain(self._counts.rare(self._who), self._about(self._cluster), self._counts.durations(self._who))
        self._lasting = tuple(map(add, self._jobs.lasting, lines_by_family(lines)))
        self._all = tuple(map(add, self._jobs.present, self._lasting))
        self.text = self._with_vitals()

    def _with_vitals(self) -> ClusterText:
        """Return what was rendered, with what every poll changes: families in which nothing else stands."""
        fresh, stale = list(self._all), list(self._lasting)
        vitals = [*self._counts.steady(self._who), *self._vitals()]
        for index, _ in vitals:
            fresh[index] = stale[index] = b""
        for index, text in vitals:
            fresh[index] = stale[index] = stale[index] + text.encode(errors="replace")
        seen_at = (self._last_success or 0.0) + self._success_took
        return ClusterText(
            fresh=tuple(fresh),
            stale=tuple(stale),
            fresh_until=seen_at + STALE_AFTER * max(self._cluster.interval, self._success_took),
        )

    def _vitals(self) -> Iterator[Line]:
        optional = (
            ("cluster_up", None if self._up is None else int(self._up)),
            ("cluster_last_success_timestamp_seconds", self._last_success),
            ("cluster_last_poll_duration_seconds", self._last_duration),
        )
        return (line(family, self._who, value) for family, value in optional if value is not None)

    def _about(self, cluster: Cluster) -> Iterator[Line]:
        cluster_id = cluster.cluster_id or "/".join(part for part in (cluster.project_id, cluster.region_id) if part)
        info = labels(("cluster_id", cluster_id), ("url", cluster.url), ("api", cluster.api))
        yield line("cluster_info", f"{self._who},{info}", 1)
        yield line("cluster_series_dropped", self._who, self._jobs.dropped)
