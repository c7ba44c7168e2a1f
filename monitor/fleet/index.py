"""The jobs of one cluster, sorted by what they need. Made once from a picture, and only when somebody looks."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitor.jobs import JobState, Picture, TrackedJob

Found = tuple[str, TrackedJob]
"""A job with the name of its cluster."""


@dataclass(frozen=True, slots=True)
class ClusterIndex:
    """One cluster's jobs, each with the cluster's name, so that a look at many clusters only joins what is there.

    Attributes:
        name: The cluster's name.
        picture: What it was made from.
        counts: Jobs that are listed, or of which the list has yet to say what became of them, by state.
        lost: Failed and vanished jobs, however long ago.
        waiting: Unfinished jobs that need somebody: stalled, or uncommitted.
        running: The other unfinished jobs.
        stalled: How many are stalled.
        missing: How many unfinished ones the list leaves out, with no verdict yet.
    """

    name: str
    picture: Picture
    counts: Counter[JobState]
    lost: Sequence[Found]
    waiting: Sequence[Found]
    running: Sequence[Found]
    stalled: int
    missing: int

    def completed(self) -> Iterator[Found]:
        """Return the completed jobs that are still listed."""
        return ((self.name, tracked) for tracked in self.picture.jobs.completed.each())


def index_of(name: str, picture: Picture) -> ClusterIndex:
    """Return the jobs of a cluster's picture, sorted by what they need."""
    jobs = picture.jobs
    found = [(name, tracked) for tracked in jobs.unfinished.values()]
    waiting = [one for one in found if _waits(one[1])]
    return ClusterIndex(
        name,
        picture,
        counts=jobs.states(),
        lost=[(name, tracked) for tracked in jobs.lost.values()],
        waiting=waiting,
        running=[one for one in found if not _waits(one[1])] if waiting else found,
        stalled=sum([tracked.stalled for _, tracked in waiting]),
        missing=sum([tracked.missing_since is not None for tracked in jobs.unfinished.values()]),
    )


def _waits(tracked: TrackedJob) -> bool:
    return tracked.stalled or tracked.job.state is JobState.UNCOMMITTED
