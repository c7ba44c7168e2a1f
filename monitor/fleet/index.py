"""The jobs of one cluster, sorted by what they need. Made once from a picture, and only when somebody looks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.jobs import JobState, Picture, TrackedJob

Found = tuple[str, TrackedJob]
"""A job with the name of its cluster."""

_LOST = (JobState.FAILED, JobState.VANISHED)


@dataclass(frozen=True, slots=True)
class ClusterIndex:
    """One cluster's jobs, each with the cluster's name, so that a look at many clusters only joins what is there.

    Attributes:
        picture: What it was made from.
        counts: Jobs that are listed, or of which the list has yet to say what became of them, by state.
        lost: Failed and vanished jobs, however long ago.
        waiting: Unfinished jobs that need somebody: stalled, or uncommitted.
        running: The other unfinished jobs.
        completed: Completed jobs that are still listed.
        stalled: How many are stalled.
        missing: How many unfinished ones the list leaves out, with no verdict yet.
    """

    picture: Picture
    counts: Counter[JobState]
    lost: Sequence[Found]
    waiting: Sequence[Found]
    running: Sequence[Found]
    completed: Sequence[Found]
    stalled: int
    missing: int
    _ordered: list[str] = field(default_factory=list)

    def ordered(self) -> list[str]:
        """Return the ids of all jobs, sorted."""
        if len(self._ordered) != len(self.picture.jobs):
            self._ordered[:] = sorted(self.picture.jobs)
        return self._ordered


def index_of(name: str, picture: Picture) -> ClusterIndex:
    """Return the jobs of a cluster's picture, sorted by what they need."""
    counts: Counter[JobState] = Counter()
    lost: list[Found] = []
    waiting: list[Found] = []
    running: list[Found] = []
    completed: list[Found] = []
    stalled = missing = 0
    for tracked in picture.jobs.values():
        state, absent = tracked.job.state, tracked.missing_since is not None
        if state in _LOST:
            lost.append((name, tracked))
        elif state is JobState.COMPLETED:
            if not absent:
                completed.append((name, tracked))
        else:
            missing += absent
            stalled += tracked.stalled
            (waiting if tracked.stalled or state is JobState.UNCOMMITTED else running).append((name, tracked))
            counts[state] += 1
            continue
        if not absent:
            counts[state] += 1
    return ClusterIndex(picture, counts, lost, waiting, running, completed, stalled, missing)
