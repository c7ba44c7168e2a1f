"""The metrics of one cluster: counts what its polls bring, and keeps the text for the next scrape ready."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final

from monitor.config import Cluster
from monitor.jobs import Snapshot, SnapshotDiff
from monitor.metrics.cluster_text import RenderedCluster, ScrapedText
from monitor.metrics.counters import ClusterState
from monitor.metrics.expectations import ExpectationSample

COLLECTIONS_LIMIT: Final = 10_000
"""Collections of a cluster whose finished jobs are counted, so that a server cannot fill the memory with names."""

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: without series of jobs their sums are still wanted."""


class ClusterMetrics:
    """Counts what polls bring and keeps ``text`` ready for the next scrape.

    Args:
        cluster: The cluster.
        failure_kinds: Every kind of failure of a poll; each is exported from the start.
        collections_limit: Collections whose finished jobs are counted.
        collection_series: Series of collections that are allowed where ``series_per_cluster`` is smaller.
    """

    def __init__(
        self,
        cluster: Cluster,
        failure_kinds: Sequence[str],
        *,
        collections_limit: int = COLLECTIONS_LIMIT,
        collection_series: int = COLLECTION_SERIES,
    ) -> None:
        self._lock = Lock()  # polls, the scheduler and reloads call from threads of their own
        self._state = ClusterState(cluster, failure_kinds, cluster.interval, cluster.interval)
        self._rendered = RenderedCluster(self._state, collection_series)
        self._collections_limit = collections_limit
        self._rendered.render_all(0.0)
        self._publish()

    def scrape(self, now: float) -> ScrapedText:
        """Return the lines to be shown at a time."""
        self._was_scraped = True
        return self.text.at(now)

    def reconfigure(self, cluster: Cluster) -> None:
        """Apply changed settings; what was counted and seen stays."""
        with self._lock:
            self._state.use(cluster)
            self._rendered.relabel()
            self._publish()

    def restore(self, snapshot: Snapshot, now: float) -> None:
        """Show a snapshot of the store: after a restart, only the parts that stay true until the next poll."""
        with self._lock:
            self._state.snapshot = snapshot
            keys = {(job.database, job.collection) for job in snapshot.tracked.values()} | snapshot.outcomes.keys()
            self._state.add_collections(sorted(keys), self._collections_limit)
            self._rendered.render_all(now)
            self._publish()

    def take_over(self, snapshot: Snapshot, now: float) -> None:
        """Show a snapshot that another monitor has stored, like `restore`; what was counted stays.

        How our own polls went when this monitor last had the cluster says nothing about the cluster now.
        """
        with self._lock:
            state = self._state
            state.up, state.failure = None, ""
            state.last_success = state.last_poll_duration = None
        self.restore(snapshot, now)

    def poll_succeeded(self, diff: SnapshotDiff, *, now: float, duration: float, bad_records: int) -> None:
        """Show what a successful poll changed in the snapshot that is shown.

        Args:
            diff: The change.
            now: When the poll was made.
            duration: Seconds that the poll took.
            bad_records: Records of the list that were no jobs.
        """
        with self._lock:
            state = self._state
            state.up, state.failure = True, ""
            state.last_success = now
            state.last_poll_duration = state.success_duration = duration
            state.polls += 1
            state.bad_records += bad_records
            state.snapshot = diff.snapshot
            self._begin_poll()
            state.add_collections([(job.database, job.collection) for job in diff.changed], self._collections_limit)
            state.left_early += diff.left_early
            state.count_rows(diff)
            counted = state.count_transitions(diff.transitions) | state.count_pending(diff)
            self._rendered.render_changes(diff, now, counted)
            self._publish()

    def poll_failed(self, kind: str, *, now: float, duration: float) -> None:
        """Show that a poll failed; the jobs stay, but for failures whose retention has passed."""
        with self._lock:
            state = self._state
            state.up, state.failure = False, kind
            state.last_poll_duration = duration
            state.polls += 1
            state.failures[kind] += 1
            self._begin_poll()
            self._rendered.drop_expired(now)
            self._publish()

    def poll_missed(self, polls: int) -> None:
        """Count polls that did not run."""
        with self._lock:
            self._state.polls_missed += polls
            self._publish()

    def set_interval(self, interval: float, in_force: float) -> None:
        """Set the seconds from poll to poll, by which jobs become stale, and the interval in force if polls fail."""
        with self._lock:
            state = self._state
            if (interval, in_force) != (state.interval, state.interval_in_force):
                state.interval, state.interval_in_force = interval, in_force
                self._publish()

    def set_stretch(self, factor: float) -> None:
        """Set by which factor the interval is longer than configured, because of the rate of the API key."""
        with self._lock:
            if factor != self._state.stretch:
                self._state.stretch = factor
                self._publish()

    def pause(self, now: float, *, show_failures: bool) -> None:
        """Show until `resume` that the cluster is not polled, and no trouble of the cluster any more.

        Args:
            now: Seconds since the epoch.
            show_failures: Whether jobs that failed, vanished or lost rows are shown for the rest of their retention.
        """
        with self._lock:
            state = self._state
            state.paused, state.failures_shown = True, show_failures
            state.up, state.failure = None, ""
            self._rendered.drop_expired(now)
            self._publish()

    def resume(self) -> None:
        """Show that the cluster is polled again, and its jobs as they were seen last."""
        with self._lock:
            if self._state.paused:
                self._state.paused = False
                self._publish()

    def set_missing(self, *, missing: bool) -> None:
        """Set whether the cluster is missing from the latest list of its discovery."""
        with self._lock:
            if missing != self._state.missing:
                self._state.missing = missing
                self._publish()

    def set_expectations(self, samples: Sequence[ExpectationSample]) -> None:
        """Show the states of the expected imports."""
        with self._lock:
            if (*samples,) != self._rendered.expected:
                self._rendered.render_expected((*samples,))
                self._publish()

    def set_usage(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Set the requests and seconds of waiting so far, by endpoint; the next poll shows them."""
        with self._lock:
            self._state.requests = {**self._state.requests, **requests}
            if throttled:
                self._state.throttled = {**self._state.throttled, **throttled}

    def _begin_poll(self) -> None:
        if self._state.begin_poll(scraped=self._was_scraped):
            self._rendered.render_collections()

    def _publish(self) -> None:
        self.text = self._rendered.join()
        self._was_scraped = False
