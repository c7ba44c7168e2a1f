"""What ``watch`` shows: the jobs and the clusters as they are now, kept by whoever asks, read by whoever draws."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition
from typing import Final

from monitor.jobs import JobState

_JUST_NOW: Final = 15.0
"""Seconds for which a job that has completed before our eyes is still shown."""

_RANKS: Final = {
    JobState.FAILED: 0,
    JobState.VANISHED: 0,
    JobState.UNKNOWN: 2,
    JobState.UNCOMMITTED: 2,
    JobState.COMMITTING: 3,
    JobState.IMPORTING: 3,
    JobState.COMPLETED: 4,
    JobState.PENDING: 5,
}
_STALLED: Final = 1


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job as it is shown.

    Attributes:
        cluster: The name of its cluster.
        place: Its collection, after its database where that is known.
        job_id: Its id.
        state: Its state.
        progress: 0 to 1, or None.
        done_at: When it is done at its recent pace, in seconds since the epoch; None while that would be a guess.
        stalled: Whether it has made no progress for too long.
        reason: The server's text on a failure.
        since: Since when it has been in its state, in seconds since the epoch.
        seen_before: Whether it was seen in another state.
    """

    cluster: str
    place: str
    job_id: str
    state: JobState
    progress: float | None = None
    done_at: float | None = None
    stalled: bool = False
    reason: str = ""
    since: float = 0.0
    seen_before: bool = False

    def rank(self) -> tuple[int, float, str, str]:
        """Return what puts jobs in order: problems first, the latest first; then those that have gone farthest."""
        rank = _STALLED if self.stalled else _RANKS[self.state]
        return rank, -self.since if rank <= _STALLED else -(self.progress or 0.0), self.cluster, self.job_id

    def is_problem(self) -> bool:
        """Say whether somebody has to look at it."""
        return self.stalled or self.state in (JobState.FAILED, JobState.VANISHED)

    def is_shown(self, now: float) -> bool:
        """Say whether it has a line: a completed one only if it has completed just now, before our eyes."""
        return self.state is not JobState.COMPLETED or (self.seen_before and now - self.since < _JUST_NOW)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The board at one moment.

    Attributes:
        jobs: Every job, by cluster and id.
        clusters: Why each cluster is down; empty for one that is up, None for one that was not asked yet.
        note: What is wrong with the asking itself, or what it leaves out; empty where there is nothing to say.
    """

    jobs: Mapping[tuple[str, str], JobLine] = field(default_factory=dict)
    clusters: Mapping[str, str | None] = field(default_factory=dict)
    note: str = ""

    def counts(self) -> Counter[JobState]:
        """Count the jobs by state."""
        return Counter(line.state for line in self.jobs.values())


class Board:
    """Jobs and clusters, written by some threads and read by one.

    Args:
        clock: Seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self._jobs: dict[str, dict[str, JobLine]] = {}
        self._clusters: dict[str, str | None] = {}
        self._note = ""
        self._changes = 0
        self._changed = Condition()

    def show_clusters(self, clusters: Mapping[str, str | None]) -> None:
        """Put these clusters, and no others, on the board; see `Snapshot.clusters`."""
        with self._changing():
            self._clusters = dict(clusters)
            self._jobs = {name: jobs for name, jobs in self._jobs.items() if name in clusters}

    def show_cluster(self, name: str, why: str | None) -> None:
        """Say whether a cluster is up."""
        with self._changing():
            self._clusters[name] = why

    def show_jobs(self, lines: Iterable[JobLine], cluster: str | None = None) -> None:
        """Put these jobs in place of those of a cluster, or of all."""
        with self._changing():
            if cluster is None:
                self._jobs = {}
            else:
                self._jobs.pop(cluster, None)
            for line in lines:
                self._jobs.setdefault(line.cluster, {})[line.job_id] = line

    def show_job(self, line: JobLine) -> None:
        """Put one job in place of what it was."""
        with self._changing():
            self._jobs.setdefault(line.cluster, {})[line.job_id] = line

    def remove_job(self, cluster: str, job_id: str) -> None:
        """Take a job off the board."""
        with self._changing():
            self._jobs.get(cluster, {}).pop(job_id, None)

    def tell(self, note: str) -> None:
        """Say what is wrong with the asking itself or is left out by it, or nothing."""
        with self._changing():
            self._note = note

    def wait(self, seconds: float, seen: int) -> int:
        """Wait until there were more changes than `seen`, or so long at most, and return how many there were."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes > seen, seconds)
            return self._changes

    def snapshot(self) -> Snapshot:
        """Return the board as it is now."""
        with self._changed:
            jobs = {(name, job_id): line for name, lines in self._jobs.items() for job_id, line in lines.items()}
            return Snapshot(jobs, dict(self._clusters), self._note)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._changed:
            yield
            self._changes += 1
            self._changed.notify_all()
