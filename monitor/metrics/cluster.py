"""The metrics of one cluster, rendered by its polls and kept ready as text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Final

from monitor.config import Cluster
from monitor.jobs import Difference, Picture
from monitor.metrics.counts import Counts
from monitor.metrics.jobs import add_jobs
from monitor.metrics.samples import Samples, labels

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
        self._last_poll = 0.0
        self._last_success: float | None = None
        self._success_took = 0.0
        self._last_duration: float | None = None
        self._dropped = 0
        self._present: tuple[bytes, ...] = ()
        self._lasting: tuple[bytes, ...] = ()
        self.text = self._rendered()

    def reconfigure(self, cluster: Cluster) -> None:
        """Take over changed settings; what was counted and seen stays."""
        with self._lock:
            self._cluster = cluster
            self.text = self._rendered()

    def restored(self, picture: Picture, now: float) -> None:
        """Show what is known from before a restart: what lasts, until the next poll."""
        with self._lock:
            self._last_poll = max(now, self._last_poll)
            self._picture = picture
            self._counts.know(picture)
            self.text = self._rendered()

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
            self._last_poll = self._last_success = now
            self._last_duration = self._success_took = duration
            self._picture = difference.picture
            self._counts.polls += 1
            self._counts.bad_records += bad_records
            self._counts.know(difference.picture)
            self._counts.count(difference.transitions)
            self.text = self._rendered()

    def failed(self, kind: str, *, now: float, duration: float) -> None:
        """Show that a poll failed; the picture stays.

        Args:
            kind: The kind of error.
            now: When it was made.
            duration: Seconds it took.
        """
        with self._lock:
            self._up = False
            self._last_poll = now
            self._last_duration = duration
            self._counts.polls += 1
            self._counts.failures[kind] += 1
            self.text = self._rendered()

    def missed(self, polls: int) -> None:
        """Count polls that did not run."""
        with self._lock:
            self._counts.missed += polls
            self.text = self._rendered(jobs_too=False)

    def used(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Take over what was asked of the API so far, by endpoint; the next poll shows it."""
        with self._lock:
            self._counts.used(requests, throttled)

    def _rendered(self, *, jobs_too: bool = True) -> ClusterText:
        """Render the counters, and the jobs where they may have changed."""
        if jobs_too:
            present, lasting = Samples(), Samples()
            self._dropped = add_jobs(
                self._cluster, self._picture, self._counts, self._last_poll, present=present, lasting=lasting
            )
            self._present, self._lasting = present.text(), lasting.text()
        own = Samples()
        self._counts.add_to(own, self._cluster.name)
        self._add_cluster(own, self._dropped)
        stale = tuple(jobs + counters for jobs, counters in zip(self._lasting, own.text(), strict=True))
        seen_at = (self._last_success or 0.0) + self._success_took
        return ClusterText(
            fresh=tuple(now + always for now, always in zip(self._present, stale, strict=True)),
            stale=stale,
            fresh_until=seen_at + STALE_AFTER * max(self._cluster.interval, self._success_took),
        )

    def _add_cluster(self, samples: Samples, dropped: int) -> None:
        cluster = self._cluster
        who = labels(("milvus_cluster", cluster.name))
        cluster_id = cluster.cluster_id or "/".join(part for part in (cluster.project_id, cluster.region_id) if part)
        info = labels(("cluster_id", cluster_id), ("url", cluster.url), ("api", cluster.api))
        samples.add("cluster_info", f"{who},{info}", 1)
        samples.add("cluster_series_dropped", who, dropped)
        optional = (
            ("cluster_up", None if self._up is None else int(self._up)),
            ("cluster_last_success_timestamp_seconds", self._last_success),
            ("cluster_last_poll_duration_seconds", self._last_duration),
        )
        for family, value in optional:
            if value is not None:
                samples.add(family, who, value)
