"""The metrics of one cluster: text that its polls keep ready."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import inf
from threading import Lock
from typing import Final

import msgspec

from monitor.config import Cluster
from monitor.jobs import Snapshot, SnapshotDiff
from monitor.metrics import families
from monitor.metrics.collection_texts import CollectionTexts
from monitor.metrics.counters import ClusterState
from monitor.metrics.expectations import ExpectationSample
from monitor.metrics.families import ClusterValues, Family, label
from monitor.metrics.job_texts import JobTexts
from monitor.metrics.texts import Text, collection_labels

STALE_INTERVALS: Final = 5
"""Intervals for which the jobs seen last are shown; durations of the poll that saw them, where that took longer."""

COLLECTIONS_LIMIT: Final = 10_000
"""Collections of one cluster whose finished jobs are counted, so that a server cannot fill the memory with names."""

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: without series of jobs their sums are still wanted."""

_NOT_HAPPENED: Final = ("not happened",)

ScrapedText = tuple[Text, tuple[bytes, ...]]
"""The lines of ``FAMILIES_IN_PIECES`` and of ``WHOLE_FAMILIES``, as a scrape joins them."""


class ClusterText(msgspec.Struct, frozen=True, gc=False):
    """The text of a cluster, by family in the order of ``FAMILIES``.

    Attributes:
        jobs: The jobs as they were seen last, with their times left, and the numbers of listed jobs.
        lasting_jobs: What stays true of the jobs when the cluster cannot be polled: failures, stalled jobs.
        lasting: The other families in pieces, which stay true as well: outcomes, counters.
        cluster: The cluster itself.
        fresh_until: Until when the jobs are to be shown as they were seen last, in seconds since the epoch.
    """

    jobs: Text
    lasting_jobs: Text
    lasting: Text
    cluster: tuple[bytes, ...]
    fresh_until: float

    def at(self, now: float) -> ScrapedText:
        """Return what is to be shown at a time."""
        jobs = self.jobs if now <= self.fresh_until else (*self.lasting_jobs, (), ())
        return (*jobs, *self.lasting), self.cluster


