"""Completed jobs, packed: nearly all jobs of a cluster are, and nothing happens to them any more.

A tracked job takes some 500 bytes; on a shelf it takes less than 100. They stand there sorted by id, a few in each
block, so that one of them is found, put there or taken away without touching the others.
"""

import marshal
from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from itertools import chain
from typing import Any, Final

from monitor.jobs.model import Job, JobState, TrackedJob

BLOCK: Final = 32
"""Jobs of a block; one with twice as many is divided."""

_FEW: Final = 2
"""Changes of a block up to which it is cheaper to make each in its columns than to make the block's rows."""

Row = tuple[Any, ...]

Place = tuple[str, str]
"""A database and a collection in it."""


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

    __slots__ = ("_blocks", "_firsts", "_size", "places")

    def __init__(self, jobs: Iterable[TrackedJob] = ()) -> None:
        ordered = sorted(jobs, key=lambda tracked: tracked.job.job_id)
        chunks = [ordered[start : start + BLOCK] for start in range(0, len(ordered), BLOCK)]
        self._firsts = [chunk[0].job.job_id for chunk in chunks]
        self._blocks = [marshal.dumps(_narrowed([*zip(*map(_row, chunk), strict=True)])) for chunk in chunks]
        self._size = len(ordered)
        self.places: Mapping[Place, int] = _counted({}, ordered)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[str]:
        return (row[0] for block in self._blocks for row in _rows(block))

    def each(self) -> Iterator[TrackedJob]:
        """Return the jobs, sorted by id."""
        return (_unpacked(row) for block in self._blocks for row in _rows(block))

    def find(self, job_id: str) -> TrackedJob | None:
        """Return a job, or None."""
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
        number = max(0, bisect_right(self._firsts, job_id) - 1)
        rows = chain.from_iterable(map(_rows, self._blocks[number:]))
        return (_unpacked(row) for row in rows if row[0] > job_id)

    def but_not(self, other: "Shelf") -> dict[str, TrackedJob]:
        """Return the jobs that do not stand so on another shelf, and perhaps a few that do."""
        blocks = () if other is self else set(self._blocks).difference(other._blocks)  # noqa: SLF001 - another one of ours
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
        shelf._firsts, shelf._blocks = list(self._firsts), list(self._blocks)
        shelf._size = self._size + len(put) - len(taken)
        shelf.places = _counted(self.places, put.values(), taken.values())
        shelf._change({**dict.fromkeys(taken), **put})
        return shelf

    def _change(self, changes: Mapping[str, TrackedJob | None]) -> None:
        """Write the blocks anew in which some ids stand or would stand; from the last, so that places stay right."""
        ids = sorted(changes)
        end = len(ids)
        while end:
            number = max(0, bisect_right(self._firsts, ids[end - 1]) - 1)
            begin = bisect_left(ids, self._firsts[number], 0, end) if number else 0
            here = [(job_id, changes[job_id]) for job_id in ids[begin:end]]
            if self._blocks and len(here) <= _FEW:
                columns = _columns(self._blocks[number])
                for job_id, tracked in here:
                    columns = _spliced(columns, job_id, tracked)
            else:
                rows = {row[0]: row for row in _rows(self._blocks[number])} if self._blocks else {}
                rows.update((job_id, _row(tracked)) for job_id, tracked in here if tracked is not None)
                for job_id in [job_id for job_id, tracked in here if tracked is None]:
                    rows.pop(job_id, None)
                columns = _narrowed([*zip(*sorted(rows.values()), strict=True)])
            blocks = _divided(columns)
            self._firsts[number : number + 1] = [block[0][0] for block in blocks]
            self._blocks[number : number + 1] = map(marshal.dumps, blocks)
            end = begin


def _spliced(columns: Sequence[Row], job_id: str, tracked: TrackedJob | None) -> list[Row]:
    """Return the columns of a block with a job at its place, or without it where it is None.

    A column that has become all the same stays as long as it is until the block is divided or made anew: to look at
    all of them would cost as much as packing them.
    """
    size = len(columns[0])  # of the ids, each its own
    place = bisect_left(columns[0], job_id)
    after = place + (place < size and columns[0][place] == job_id)
    if tracked is None:
        return [column[:place] + column[after:] if len(column) == size else column for column in columns]
    spliced = []
    for column, value in zip(columns, _row(tracked), strict=True):
        if len(column) == 1 and column[0] == value:
            spliced.append(column)
        elif len(column) == size:
            spliced.append(column[:place] + (value,) + column[after:])  # noqa: RUF005 - no list on the way
        else:
            spliced.append((column[0],) * place + (value,) + (column[0],) * (size - after))
    return spliced


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
