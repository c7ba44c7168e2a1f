"""The metrics of one cluster: text that its polls keep ready."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from threading import Lock
from typing import Final

import msgspec

from monitor.config import Cluster
from monitor.jobs import CollectionOutcome, Failure, Job, Pace, Snapshot, SnapshotDiff, recent_pace
from monitor.metrics import families
from monitor.metrics.counters import ClusterState
from monitor.metrics.families import JOB_ETA, ClusterValues, Family, escape, label

STALE_INTERVALS: Final = 5
"""Intervals for which the jobs seen last are shown; durations of the poll that saw them, where that took longer."""

COLLECTIONS_LIMIT: Final = 10_000
"""Collections of one cluster whose finished jobs are counted, so that a server cannot fill the memory with names."""

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: without series of jobs their sums are still wanted."""

_JOB_FAMILIES: Final = (*families.UNFINISHED_FAMILIES, *families.TRACKED_FAMILIES)
_MOST_SERIES: Final = len(_JOB_FAMILIES) + 1  # of a job, with its time left
_NO_OUTCOME: Final = CollectionOutcome()

Text = tuple[bytes, ...]
"""The lines of some families, one bytes object each."""


class ClusterText(msgspec.Struct, frozen=True, gc=False):
    """The text of a cluster, by family in the order of ``FAMILIES``.

    Attributes:
        fresh: Everything.
        stale: What stays true when the cluster cannot be polled: failures, outcomes, counters, the cluster itself.
        fresh_until: Until when ``fresh`` is to be shown, in seconds since the epoch.
    """

    fresh: Text
    stale: Text
    fresh_until: float

    def at(self, now: float) -> Text:
        """Return what is to be shown at a time."""
        return self.fresh if now <= self.fresh_until else self.stale


