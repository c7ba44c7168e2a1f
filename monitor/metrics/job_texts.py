"""The series of a cluster's jobs: each is rendered when its job changes, and all that there is room for are joined."""

from operator import attrgetter
from typing import Final

import msgspec

from monitor.config import Cluster
from monitor.jobs import Failure, Job, Pace, SnapshotDiff, recent_pace
from monitor.metrics import families
from monitor.metrics.families import JOB_ETA, Family, JobValue, escape
from monitor.metrics.texts import Text, by_family, collection_labels, fitting

_UNFINISHED_FAMILIES: Final = (*families.UNFINISHED_FAMILIES, *families.TRACKED_FAMILIES)
_FAMILIES: Final = (*families.PROGRESS_FAMILIES, *_UNFINISHED_FAMILIES)
_STALLED: Final = [family.name for family in _FAMILIES].index("job_stalled")
_MOST_SERIES: Final = len(_FAMILIES) + 1  # of a job, with its time left
_facts: Final = attrgetter(*families.JOB_FACTS)


class JobText(msgspec.Struct, frozen=True, gc=False):
    """A rendered job: of each family its line, empty where it has none; labels and pace are for its time left."""

    job: Job
    lines: tuple[bytes, ...]
    labels: str
    pace: Pace | None
    series: int


class JobTexts:
    """Keeps the tracked jobs of a cluster rendered.

    Attributes:
        lines: The lines of all jobs that there is room for, without the time left.
        lasting_lines: What stays true of them when the cluster cannot be polled: failures, and which are stalled.
        etas: The time left of each.
        dropped: The number of series that there is no room for.
        joined_at: For which time the lines were joined.
    """

    def __init__(self) -> None:
        self._unfinished: dict[str, JobText] = {}
        self._finished: dict[str, JobText] = {}
        self._shown: list[JobText] = []
        self.lines = self.lasting_lines = by_family((), len(_FAMILIES))
        self.etas = (b"",)
        self.dropped = 0
        self.joined_at = 0.0

    def update(self, diff: SnapshotDiff, cluster_labels: str) -> None:
        """Render the jobs that have changed; at a baseline, only those of its snapshot stay."""
        if diff.baseline:
            self._unfinished, self._finished = {}, {}
        for job_id in diff.removed_ids:
            self._unfinished.pop(job_id, None)
            self._finished.pop(job_id, None)
        tracked = diff.snapshot.tracked
        for job in diff.changed:
            texts, others = (self._finished, self._unfinished) if job.finished else (self._unfinished, self._finished)
            if job.job_id in tracked:
                texts[job.job_id] = self._render(job, cluster_labels)
            else:
                texts.pop(job.job_id, None)
            others.pop(job.job_id, None)

    def join(self, cluster: Cluster, now: float) -> None:
        """Join the lines of jobs; where there is no room for all, of failures, then stalled jobs, then the oldest."""
        room = cluster.series_per_cluster
        shown_since = now - cluster.failed_retention
        unfinished = list(self._unfinished.values())
        finished = [text for text in self._finished.values() if (text.job.finished_at or 0.0) > shown_since]
        dropped = 0
        most = (len(unfinished) + len(finished)) * _MOST_SERIES
        if most > room and sum(text.series for text in (*finished, *unfinished)) > room:
            finished.sort(key=lambda text: text.job.finished_at or 0.0, reverse=True)
            unfinished.sort(key=lambda text: (not text.job.stalled, text.job.first_seen, text.job.job_id))
            shown, dropped = fitting([*finished, *unfinished], room)
            unfinished, finished = shown[len(finished) :], shown[: len(finished)]
        self.lines = by_family([*unfinished, *finished], len(_FAMILIES))
        lasting = list(by_family(finished, len(_FAMILIES)))
        lasting[_STALLED] = tuple([text.lines[_STALLED] for text in unfinished if text.job.stalled])
        self.lasting_lines = tuple(lasting)
        self._shown, self.dropped, self.joined_at = unfinished, dropped, now
        self.render_etas(now)

    def render_etas(self, now: float) -> None:
        """Render the time left of the jobs that are shown, which depends on the clock."""
        name, seconds = JOB_ETA.full_name, JOB_ETA.value([text.pace for text in self._shown], now)
        lines = [
            f"{name}{{{text.labels}}} {max(0, left)}\n"
            for text, left in zip(self._shown, seconds, strict=True)
            if left is not None
        ]
        self.etas = ("".join(lines).encode(),)

    def while_paused(self, *, show_failures: bool) -> Text:
        """Return the lines that are shown while the cluster is not polled: of failures, if wanted."""
        if not show_failures:
            return by_family((), len(_FAMILIES))
        return (*self.lasting_lines[:_STALLED], (), *self.lasting_lines[_STALLED + 1 :])

    def _render(self, job: Job, cluster_labels: str) -> JobText:
        previous = self._unfinished.get(job.job_id)
        if previous is not None and _facts(previous.job) == _facts(job):
            labels, lasting = previous.labels, previous.lines[len(families.PROGRESS_FAMILIES) :]
        else:
            of_collection = collection_labels(cluster_labels, job.database, job.collection)
            labels = f'{of_collection},job_id="{escape(job.job_id)}"'
            by_last_label = {
                "job_id": labels,
                "state": f'{labels},state="{job.state}"',
                "reason": f'{labels},reason="{job.failure or Failure.OTHER}"',
            }
            table = families.TRACKED_FAMILIES if job.finished else _UNFINISHED_FAMILIES
            lasting = tuple([_line(family, job, by_last_label[family.labels[-1]]) for family in table])
        if job.finished:
            lines = (*[b""] * (len(_FAMILIES) - len(lasting)), *lasting)
        else:
            lines = (*[_line(family, job, labels) for family in families.PROGRESS_FAMILIES], *lasting)
        pace = recent_pace(job)
        series = len(lines) - lines.count(b"") + (pace is not None)
        return JobText(job, lines, labels, pace, series)


def _line(family: Family[JobValue], job: Job, labels: str) -> bytes:
    value = family.value(job)
    return b"" if value is None else f"{family.full_name}{{{labels}}} {value}\n".encode()
