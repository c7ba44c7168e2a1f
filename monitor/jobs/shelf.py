"""Completed jobs, packed: nearly all jobs of a cluster are, and nothing happens to them any more.

A tracked job takes some 500 bytes; on a shelf it takes less than 100. They stand there sorted by id, a few in each
block, so that some of them are found, put there or taken away without touching the others. To write a block anew costs
much the same for one job as for many, so the latest changes lie in front of the blocks until there are enough of them.
"""

import marshal
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from itertools import chain, compress, repeat
from typing import Any, Final

from monitor.jobs.model import Job, JobState, Place, TrackedJob

BLOCK: Final = 32
"""Jobs of a block; one with twice as many is divided."""

LATEST: Final = 8
"""Changes that wait until blocks are written anew; with more, they are."""

Row = tuple[Any, ...]


class TrackedJobs(Mapping[str, TrackedJob]):
    """Tracked jobs by id, of which a look at all is far cheaper than a look at each."""

    __slots__ = ()

    @abstractmethod
    def each(self) -> Iterator[TrackedJob]:
        """Return the jobs, one after the other."""

    @abstractmethod
    def find(self, job_id: str) -> TrackedJob | None:
        """Return a job, or None."""

    def __getitem__(self, job_id: str) -> TrackedJob:
        found = self.find(job_id)
        if found is None:
            raise KeyError(job_id)
        return found

    def values(self) -> ValuesView[TrackedJob]:
        """Return the jobs."""
        return _Values(self)

    def items(self) -> ItemsView[str, TrackedJob]:
        """Return the jobs with their ids."""
        return _Items(self)


class _Values(ValuesView[TrackedJob]):
    _mapping: TrackedJobs

    def __iter__(self) -> Iterator[TrackedJob]:
        return self._mapping.each()


class _Items(ItemsView[str, TrackedJob]):
    _mapping: TrackedJobs

    def __iter__(self) -> Iterator[tuple[str, TrackedJob]]:
        return ((tracked.job.job_id, tracked) for tracked in self._mapping.each())


class Shelf(TrackedJobs):
    """Completed jobs by id, sorted. It never changes: what is put there or taken away makes another one.

    Attributes:
        places: How many jobs of each collection there are.
    """

    __slots__ = ("_blocks", "_firsts", "_latest", "_size", "places")

    def __init__(self, jobs: Iterable[TrackedJob] = ()) -> None:
        everybody = list(jobs)
        self._firsts, self._blocks = _blocks(everybody)
        self._latest: Mapping[str, TrackedJob | None] = {}
        self._size = len(everybody)
        self.places: Mapping[Place, int] = _counted({}, everybody)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return (row[0] for block in self._written()[1] for row in _rows(block))

    def each(self) -> Iterator[TrackedJob]:
        """Return the jobs, sorted by id."""
        return (_unpacked(row) for block in self._written()[1] for row in _rows(block))

    def find(self, job_id: str) -> TrackedJob | None:
        """Return a job, or None."""
        if job_id in self._latest:
            return self._latest[job_id]
        number = bisect_right(self._firsts, job_id) - 1
        if number < 0 or job_id.encode("utf-8", "surrogatepass") not in self._blocks[number]:  # as marshal writes it
            return None
        columns = _columns(self._blocks[number])
        if job_id not in columns[0]:
            return None
        place = columns[0].index(job_id)
        return _unpacked([column[place if len(column) > 1 else 0] for column in columns])

    def after(self, job_id: str) -> Iterator[TrackedJob]:
        """Return the jobs whose ids come after one, sorted by id."""
        firsts, blocks = self._written()
        number = max(0, bisect_right(firsts, job_id) - 1)
        rows = chain.from_iterable(map(_rows, blocks[number:]))
        return (_unpacked(row) for row in rows if row[0] > job_id)

    def but_not(self, other: "Shelf") -> dict[str, TrackedJob]:
        """Return the jobs that do not stand so on another shelf, and perhaps a few that do."""
        if other is self:
            return {}
        blocks = set(self._written()[1]).difference(other._written()[1])  # noqa: SLF001 - another one of ours
        return {row[0]: _unpacked(row) for block in blocks for row in _rows(block)}

    def with_changes(self, put: Mapping[str, TrackedJob], taken: Mapping[str, TrackedJob]) -> "Shelf":
        """Return a shelf with some jobs more and others less.

        Args:
            put: Jobs to put there, by id.
            taken: Jobs that stand there, by id: to be taken away, or to be replaced.
        """
        if not put and not taken:
            return self
        shelf = Shelf()
        shelf._firsts, shelf._blocks = self._firsts, self._blocks
        shelf._latest = {**self._latest, **dict.fromkeys(taken), **put}
        shelf._size = self._size + len(put) - len(taken)
        shelf.places = _counted(self.places, put.values(), taken.values())
        if len(shelf._latest) > LATEST:
            (shelf._firsts, shelf._blocks), shelf._latest = shelf._written(), {}
        return shelf

    def _written(self) -> tuple[list[str], list[bytes]]:
        """Return the first ids of the blocks, and the blocks, as they are once the latest changes are written."""
        if not self._latest:
            return self._firsts, self._blocks
        if not self._blocks:
            return _blocks([tracked for tracked in self._latest.values() if tracked is not None])
        firsts, blocks, ids = list(self._firsts), list(self._blocks), sorted(self._latest)
        end = len(ids)
        while end:  # from the last, so that places stay right
            number = max(0, bisect_right(firsts, ids[end - 1]) - 1)
            begin = bisect_left(ids, firsts[number], 0, end) if number else 0
            here = {job_id: self._latest[job_id] for job_id in ids[begin:end]}
            parts = _divided(_with_changes(_columns(blocks[number]), here))
            firsts[number : number + 1] = [part[0][0] for part in parts]
            blocks[number : number + 1] = map(marshal.dumps, parts)
            end = begin
        return firsts, blocks


