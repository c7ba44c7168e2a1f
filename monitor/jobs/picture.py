"""All that is known of one cluster's jobs after a poll."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from heapq import merge
from itertools import chain
from types import MappingProxyType
from typing import Final

import msgspec

from monitor.jobs.model import COMPLETED, TERMINAL, CollectionOutcome, Job, JobState, Place, TrackedJob
from monitor.jobs.shelf import Shelf, TrackedJobs

_NONE: Final[Mapping[str, TrackedJob]] = MappingProxyType({})
_EMPTY: Final = Shelf()


class Jobs(TrackedJobs):
    """Every job followed, by id, sorted by what may still become of it. It never changes: changes make another one.

    Attributes:
        unfinished: Jobs that are under way: listed ones, and missing ones on which there is no verdict yet.
        lost: Jobs that failed or vanished, listed or not.
        completed: Completed jobs of the list.
        retired: Completed jobs that have left the list: only remembered, so that their return is no news.
    """

    __slots__ = ("completed", "lost", "retired", "unfinished")

    def __init__(
        self,
        unfinished: Mapping[str, TrackedJob] = _NONE,
        lost: Mapping[str, TrackedJob] = _NONE,
        completed: Shelf = _EMPTY,
        retired: Shelf = _EMPTY,
    ) -> None:
        self.unfinished = unfinished
        self.lost = lost
        self.completed = completed
        self.retired = retired

    def __len__(self) -> int:
        return len(self.unfinished) + len(self.lost) + len(self.completed) + len(self.retired)

    def __iter__(self) -> Iterator[str]:
        return chain(self.unfinished, self.lost, self.completed, self.retired)

    def each(self) -> Iterator[TrackedJob]:
        """Return the jobs, part by part."""
        return chain(self.unfinished.values(), self.lost.values(), self.completed.each(), self.retired.each())

    def find(self, job_id: str) -> TrackedJob | None:
        """Return a job, or None."""
        found = self.unfinished.get(job_id) or self.lost.get(job_id)
        return found or self.completed.find(job_id) or self.retired.find(job_id)

    def with_changes(self, put: Iterable[TrackedJob], taken: Iterable[TrackedJob] = ()) -> "Jobs":
        """Return the jobs as they are after some changes.

        Args:
            put: Jobs that are new or not what they were.
            taken: What they were before, where they were known, and jobs that are no longer followed.
        """
        to, off = _by_part(put), _by_part(taken)
        if not any(to) and not any(off):
            return self
        return Jobs(
            _changed(self.unfinished, to[_UNFINISHED], off[_UNFINISHED]),
            _changed(self.lost, to[_LOST], off[_LOST]),
            self.completed.with_changes(to[_COMPLETED], off[_COMPLETED]),
            self.retired.with_changes(to[_RETIRED], off[_RETIRED]),
        )

    def since(self, before: "Jobs") -> tuple[tuple[TrackedJob, ...], tuple[str, ...]]:
        """Return the jobs that are new or not what they were, and the ids of those that there are no more."""
        now, was = dict[str, TrackedJob](), dict[str, TrackedJob]()
        for here, there in ((self.unfinished, before.unfinished), (self.lost, before.lost)):
            if here is not there:
                now.update(here)
                was.update(there)
        for shelf, earlier in ((self.completed, before.completed), (self.retired, before.retired)):
            now.update(shelf.but_not(earlier))
            was.update(earlier.but_not(shelf))
        changed = tuple(tracked for job_id, tracked in now.items() if was.get(job_id) != tracked)
        return changed, tuple(job_id for job_id in was if job_id not in now)

    def after(self, job_id: str) -> Iterator[TrackedJob]:
        """Return the jobs whose ids come after one, sorted by id."""
        few = [
            tracked for tracked in chain(self.unfinished.values(), self.lost.values()) if tracked.job.job_id > job_id
        ]
        few.sort(key=_id)
        return merge(few, self.completed.after(job_id), self.retired.after(job_id), key=_id)

    def places(self) -> Iterator[Place]:
        """Return the collections of the jobs; one may come several times."""
        yield from self.completed.places
        yield from self.retired.places
        for tracked in chain(self.unfinished.values(), self.lost.values()):
            yield tracked.job.database, tracked.job.collection

    def states(self) -> Counter[JobState]:
        """Count the jobs of the list, and the unfinished ones that it leaves out, by state."""
        states = Counter([tracked.job.state for tracked in self.unfinished.values()])
        states.update([tracked.job.state for tracked in self.lost.values() if tracked.missing_since is None])
        if self.completed:
            states[JobState.COMPLETED] = len(self.completed)
        return states


class Picture(msgspec.Struct, frozen=True, gc=False, eq=False):  # noqa: PLW1641 - it holds dictionaries
    """All that is known of one cluster's jobs after a poll.

    Attributes:
        jobs: Every job followed.
        outcomes: How imports ended, by collection.
        baseline_at: When the first poll of the cluster was made, or None where that is not known.
        mark: Stands for the list that it was drawn from; None where nobody has it any more.
        said: What that list said of each job that it did not call completed.
        due_at: Up to when there is nothing to do about any job, as long as the list says the same.
        quiet: Whether it is known that nothing is to be asked of the server, as long as the list says the same.
        terms: By what the jobs were followed; by other terms, something may be due.
    """

    jobs: Jobs = msgspec.field(default_factory=Jobs)
    outcomes: Mapping[Place, CollectionOutcome] = msgspec.field(default_factory=dict)
    baseline_at: float | None = None
    mark: object = None
    said: Mapping[str, Job] = msgspec.field(default_factory=dict)
    due_at: float = 0.0
    quiet: bool = False
    terms: object = None

    def __eq__(self, other: object) -> bool:
        """Say whether the jobs and the outcomes are the same, whatever list they were drawn from."""
        if not isinstance(other, Picture):
            return NotImplemented
        return (self.jobs, self.outcomes, self.baseline_at) == (other.jobs, other.outcomes, other.baseline_at)


_UNFINISHED, _LOST, _COMPLETED, _RETIRED = range(4)


def _id(tracked: TrackedJob) -> str:
    return tracked.job.job_id


def _by_part(jobs: Iterable[TrackedJob]) -> tuple[dict[str, TrackedJob], ...]:
    """Sort jobs by the part in which they stand."""
    parts: tuple[dict[str, TrackedJob], ...] = ({}, {}, {}, {})
    unfinished, lost, completed, retired = parts
    for tracked in jobs:
        job = tracked.job
        if job.state not in TERMINAL:
            unfinished[job.job_id] = tracked
        elif job.state is not COMPLETED:
            lost[job.job_id] = tracked
        elif tracked.missing_since is None:
            completed[job.job_id] = tracked
        else:
            retired[job.job_id] = tracked
    return parts


def _changed(
    before: Mapping[str, TrackedJob], put: Mapping[str, TrackedJob], taken: Iterable[str]
) -> Mapping[str, TrackedJob]:
    """Return the jobs with some in place of, or beside, those that were there, and without others."""
    if not put and not taken:
        return before
    after = {**before, **put}
    for job_id in taken:
        if job_id not in put:
            after.pop(job_id, None)
    return after