class ClusterMetrics:
    """Counts what polls find and keeps ``text`` ready for the next scrape.

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
        self._cluster_labels = _cluster_labels(cluster)
        self._state = ClusterState(cluster, failure_kinds, cluster.interval, cluster.interval)
        self._collections_limit = collections_limit
        self._collection_series = collection_series
        self._success_duration = 0.0
        self._jobs = JobTexts()
        self._collections = CollectionTexts()
        self._is_complete = False
        self._was_scraped = False
        self._failures_shown = False
        self._cluster_facts: object = None
        self._transitions: list[dict[tuple[str, ...], bytes]] = []
        self._expected: tuple[ExpectationSample, ...] = ()
        self._expectation_lines: Text = ((),) * len(families.EXPECTATION_FAMILIES)
        self._render(_everything(Snapshot()), 0.0)

    def scrape(self, now: float) -> ScrapedText:
        """Return what is to be shown at a time."""
        self._was_scraped = True
        return self.text.at(now)

    def reconfigure(self, cluster: Cluster) -> None:
        """Apply changed settings; what was counted and seen stays."""
        with self._lock:
            self._state.use(cluster)
            self._cluster_labels = _cluster_labels(cluster)
            self._collections.clear()
            self._render_expectations()
            self._render(_everything(self._state.snapshot), self._jobs.joined_at)

    def restore(self, snapshot: Snapshot, now: float) -> None:
        """Show a snapshot of the store: after a restart what lasts of it, until the next poll."""
        with self._lock:
            self._state.snapshot = snapshot
            keys = {(job.database, job.collection) for job in snapshot.tracked.values()} | snapshot.outcomes.keys()
            self._state.add_collections(sorted(keys), self._collections_limit)
            self._render(_everything(snapshot), now)

    def take_over(self, snapshot: Snapshot, now: float) -> None:
        """Show a snapshot that another monitor has stored, like `restore`; what was counted stays.

        How our own polls went when we last had the cluster says nothing about it now.
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
            duration: Seconds it took.
            bad_records: Records of its list that were no jobs.
        """
        with self._lock:
            state = self._state
            state.up, state.failure = True, ""
            state.last_success = now
            state.last_poll_duration = self._success_duration = duration
            state.polls += 1
            state.bad_records += bad_records
            state.snapshot = diff.snapshot
            self._begin_poll()
            state.add_collections([(job.database, job.collection) for job in diff.changed], self._collections_limit)
            state.left_early += diff.left_early
            state.count_rows(diff)
            self._render(diff, now, state.count_transitions(diff.transitions) | state.count_pending(diff))

    def poll_failed(self, kind: str, *, now: float, duration: float) -> None:
        """Show that a poll failed; the jobs stay, but for failures whose retention has passed."""
        with self._lock:
            state = self._state
            state.up, state.failure = False, kind
            state.last_poll_duration = duration
            state.polls += 1
            state.failures[kind] += 1
            self._begin_poll()
            if self._is_complete:
                self._jobs.join(self._state.cluster, now)
            self._publish()

    def poll_missed(self, polls: int) -> None:
        """Count polls that did not run."""
        with self._lock:
            self._state.polls_missed += polls
            self._publish()

    def set_interval(self, interval: float, in_force: float) -> None:
        """Set the seconds from one poll to the next, by which jobs become stale, and those in force, if polls fail."""
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
        """Show the cluster as one that is not polled, until `resume`: no trouble of it is shown any more.

        Args:
            now: Seconds since the epoch.
            show_failures: Whether jobs that failed, vanished or lost rows are shown for the rest of their retention.
        """
        with self._lock:
            state = self._state
            state.paused, self._failures_shown = True, show_failures
            state.up, state.failure = None, ""
            if self._is_complete:
                self._jobs.join(self._state.cluster, now)
            self._publish()

    def resume(self) -> None:
        """Show the cluster as one that is polled again; its jobs as they were seen last."""
        with self._lock:
            if self._state.paused:
                self._state.paused = False
                self._publish()

    def set_missing(self, *, missing: bool) -> None:
        """Set whether the latest list of the cluster's discovery lacks it."""
        with self._lock:
            if missing != self._state.missing:
                self._state.missing = missing
                self._publish()

    def set_expectations(self, samples: Sequence[ExpectationSample]) -> None:
        """Show the states of the expected imports."""
        with self._lock:
            if (*samples,) != self._expected:
                self._expected = (*samples,)
                self._render_expectations()
                self._publish()

    def set_usage(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Set what has been asked of the API so far, by endpoint; the next poll shows it."""
        with self._lock:
            self._state.requests = {**self._state.requests, **requests}
            if throttled:
                self._state.throttled = {**self._state.throttled, **throttled}

    def _render(self, diff: SnapshotDiff, now: float, counted: AbstractSet[tuple[str, ...]] = frozenset()) -> None:
        """Render what has changed, and publish it.

        A fault half-way leaves the published text as it was, and the next rendering begins anew from its snapshot.
        """
        if not self._is_complete:
            diff = _everything(diff.snapshot)
        self._is_complete = False
        if diff.baseline:
            self._transitions = [{} for _ in families.TRANSITION_FAMILIES]
        self._jobs.update(diff, self._cluster_labels)
        if diff.changes_something:
            self._jobs.join(self._state.cluster, now)
            self._render_collections()
        else:
            self._jobs.render_etas(now)
        if diff.baseline or counted:
            self._render_transitions(counted)
        self._is_complete = True
        self._publish()

    def _begin_poll(self) -> None:
        if self._state.begin_poll(scraped=self._was_scraped):
            self._render_collections()

    def _render_transitions(self, counted: AbstractSet[tuple[str, ...]]) -> None:
        """Render what was counted; what has not happened yet is one text, rendered again when some of it happens."""
        for family, lines in zip(families.TRANSITION_FAMILIES, self._transitions, strict=True):
            rendered = len(lines)
            zeros = []
            for labels, value in family.value(self._state):
                if value == 0:
                    zeros.append((labels, value))
                elif labels in counted or labels not in lines:
                    lines[labels] = family.render(self._cluster_labels, ((labels, value),))
            if not rendered or len(lines) > rendered:
                lines[_NOT_HAPPENED] = family.render(self._cluster_labels, zeros)

    def _render_collections(self) -> None:
        room = max(self._state.cluster.series_per_cluster, self._collection_series)
        self._collections.render(self._state.collections(), self._cluster_labels, room)

    def _render_expectations(self) -> None:
        names = [(sample.database, sample.collection) for sample in self._expected]
        labels = [collection_labels(self._cluster_labels, *name) for name in names]
        self._expectation_lines = tuple(
            tuple([family.render(of, family.value(sample)) for of, sample in zip(labels, self._expected, strict=True)])
            for family in families.EXPECTATION_FAMILIES
        )

    def _render_families(self, table: Iterable[Family[ClusterValues]]) -> tuple[bytes, ...]:
        return tuple([family.render(self._cluster_labels, family.value(self._state)) for family in table])

    def _publish(self) -> None:
        """Replace the text by what is rendered, with the families of the cluster itself as they are now."""
        state = self._state
        state.series_dropped = self._jobs.dropped + self._collections.dropped
        listed, *outcomes = self._collections.lines
        counted = (
            state.series_dropped,
            state.polls_missed,
            state.failures.total(),
            state.bad_records,
            state.throttled,
            state.left_early,
        )
        intervals = (state.interval_in_force, state.stretch)
        facts = (state.cluster, state.up, state.failure, state.paused, state.missing, *intervals, *counted)
        if facts != self._cluster_facts:
            self._cluster_facts = facts
            self._cluster_lines = self._render_families(families.CLUSTER_FAMILIES)
        whole = (*self._cluster_lines, *self._render_families(families.POLL_FAMILIES))
        transitions = [tuple(of.values()) for of in self._transitions]
        lasting = (*outcomes, *transitions, *self._expectation_lines)
        if state.paused:
            self.text = self._paused_text(lasting, whole)
            return
        fresh_from = (state.last_success or 0.0) + self._success_duration
        fresh_until = fresh_from + STALE_INTERVALS * max(state.interval, self._success_duration)
        jobs = (*self._jobs.lines, self._jobs.etas, listed)
        self.text = ClusterText(jobs, self._jobs.lasting_lines, lasting, whole, fresh_until)
        self._was_scraped = False

    def _paused_text(self, lasting: Text, whole: tuple[bytes, ...]) -> ClusterText:
        """Return the text of a cluster that is not polled: counters, the cluster itself, and failures if wanted."""
        jobs = self._jobs.while_paused(show_failures=self._failures_shown)
        kept = [
            () if family.type == "gauge" and "collection" in family.labels else lines
            for family, lines in zip(families.FAMILIES_IN_PIECES[-len(lasting) :], lasting, strict=True)
        ]
        return ClusterText((), jobs, tuple(kept), whole, fresh_until=-inf)


def _cluster_labels(cluster: Cluster) -> str:
    """Return the labels of each series of a cluster: its name and its own labels."""
    return ",".join([label(name, value) for name, value in {"milvus_cluster": cluster.name, **cluster.labels}.items()])


def _everything(snapshot: Snapshot) -> SnapshotDiff:
    """Return a snapshot as a change of nothing."""
    return SnapshotDiff(snapshot, None, changed=tuple(snapshot.tracked.values()))
