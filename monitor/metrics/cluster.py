"""The metrics of one cluster: text that its polls keep ready."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate
from operator import attrgetter
from threading import Lock
from typing import Final, TypeVar

import msgspec

from monitor.config import Cluster
from monitor.jobs import CollectionKey, Failure, Job, Pace, Snapshot, SnapshotDiff, recent_pace
from monitor.metrics import families
from monitor.metrics.counters import ClusterState, CollectionFacts
from monitor.metrics.expectations import ExpectationSample
from monitor.metrics.families import JOB_ETA, ClusterValues, Family, JobValue, escape, label

STALE_INTERVALS: Final = 5
"""Intervals for which the jobs seen last are shown; durations of the poll that saw them, where that took longer."""

COLLECTIONS_LIMIT: Final = 10_000
"""Collections of one cluster whose finished jobs are counted, so that a server cannot fill the memory with names."""

COLLECTION_SERIES: Final = 10_000
"""Series of a cluster's collections that are always allowed: without series of jobs their sums are still wanted."""

_UNFINISHED_FAMILIES: Final = (*families.UNFINISHED_FAMILIES, *families.TRACKED_FAMILIES)
_JOB_FAMILIES: Final = (*families.PROGRESS_FAMILIES, *_UNFINISHED_FAMILIES)
_STALLED: Final = [family.name for family in _JOB_FAMILIES].index("job_stalled")
_facts: Final = attrgetter(*families.JOB_FACTS)
_NOT_HAPPENED: Final = ("not happened",)
_MOST_SERIES: Final = len(_JOB_FAMILIES) + 1  # of a job, with its time left
_MOST_COLLECTION_SERIES: Final = 18  # eight listed states, three finished ones, the rows, six of the outcome

RenderedText = TypeVar("RenderedText", "JobText", "CollectionText")

Text = tuple[Sequence[bytes], ...]
"""The lines of some families, as they are joined by a scrape."""


class ClusterText(msgspec.Struct, frozen=True, gc=False):
    """The text of a cluster, by family in the order of ``FAMILIES``.

    Attributes:
        fresh: Everything.
        stale: What stays true when the cluster cannot be polled: failures, stalled jobs, outcomes, counters, the
            cluster itself.
        fresh_until: Until when ``fresh`` is to be shown, in seconds since the epoch.
    """

    fresh: Text
    stale: Text
    fresh_until: float

    def at(self, now: float) -> Text:
        """Return what is to be shown at a time."""
        return self.fresh if now <= self.fresh_until else self.stale


class CollectionText(msgspec.Struct, frozen=True, gc=False):
    """A rendered collection: what it was rendered from, and of each family its lines."""

    facts: CollectionFacts
    lines: tuple[bytes, ...]

    @property
    def series(self) -> int:
        """The number of its series."""
        return sum(lines.count(b"\n") for lines in self.lines)


