"""The jobs of one cluster, sorted by what they need. Made only when somebody looks."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

import msgspec

from monitor.jobs import Jobs, JobState, TrackedJob


class ClusterIndex(msgspec.Struct, frozen=True, gc=False):
    """One cluster's jobs, so that a look at many clusters only joins what is there.

    Attributes:
        jobs: What it was made from.
        counts: Jobs that are listed, or of which the list has yet to say what became of them, by state.
        waiting: Unfinished jobs that need somebody: stalled, or uncommitted.
        running: The other unfinished jobs.
        stalled: How many are stalled.
        missing: How many unfinished ones the list leaves out, with no verdict yet.
    """

    jobs: Jobs
    counts: Counter[JobState]
    waiting: Sequence[TrackedJob]
    running: Sequence[TrackedJob]
    stalled: int
    missing: int

    @property
    def lost(self) -> Collection[TrackedJob]:
        """Failed and vanished jobs, however long ago."""
        return self.jobs.lost.values()

    @property
    def completed(self) -> Iterator[TrackedJob]:
        """The completed jobs that are still listed."""
        return self.jobs.completed.each()


def index_of(jobs: Jobs) -> ClusterIndex:
    """Return the jobs of a cluster, sorted by what they need."""
    unfinished = list(jobs.unfinished.values())
    waiting = [one for one in unfinished if _waits(one)]
    return ClusterIndex(
        jobs,
        counts=jobs.states(),
        waiting=waiting,
        running=[one for one in unfinished if not _waits(one)],
        stalled=sum([one.stalled for one in waiting]),
        missing=sum([one.missing_since is not None for one in unfinished]),
    )


def _waits(tracked: TrackedJob) -> bool:
    return tracked.stalled or tracked.job.state is JobState.UNCOMMITTED
