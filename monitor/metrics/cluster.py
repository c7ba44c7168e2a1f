"""The metrics of one cluster, rendered by its polls and kept ready as text."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from monitor.config import Cluster
from monitor.jobs import Difference, Picture
from monitor.metrics.counts import Counts
from monitor.metrics.jobs import JobSeries
from monitor.metrics.samples import INDEX, by_family, labels, line

STALE_AFTER: Final = 5
"""Intervals for which the jobs seen last are shown; durations of the poll that saw them, where that took longer."""

_TRANSITIONS: Final = INDEX["job_transitions_total"]
_DURATIONS: Final = INDEX["job_duration_seconds"]


@dataclass(frozen=True, slots=True)
class ClusterText:
    """A cluster's text; it is replaced as a whole.

    Attributes:
        fresh: All of jobs and collections, by family in the order of ``JOB_FAMILIES``.
        stale: What of it stays true when the cluster cannot be reached: failures, outcomes, counters.
        about: The cluster itself, by family in the order of ``CLUSTER_FAMILIES``.
        fresh_until: Until when ``fresh`` is to be shown, in seconds since the epoch.
    """

    fresh: tuple[bytes, ...]
    stale: tuple[bytes, ...]
    about: tuple[bytes, ...]
    fresh_until: float

    def at(self, now: float) -> tuple[bytes, ...]:
        """Return what is to be shown at a time, by family in the order of ``FAMILIES``."""
        return (self.fresh if now <= self.fresh_until else self.stale) + self.about


class ClusterMetrics:
    """Takes what each poll found and keeps ``text`` ready.

    Args:
        cluster: The cluster.
        failure_kinds: Every kind of failure of a poll; each is exported from the start.
    """

    def __init__(self, cluster: Cluster, failure_kinds: Iterable[str]) -> None:
        self._lock = Lock()
        self._cluster = cluster
        self._who = labels(("milvus_cluster", cluster.name))
        self._info = _info(cluster, self._who)
        self._counts = Counts(self._who, failure_kinds)
        self._picture = Picture()
        self._rendered: Picture | None = None
        self._up: bool | None = None
        self._last_success: float | None = None
        self._success_took = 0.0
        self._last_duration: float | None = None
        self._show(0.0)

    def reconfigure(self, cluster: Cluster) -> None:
        """Take over changed settings; what was counted and seen stays."""
        with self._lock:
            self._cluster = cluster
            self._info = _info(cluster, self._who)
            self._show(self._rendered_for)

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
            was_up, self._up = self._up, True
            self._last_success = now
            self._last_duration = self._success_took = duration
            self._counts.polls += 1
            was, self._picture = self._rendered, difference.picture
            same = was is not None and self._picture.jobs is was.jobs and self._picture.outcomes is was.outcomes
            if same and was_up and now < self._jobs.until and not bad_records:
                self._show_cluster()
                return
            self._counts.bad_records += bad_records
            self._counts.know([(one.job.database, one.job.collection) for one in difference.changed])
            self._counts.count(difference.transitions)
            self._show(now, _touched(difference) if difference.previous is was else None)

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
            self._counts.fail(kind)
            if self._rendered is None:  # rendering the jobs has failed: the next poll that succeeds tries it again
                self._show_rare()
            else:
                self._show(now)

    def missed(self, polls: int) -> None:
        """Count polls that did not run."""
        with self._lock:
            self._counts.missed += polls
            self._show(self._rendered_for)

    def used(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Take over what was asked of the API so far, by endpoint; the next poll shows it."""
        with self._lock:
            self._counts.used(requests, throttled)

    def _show(self, now: float, touched: Collection[str] | None = None) -> None:
        """Render everything, as it is at a time; of the jobs, those touched may have changed, where these are known.

        What is rendered goes on from what was; where that has failed half-way, it begins anew.
        """
        if self._rendered is None:
            self._series, touched = JobSeries(self._who), None
        self._rendered = None
        self._rendered_for = now
        counts, cluster = self._counts, self._cluster
        self._jobs = self._series.render(cluster, self._picture, counts.finished, now, touched)
        lasting = (*self._jobs.lasting, (_TRANSITIONS, counts.transitions), (_DURATIONS, counts.durations))
        self._stale = by_family(lasting)
        self._fresh = by_family((*self._jobs.present, *lasting))
        self._rendered = self._picture
        self._show_rare()

    def _show_rare(self) -> None:
        """Render what most polls leave as it is of the cluster itself, beside the jobs as they are rendered."""
        counts, up = self._counts, self._up
        self._rare = (
            b"" if up is None else line("cluster_up", self._who, int(up)),
            self._info,
            line("cluster_series_dropped", self._who, self._jobs.dropped),
            line("polls_missed_total", self._who, counts.missed),
            line("bad_records_total", self._who, counts.bad_records),
        )
        self._show_cluster()

    def _show_cluster(self) -> None:
        """Render the cluster itself, of which every poll changes something, beside the jobs as they are rendered."""
        who, counts = self._who, self._counts
        up, info, dropped, missed, bad_records = self._rare
        success, duration = self._last_success, self._last_duration
        about = (
            up,
            info,
            b"" if success is None else line("cluster_last_success_timestamp_seconds", who, success),
            b"" if duration is None else line("cluster_last_poll_duration_seconds", who, duration),
            dropped,
            line("polls_total", who, counts.polls),
            missed,
            counts.failures,
            bad_records,
            counts.requests(),
            counts.throttled,
        )
        fresh_from = (success or 0.0) + self._success_took
        fresh_until = fresh_from + STALE_AFTER * max(self._cluster.interval, self._success_took)
        self.text = ClusterText(self._fresh, self._stale, about, fresh_until)


def _touched(difference: Difference) -> Collection[str]:
    """Return the ids of the jobs that are not what they were, each once."""
    return dict.fromkeys([*[one.job.job_id for one in difference.changed], *difference.removed])


def _info(cluster: Cluster, who: str) -> bytes:
    """Return the line that says which cluster it is."""
    cluster_id = cluster.cluster_id or "/".join(part for part in (cluster.project_id, cluster.region_id) if part)
    info = labels(("cluster_id", cluster_id), ("url", cluster.url), ("api", cluster.api))
    return line("cluster_info", f"{who},{info}", 1)