class JobText(msgspec.Struct, frozen=True, gc=False):
    """A rendered job: of each family its line, empty where it has none; labels and pace are for its time left."""

    job: Job
    lines: tuple[bytes, ...]
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
        self._unfinished: dict[str, JobText] = {}
        self._finished: dict[str, JobText] = {}
        self._is_complete = False
        self._was_scraped = False
        self._failures_shown = False
        self._cluster_facts: object = None
        self._collections: dict[CollectionKey, CollectionText] = {}
        self._transitions: list[dict[tuple[str, ...], bytes]] = []
        self._expected: tuple[ExpectationSample, ...] = ()
        self._expectation_lines: Text = ((),) * len(families.EXPECTATION_FAMILIES)
        self._render(_everything(Snapshot()), 0.0)

    def scrape(self, now: float) -> Text:
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
            self._render(_everything(self._state.snapshot), self._joined_at)

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
                self._join_jobs(now)
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
                self._join_jobs(now)
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
            self._state.throttled = {**self._state.throttled, **throttled}

    def _render(self, diff: SnapshotDiff, now: float, counted: AbstractSet[tuple[str, ...]] = frozenset()) -> None:
        """Render what has changed, and publish it.

        A fault half-way leaves the published text as it was, and the next rendering begins anew from its snapshot.
        """
        if not self._is_complete:
            diff = _everything(diff.snapshot)
        self._is_complete = False
        if diff.baseline:
            self._unfinished, self._finished = {}, {}
            self._transitions = [{} for _ in families.TRANSITION_FAMILIES]
        for job_id in diff.removed_ids:
            self._unfinished.pop(job_id, None)
            self._finished.pop(job_id, None)
        tracked = diff.snapshot.tracked
        for job in diff.changed:
            texts, others = (self._finished, self._unfinished) if job.finished else (self._unfinished, self._finished)
            if job.job_id in tracked:
                texts[job.job_id] = self._render_job(job)
            else:
                texts.pop(job.job_id, None)
            others.pop(job.job_id, None)
        if diff.changes_something:
            self._join_jobs(now)
            self._render_collections()
        else:
            self._etas = self._render_etas(now)
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

    def _render_job(self, job: Job) -> JobText:
        previous = self._unfinished.get(job.job_id)
        if previous is not None and _facts(previous.job) == _facts(job):
            labels, lasting = previous.labels, previous.lines[len(families.PROGRESS_FAMILIES) :]
        else:
            labels = f'{self._collection_labels(job.database, job.collection)},job_id="{escape(job.job_id)}"'
            by_last_label = {
                "job_id": labels,
                "state": f'{labels},state="{job.state}"',
                "reason": f'{labels},reason="{job.failure or Failure.OTHER}"',
            }
            table = families.TRACKED_FAMILIES if job.finished else _UNFINISHED_FAMILIES
            lasting = tuple([_line(family, job, by_last_label[family.labels[-1]]) for family in table])
        if job.finished:
            lines = (*[b""] * (len(_JOB_FAMILIES) - len(lasting)), *lasting)
        else:
            lines = (*[_line(family, job, labels) for family in families.PROGRESS_FAMILIES], *lasting)
        pace = recent_pace(job)
        series = len(lines) - lines.count(b"") + (pace is not None)
        return JobText(job, lines, labels, pace, series)

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
            shown, dropped = _fitting([*finished, *unfinished], room)
            unfinished, finished = shown[len(finished) :], shown[: len(finished)]
        self._job_lines = _columns([*unfinished, *finished], len(_JOB_FAMILIES))
        lasting = list(_columns(finished, len(_JOB_FAMILIES)))
        lasting[_STALLED] = tuple([text.lines[_STALLED] for text in unfinished if text.job.stalled])
        self._lasting_lines = tuple(lasting)
        self._shown, self._jobs_dropped, self._joined_at = unfinished, dropped, now
        self._etas = self._render_etas(now)

    def _render_etas(self, now: float) -> tuple[bytes]:
        name, seconds = JOB_ETA.full_name, JOB_ETA.value([text.pace for text in self._shown], now)
        lines = [
            f"{name}{{{text.labels}}} {max(0, left)}\n"
            for text, left in zip(self._shown, seconds, strict=True)
            if left is not None
        ]
        return ("".join(lines).encode(),)

    def _render_collections(self) -> None:
        """Render collections that changed; where there is no room for all, those whose latest import failed first."""
        texts, self._collections = self._collections, {}
        for key, facts in self._state.collections():
            text = texts.get(key)
            if text is None or text.facts != facts:
                labels = self._collection_labels(*key)
                lines = [family.render(labels, family.value(facts)) for family in families.COLLECTION_FAMILIES]
                text = CollectionText(facts, tuple(lines))
            self._collections[key] = text
        shown = list(self._collections.values())
        self._collections_dropped = 0
        room = max(self._state.cluster.series_per_cluster, self._collection_series)
        if len(shown) * _MOST_COLLECTION_SERIES > room:
            shown.sort(key=lambda text: not text.facts[2].last_failed)
            shown, self._collections_dropped = _fitting(shown, room)
        self._collection_lines = _columns(shown, len(families.COLLECTION_FAMILIES))

    def _render_expectations(self) -> None:
        labels = [self._collection_labels(sample.database, sample.collection) for sample in self._expected]
        self._expectation_lines = tuple(
            tuple([family.render(of, family.value(sample)) for of, sample in zip(labels, self._expected, strict=True)])
            for family in families.EXPECTATION_FAMILIES
        )

    def _collection_labels(self, database: str, collection: str) -> str:
        return f'{self._cluster_labels},database="{escape(database)}",collection="{escape(collection)}"'

    def _render_families(self, table: Iterable[Family[ClusterValues]]) -> Text:
        return tuple([(family.render(self._cluster_labels, family.value(self._state)),) for family in table])

    def _publish(self) -> None:
        """Replace the text by what is rendered, with the families of the cluster itself as they are now."""
        state = self._state
        state.series_dropped = self._jobs_dropped + self._collections_dropped
        listed, *outcomes = self._collection_lines
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
        polls = self._render_families(families.POLL_FAMILIES)
        transitions = [tuple(of.values()) for of in self._transitions]
        lasting = (*outcomes, *transitions, *self._expectation_lines, *self._cluster_lines, *polls)
        if state.paused:
            self.text = self._paused_text(lasting)
            return
        fresh_from = (state.last_success or 0.0) + self._success_duration
        self.text = ClusterText(
            fresh=(*self._job_lines, self._etas, listed, *lasting),
            stale=(*self._lasting_lines, (), (), *lasting),
            fresh_until=fresh_from + STALE_INTERVALS * max(state.interval, self._success_duration),
        )
        self._was_scraped = False

    def _paused_text(self, lasting: Text) -> ClusterText:
        """Return the text of a cluster that is not polled: counters, the cluster itself, and failures if wanted."""
        jobs = list(self._lasting_lines) if self._failures_shown else [()] * len(_JOB_FAMILIES)
        jobs[_STALLED] = ()
        kept = [
            () if family.type == "gauge" and "collection" in family.labels else lines
            for family, lines in zip(families.FAMILIES[-len(lasting) :], lasting, strict=True)
        ]
        text = (*jobs, (), (), *kept)
        return ClusterText(fresh=text, stale=text, fresh_until=0.0)


def _cluster_labels(cluster: Cluster) -> str:
    """Return the labels of each series of a cluster: its name and its own labels."""
    return ",".join([label(name, value) for name, value in {"milvus_cluster": cluster.name, **cluster.labels}.items()])


def _everything(snapshot: Snapshot) -> SnapshotDiff:
    """Return a snapshot as a change of nothing."""
    return SnapshotDiff(snapshot, None, changed=tuple(snapshot.tracked.values()))


def _line(family: Family[JobValue], job: Job, labels: str) -> bytes:
    value = family.value(job)
    return b"" if value is None else f"{family.full_name}{{{labels}}} {value}\n".encode()


def _fitting(texts: Sequence[RenderedText], room: int) -> tuple[list[RenderedText], int]:
    """Return the first texts for whose series there is room, and the number of series left out."""
    sums = list(accumulate([text.series for text in texts], initial=0))
    fitting = sum(total <= room for total in sums) - 1
    return list(texts[:fitting]), sums[-1] - sums[fitting]


def _columns(texts: Sequence[JobText] | Sequence[CollectionText], families: int) -> Text:
    """Return the lines of some texts, family by family."""
    return tuple(zip(*[text.lines for text in texts], strict=True)) if texts else ((),) * families