class JobText(msgspec.Struct, frozen=True, gc=False):
    """A rendered job: of each family its line, empty where it has none; labels and pace are for its time left."""

    job: Job
    lines: tuple[str, ...]
    labels: str
    pace: Pace | None
    series: int


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
        failure_kinds: Iterable[str],
        *,
        collections_limit: int = COLLECTIONS_LIMIT,
        collection_series: int = COLLECTION_SERIES,
    ) -> None:
        self._lock = Lock()  # polls, the scheduler and reloads call from threads of their own
        self._cluster_label = label("milvus_cluster", cluster.name)
        self._state = ClusterState(cluster, Counter(dict.fromkeys(failure_kinds, 0)))
        self._collections_limit = collections_limit
        self._collection_series = collection_series
        self._success_duration = 0.0
        self._unfinished: dict[str, JobText] = {}
        self._finished: dict[str, JobText] = {}
        self._is_complete = False
        self._render(_everything(Snapshot()), 0.0)

    def reconfigure(self, cluster: Cluster) -> None:
        """Apply changed settings; what was counted and seen stays."""
        with self._lock:
            self._state.cluster = cluster
            self._render(_everything(self._state.snapshot), self._joined_at)

    def restore(self, snapshot: Snapshot, now: float) -> None:
        """Show a snapshot of the store: after a restart what lasts of it, until the next poll."""
        with self._lock:
            self._state.snapshot = snapshot
            keys = {(job.database, job.collection) for job in snapshot.tracked.values()} | snapshot.outcomes.keys()
            self._state.add_collections(sorted(keys), self._collections_limit)
            self._render(_everything(snapshot), now)

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
            state.up = True
            state.last_success = now
            state.last_poll_duration = self._success_duration = duration
            state.polls += 1
            state.bad_records += bad_records
            state.snapshot = diff.snapshot
            state.add_collections([(job.database, job.collection) for job in diff.changed], self._collections_limit)
            state.count_transitions(diff.transitions)
            self._render(diff, now)

    def poll_failed(self, kind: str, *, now: float, duration: float) -> None:
        """Show that a poll failed; the jobs stay, but for failures whose retention has passed."""
        with self._lock:
            state = self._state
            state.up = False
            state.last_poll_duration = duration
            state.polls += 1
            state.failures[kind] += 1
            if self._is_complete:
                self._join_jobs(now)
            self._publish()

    def poll_missed(self, polls: int) -> None:
        """Count polls that did not run."""
        with self._lock:
            self._state.polls_missed += polls
            self._publish()

    def set_usage(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Set what has been asked of the API so far, by endpoint; the next poll shows it."""
        with self._lock:
            self._state.requests = {**self._state.requests, **requests}
            self._state.throttled = {**self._state.throttled, **throttled}

    def _render(self, diff: SnapshotDiff, now: float) -> None:
        """Render what has changed, and publish it.

        A fault half-way leaves the published text as it was, and the next rendering begins anew from its snapshot.
        """
        if not self._is_complete:
            diff = _everything(diff.snapshot)
        self._is_complete = False
        if diff.baseline:
            self._unfinished, self._finished = {}, {}
        for job_id in diff.removed_ids:
            self._unfinished.pop(job_id, None)
            self._finished.pop(job_id, None)
        for job in diff.changed:
            texts, others = (self._finished, self._unfinished) if job.finished else (self._unfinished, self._finished)
            others.pop(job.job_id, None)
            if job.job_id in diff.snapshot.tracked:
                texts[job.job_id] = self._render_job(job)
            else:
                texts.pop(job.job_id, None)
        if diff.changes_something:
            self._join_jobs(now)
            self._render_collections()
        else:
            self._etas = self._render_etas(now)
        if diff.baseline or diff.transitions:
            self._transitions = self._render_families(families.TRANSITION_FAMILIES)
        self._is_complete = True
        self._publish()

    def _render_job(self, job: Job) -> JobText:
        collection = f'{self._cluster_label},database="{escape(job.database)}",collection="{escape(job.collection)}"'
        labels = f'{collection},job_id="{escape(job.job_id)}"'
        by_last_label = {
            "job_id": labels,
            "state": f'{labels},state="{job.state}"',
            "reason": f'{labels},reason="{job.failure or Failure.OTHER}"',
        }
        lines = [""] * len(families.UNFINISHED_FAMILIES) if job.finished else []
        for family in families.TRACKED_FAMILIES if job.finished else _JOB_FAMILIES:
            value = family.value(job)
            line = "" if value is None else f"{family.full_name}{{{by_last_label[family.labels[-1]]}}} {value}\n"
            lines.append(line)
        pace = recent_pace(job)
        series = len(lines) - lines.count("") + (pace is not None)
        return JobText(job, tuple(lines), labels, pace, series)

    def _join_jobs(self, now: float) -> None:
        """Join the lines of jobs; where there is no room for all, of failures, then stalled jobs, then the oldest."""
        room = self._state.cluster.series_per_cluster
        shown_since = now - self._state.cluster.failed_retention
        unfinished = list(self._unfinished.values())
        finished = [text for text in self._finished.values() if (text.job.finished_at or 0.0) > shown_since]
        dropped = 0
        most = (len(unfinished) + len(finished)) * _MOST_SERIES
        if most > room and sum(text.series for text in (*finished, *unfinished)) > room:
            finished.sort(key=lambda text: text.job.finished_at or 0.0, reverse=True)
            unfinished.sort(key=lambda text: (not text.job.stalled, text.job.first_seen, text.job.job_id))
            sums = list(accumulate([text.series for text in (*finished, *unfinished)], initial=0))
            fitting = sum(total <= room for total in sums) - 1
            unfinished = unfinished[: max(0, fitting - len(finished))]
            finished = finished[:fitting]
            dropped = sums[-1] - sums[fitting]
        self._unfinished_lines, self._finished_lines = _join(unfinished), _join(finished)
        self._shown, self._jobs_dropped, self._joined_at = unfinished, dropped, now
        self._etas = self._render_etas(now)

    def _render_etas(self, now: float) -> bytes:
        lines = [
            f"{JOB_ETA.full_name}{{{text.labels}}} {seconds}\n"
            for text in self._shown
            if text.pace is not None and (seconds := JOB_ETA.value(text.pace, now)) is not None
        ]
        return _encode("".join(lines))

    def _render_collections(self) -> None:
        """Render the series of collections; where there is no room for all, those whose latest import failed first."""
        state = self._state
        samples = [list(family.value(state)) for family in families.COLLECTION_FAMILIES]
        room = max(state.cluster.series_per_cluster, self._collection_series)
        self._collections_dropped = 0
        if sum(map(len, samples)) > room:
            series = Counter((labels[0], labels[1]) for family in samples for labels, _ in family)
            outcomes = state.snapshot.outcomes
            keys = sorted(series, key=lambda key: not outcomes.get(key, _NO_OUTCOME).last_failed)
            fitting = sum(total <= room for total in accumulate(series[key] for key in keys))
            shown = set[tuple[str, ...]](keys[:fitting])
            samples = [[sample for sample in family if sample[0][:2] in shown] for family in samples]
            self._collections_dropped = series.total() - sum(map(len, samples))
        rendered = zip(families.COLLECTION_FAMILIES, samples, strict=True)
        self._collections = tuple(_encode(family.render(self._cluster_label, of)) for family, of in rendered)

    def _render_families(self, table: Iterable[Family[ClusterValues]]) -> Text:
        return tuple([_encode(family.render(self._cluster_label, family.value(self._state))) for family in table])

    def _publish(self) -> None:
        """Replace the text by what is rendered, with the families of the cluster itself as they are now."""
        state = self._state
        state.series_dropped = self._jobs_dropped + self._collections_dropped
        jobs = map(bytes.__add__, self._unfinished_lines, self._finished_lines)
        listed, *outcomes = self._collections
        lasting = (*outcomes, *self._transitions, *self._render_families(families.CLUSTER_FAMILIES))
        fresh_from = (state.last_success or 0.0) + self._success_duration
        self.text = ClusterText(
            fresh=(*jobs, self._etas, listed, *lasting),
            stale=(*self._finished_lines, b"", b"", *lasting),
            fresh_until=fresh_from + STALE_INTERVALS * max(state.cluster.interval, self._success_duration),
        )


def _everything(snapshot: Snapshot) -> SnapshotDiff:
    """Return a snapshot as a change of nothing."""
    return SnapshotDiff(snapshot, None, changed=tuple(snapshot.tracked.values()))


def _join(texts: Sequence[JobText]) -> Text:
    """Return the lines of some jobs, family by family."""
    if not texts:
        return (b"",) * len(_JOB_FAMILIES)
    return tuple([_encode("".join(lines)) for lines in zip(*[text.lines for text in texts], strict=True)])


def _encode(text: str) -> bytes:
    """Return a text as it is sent; half a character becomes ``?``."""
    return text.encode("utf-8", "replace")