def _blocks(jobs: Iterable[TrackedJob]) -> tuple[list[str], list[bytes]]:
    """Return the first ids of blocks, and the blocks, for jobs in any order."""
    ordered = sorted(jobs, key=lambda tracked: tracked.job.job_id)
    chunks = [ordered[start : start + BLOCK] for start in range(0, len(ordered), BLOCK)]
    packed = [marshal.dumps(_narrowed([*zip(*map(_row, chunk), strict=True)])) for chunk in chunks]
    return [chunk[0].job.job_id for chunk in chunks], packed


def _with_changes(columns: Sequence[Row], changes: Mapping[str, TrackedJob | None]) -> list[Row]:
    """Return the columns of a block with jobs at their places, and without those that are None."""
    size = len(columns[0])  # of the ids, each its own
    stays = [job_id not in changes for job_id in columns[0]]
    rows = [_row(tracked) for tracked in changes.values() if tracked is not None]
    ids = [*compress(columns[0], stays), *[row[0] for row in rows]]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    changed = []
    for column, values in zip(columns, zip(*rows, strict=True) if rows else repeat(()), strict=False):
        if len(column) < size and values.count(column[0]) == len(values):
            changed.append(column)
        else:
            whole = column if len(column) == size else column * size
            changed.append(tuple(map([*compress(whole, stays), *values].__getitem__, order)))
    return _narrowed(changed) if order else []


def _divided(columns: list[Row]) -> list[list[Row]]:
    """Return the columns of one block, of several where they are too long, and of none where they are empty."""
    size = len(columns[0]) if columns else 0
    if size < 2 * BLOCK:
        return [columns] if size else []
    starts = range(0, size, BLOCK)
    return [
        _narrowed([column[at : at + BLOCK] if len(column) == size else column for column in columns]) for at in starts
    ]


def _narrowed(columns: Sequence[Row]) -> list[Row]:
    """Return columns of which one value is kept where all are the same."""
    return [
        column[:1] if column[0] == column[-1] and column.count(column[0]) == len(column) else column
        for column in columns
    ]


def _columns(block: bytes) -> list[Row]:
    columns: list[Row] = marshal.loads(block)  # noqa: S302 - the bytes are our own and never leave the process
    return columns


def _rows(block: bytes) -> Iterator[Row]:
    columns = _columns(block)
    size = len(columns[0])  # of the ids, each its own
    return zip(*[column if len(column) == size else column * size for column in columns], strict=True)


def _row(tracked: TrackedJob) -> Row:
    """Return what there is to know of a completed job as a flat row of plain values, its id first."""
    job = tracked.job
    return (
        job.job_id,
        job.collection,
        job.database,
        job.progress,
        job.reason,
        job.raw_state,
        job.imported_rows,
        job.total_rows,
        job.created_at,
        job.completed_at,
        tracked.first_seen,
        tracked.state_since,
        tracked.last_change,
        tracked.peak_progress,
        tracked.peak_rows,
        tracked.finished_at,
        tracked.stalled,
        tracked.missing_since,
        tracked.asked_at,
        tracked.answered_at,
        tracked.samples,
    )


def _unpacked(row: Sequence[Any]) -> TrackedJob:
    job_id, collection, database, *facts = row
    return TrackedJob(Job(job_id, collection, JobState.COMPLETED, database, *facts[:7]), *facts[7:])


def _counted(
    places: Mapping[Place, int], more: Iterable[TrackedJob], fewer: Iterable[TrackedJob] = ()
) -> Mapping[Place, int]:
    """Return the number of jobs of each collection with some more, and without others."""
    counts = dict(places)
    for jobs, step in ((more, 1), (fewer, -1)):
        for tracked in jobs:
            place = (tracked.job.database, tracked.job.collection)
            counts[place] = counts.get(place, 0) + step
            if not counts[place]:
                del counts[place]
    return counts
