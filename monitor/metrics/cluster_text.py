"""The text of one cluster: jobs, collections and counters are rendered as they change, then joined."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from math import inf
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
"""Intervals for which the jobs seen last are shown; durations of the poll that saw them, where the poll took longer."""

_NOT_HAPPENED: Final = ("not happened",)  # in place of the labels of a transition

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
        """Return the lines to be shown at a time."""
        jobs = self.jobs if now <= self.fresh_until else (*self.lasting_jobs, (), ())
        return (*jobs, *self.lasting), self.cluster


class RenderedCluster:
    """Keeps the parts of a cluster's text rendered.

    Args:
        state: What the families of the cluster are computed from.
        collection_series: Series of collections that are allowed where ``series_per_cluster`` is smaller.

    Attributes:
        expected: The expected imports that are rendered.
    """

    def __init__(self, state: ClusterState, collection_series: int) -> None:
        self._state = state
        self._collection_series = collection_series
        self._cluster_labels = _cluster_labels(state.cluster)
        self._jobs = JobTexts()
        self._collections = CollectionTexts()
        self._transitions: list[dict[tuple[str, ...], bytes]] = []
        self._expectation_lines: Text = ((),) * len(families.EXPECTATION_FAMILIES)
        self._cluster_facts: object = None
        self._is_complete = False
        self.expected: tuple[ExpectationSample, ...] = ()

    def render_changes(
        self, diff: SnapshotDiff, now: float, counted: AbstractSet[tuple[str, ...]] = frozenset()
    ) -> None:
        """Render what a poll has changed; after a fault half-way, the next rendering starts from its whole snapshot.

        Args:
            diff: The change.
            now: When the poll was made.
            counted: The labels of the transitions and durations that the poll has counted.
        """
        if not self._is_complete:
            diff = _everything(diff.snapshot)
        self._is_complete = False
        if diff.baseline:
            self._transitions = [{} for _ in families.TRANSITION_FAMILIES]
        self._jobs.update(diff, self._cluster_labels)
        if diff.changes_something:
            self._jobs.join(self._state.cluster, now)
            self.render_collections()
        else:
            self._jobs.render_etas(now)
        if diff.baseline or counted:
            self._render_transitions(counted)
        self._is_complete = True

    def render_all(self, now: float) -> None:
        """Render all jobs, collections and counters as they are now."""
        self.render_changes(_everything(self._state.snapshot), now)

    def relabel(self) -> None:
        """Render everything with the labels of the cluster's changed settings."""
        self._cluster_labels = _cluster_labels(self._state.cluster)
        self._collections.clear()
        self.render_expected(self.expected)
        self.render_all(self._jobs.joined_at)

    def drop_expired(self, now: float) -> None:
        """Leave out the failures whose retention has passed since the latest poll that succeeded."""
        if self._is_complete:
            self._jobs.join(self._state.cluster, now)

    def render_collections(self) -> None:
        """Render the collections whose counts have changed."""
        room = max(self._state.cluster.series_per_cluster, self._collection_series)
        self._collections.render(self._state.collections(), self._cluster_labels, room)

    def render_expected(self, samples: tuple[ExpectationSample, ...]) -> None:
        """Render the expected imports."""
        self.expected = samples
        names = [(sample.database, sample.collection) for sample in samples]
        labels = [collection_labels(self._cluster_labels, *name) for name in names]
        self._expectation_lines = tuple(
            tuple([family.render(of, family.value(sample)) for of, sample in zip(labels, samples, strict=True)])
            for family in families.EXPECTATION_FAMILIES
        )

    def join(self) -> ClusterText:
        """Return the text of what is rendered, with the families of the cluster itself as they are now."""
        state = self._state
        state.series_dropped = self._jobs.dropped + self._collections.dropped
        listed, *outcomes = self._collections.lines
        transitions = [tuple(lines.values()) for lines in self._transitions]
        lasting = (*outcomes, *transitions, *self._expectation_lines)
        whole = (*self._render_cluster(), *self._render_families(families.POLL_FAMILIES))
        if state.paused:
            return self._join_paused(lasting, whole)
        fresh_from = (state.last_success or 0.0) + state.success_duration
        fresh_until = fresh_from + STALE_INTERVALS * max(state.interval, state.success_duration)
        jobs = (*self._jobs.lines, self._jobs.etas, listed)
        return ClusterText(jobs, self._jobs.lasting_lines, lasting, whole, fresh_until)

    def _join_paused(self, lasting: Text, whole: tuple[bytes, ...]) -> ClusterText:
        """Return the text of a cluster that is not polled: counters, the cluster itself, and failures if wanted."""
        jobs = self._jobs.while_paused(show_failures=self._state.failures_shown)
        kept = [
            () if family.type == "gauge" and "collection" in family.labels else lines
            for family, lines in zip(families.FAMILIES_IN_PIECES[-len(lasting) :], lasting, strict=True)
        ]
        return ClusterText((), jobs, tuple(kept), whole, fresh_until=-inf)

    def _render_cluster(self) -> tuple[bytes, ...]:
        """Render the families of the cluster that most polls do not change, unless they are the same as before."""
        state = self._state
        facts = (
            state.cluster,
            state.up,
            state.failure,
            state.paused,
            state.missing,
            state.interval_in_force,
            state.stretch,
            state.series_dropped,
            state.polls_missed,
            state.failures.total(),
            state.bad_records,
            state.throttled,
            state.left_early,
        )
        if facts != self._cluster_facts:
            self._cluster_facts = facts
            self._cluster_lines = self._render_families(families.CLUSTER_FAMILIES)
        return self._cluster_lines

    def _render_transitions(self, counted: AbstractSet[tuple[str, ...]]) -> None:
        """Render what was counted; all transitions that have not happened yet are a single text until they happen."""
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

    def _render_families(self, table: Iterable[Family[ClusterValues]]) -> tuple[bytes, ...]:
        return tuple([family.render(self._cluster_labels, family.value(self._state)) for family in table])


def _cluster_labels(cluster: Cluster) -> str:
    """Return the labels of each series of a cluster: its name and its own labels."""
    return ",".join([label(name, value) for name, value in {"milvus_cluster": cluster.name, **cluster.labels}.items()])


def _everything(snapshot: Snapshot) -> SnapshotDiff:
    """Return a whole snapshot as a change, as of a baseline."""
    return SnapshotDiff(snapshot, None, changed=tuple(snapshot.tracked.values()))
