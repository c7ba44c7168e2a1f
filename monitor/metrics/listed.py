"""How many jobs of a cluster's latest list there are of each collection in each state."""

from collections.abc import Collection, Mapping
from itertools import chain

from monitor.jobs import COMPLETED, Jobs, Place, TrackedJob
from monitor.metrics.samples import Counted


class Listed:
    """Counts the jobs of the latest list, on from those before: few jobs of a list have changed.

    Attributes:
        counts: How many jobs there are, by database, collection and state; none that is 0.
    """

    def __init__(self) -> None:
        self.counts: Mapping[Counted, int] = {}
        self._jobs = Jobs()

    def count(self, jobs: Jobs, touched: Collection[str] | None) -> None:
        """Count the jobs of a list.

        Args:
            jobs: Every job followed.
            touched: Ids of the jobs that may not be what they were when they were counted before; None for any.
        """
        before, self._jobs = self._jobs, jobs
        if touched is None:
            before, self.counts = Jobs(), {}
        counts = dict(self.counts)
        for job_id in chain(jobs.unfinished, jobs.lost) if touched is None else touched:
            was, now = _counted(before, job_id), _counted(jobs, job_id)
            if was != now:
                for counted, step in ((was, -1), (now, 1)):
                    if counted is not None:
                        counts[counted] = counts.get(counted, 0) + step
        for place in _completed_otherwise(before, jobs):
            counts[*place, COMPLETED] = jobs.completed.places.get(place, 0)
        self.counts = {counted: count for counted, count in counts.items() if count}


def _counted(jobs: Jobs, job_id: str) -> Counted | None:
    """Return what a job counts as that has not completed; None where the list leaves it out."""
    tracked: TrackedJob | None = jobs.unfinished.get(job_id) or jobs.lost.get(job_id)
    if tracked is None or tracked.missing_since is not None:
        return None
    return tracked.job.database, tracked.job.collection, tracked.job.state


def _completed_otherwise(before: Jobs, jobs: Jobs) -> Collection[Place]:
    """Return the collections of which another number of jobs has completed."""
    was, now = before.completed.places, jobs.completed.places
    if was is now:
        return ()
    return [place for place in {**was, **now} if was.get(place) != now.get(place)]
