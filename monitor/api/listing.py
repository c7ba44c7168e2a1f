"""A list of jobs, put together from its pages and read beside the list before: what that said is not read again.

Of a list no more is kept than the ids of its jobs and a hash of each record.
"""

from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

import msgspec

from monitor.api.answers import code_of, value_of
from monitor.api.errors import BadResponseError
from monitor.api.kept import Kept
from monitor.api.records import BadRecordError, first
from monitor.jobs import Job

PAGE_LIMIT: Final = 1000
"""Pages of one list; a server that offers more is not believed."""

RECORD_LIMIT: Final = 100_000
"""Records of one list, good and bad: as many as its pages hold when they are full."""

Parse = Callable[[Any], Job]
"""Returns the job of a record; raises ``BadRecordError``."""


class Listing(msgspec.Struct, frozen=True, gc=False):
    """A complete list of a cluster's jobs.

    Attributes:
        jobs: The jobs by id, in the order of the list. Where ``left`` is not None, only those of which it does not say
            the same as the list before.
        rejected: What was wrong with records that are no jobs, one text each.
        left: Ids that the list before had and this one has not; None where it was not read beside that one.
        mark: Stands for what the list says, for whoever asks for the next one.
    """

    jobs: Mapping[str, Job] = msgspec.field(default_factory=dict)
    rejected: Sequence[str] = ()
    left: frozenset[str] | None = None
    mark: object = None


class Records(msgspec.Struct, frozen=True, gc=False):
    """The records of one page.

    Attributes:
        given: Each as it came, as JSON or decoded.
        more: Whether another page may follow.
    """

    given: Sequence[Any]
    more: bool


class Page(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What is kept of one page.

    Attributes:
        joined: The ids of its jobs, joined by line ends, which no id has.
        hashes: A hash of the record of each.
        rejected: What was wrong with records that are no jobs, one text each.
        more: Whether another page may follow.
    """

    joined: str
    hashes: "array[int]"
    rejected: tuple[str, ...]
    more: bool

    def __len__(self) -> int:
        return len(self.hashes) + len(self.rejected)

    def ids(self) -> list[str]:
        """Return the ids of its jobs, in its order."""
        return self.joined.split("\n") if self.hashes else []


class Remembered(msgspec.Struct, frozen=True, gc=False):
    """A list that was read.

    Attributes:
        mark: Stands for what it says; a list that says the same has the same.
        pages: Its pages, by database.
    """

    mark: object
    pages: Mapping[str, Sequence[Kept[Page]]]


Ask = Callable[[int, Callable[[Any], Page], Kept[Page]], Page]
"""Asks for a page by its number, from 1: returns what is made of its payload, or was made of the same one before."""


class Reading:
    """A list that is being read.

    Args:
        before: The list before, where this one is to be read beside it.
    """

    def __init__(self, before: Remembered | None) -> None:
        self._before = before
        self._same = before is not None
        self._pages: dict[str, list[Kept[Page]]] = {}
        self._unmerged: list[Page] = []
        self._earlier: set[str] = set()
        self._size = 0
        self._told: dict[str, Job] = {}
        self._rejected: list[str] = []

    @classmethod
    def since(cls, mark: object, last: Remembered | None) -> "Reading":
        """Return a list that is to be read beside the last one, where that is the one with this mark."""
        return cls(last if last is not None and last.mark is mark else None)

    def read(self, ask: Ask, records_of: Callable[[Any], Records], parse: Parse, database: str = "") -> None:
        """Read all pages of a list.

        ``count`` is the number of records listed and no total, so the end is a page shorter than its size, an answer
        without paging fields (self-hosted Milvus gives all at once), or a page with nothing new: jobs that arrive
        meanwhile shift the pages, and an id may come twice. A page of bad records only is no end.

        Args:
            ask: Asks for a page.
            records_of: Returns the records of a payload.
            parse: Returns the job of a record.
            database: Whose list it is, where there are several.

        Raises:
            BadResponseError: The list has no end, or more records than a server can have.
        """
        before = [] if self._before is None else self._before.pages.get(database, [])
        pages = self._pages[database] = []
        known = cache(lambda: _ids_by_hash(before))
        for number in range(1, PAGE_LIMIT + 1):
            # Which of several records of a job counts depends on the pages before this one.
            kept = before[number - 1].again() if self._same and number <= len(before) else Kept[Page]()
            was = kept.result
            page = ask(number, lambda payload: self._made(records_of(payload), parse, known()), kept)
            self._same = self._same and page is was
            pages.append(kept)
            self._unmerged.append(page)
            self._rejected += page.rejected
            self._size += len(page)
            if self._size > RECORD_LIMIT:
                raise BadResponseError(f"the list has more than {RECORD_LIMIT} records")
            if not page.more or not len(page):
                return
        raise BadResponseError(f"the list has no end: more than {PAGE_LIMIT} pages")

    def end(self) -> tuple[Remembered, Listing]:
        """Return what is to be remembered of the list, and the list."""
        if self._before is None:
            mark = object()
            return Remembered(mark, self._pages), Listing(self._told, self._rejected, None, mark)
        left = frozenset[str]()
        if not self._same:
            left = _ids(self._before.pages) - _ids(self._pages)
        mark = object() if self._told or left else self._before.mark
        return Remembered(mark, self._pages), Listing(self._told, self._rejected, left, mark)

    def _made(self, records: Records, parse: Parse, known: Mapping[int, str]) -> Page:
        """Make a page of its records: what the list before had is not read; of several of one job, the first counts."""
        while self._unmerged:
            self._earlier.update(self._unmerged.pop().ids())
        ids: dict[str, int] = {}
        rejected: list[str] = []
        for record in records.given:
            marked = hash(bytes(record)) if isinstance(record, msgspec.Raw) else hash(repr(record))
            job_id, job = known.get(marked), None
            if job_id is None:
                try:
                    job = parse(value_of(record) if isinstance(record, msgspec.Raw) else record)
                except BadRecordError as error:
                    rejected.append(str(error))
                    continue
                except (ValueError, RecursionError):
                    rejected.append("a record is JSON that cannot be read: a number too long, or too deep")
                    continue
                job_id = job.job_id
            if job_id in ids or job_id in self._earlier:
                continue
            ids[job_id] = marked
            if job is not None:
                self._told[job_id] = job
        return Page("\n".join(ids), array("q", ids.values()), tuple(rejected), records.more)


def records_in(data: Any, page_size: int | None) -> Records:
    """Return the records in the ``data`` of a list's answer.

    Args:
        data: An object with ``records`` or ``tasks``, or the array itself.
        page_size: Records asked for; None where there are no pages.

    Raises:
        BadResponseError: The data is no list of jobs, or has more records than a server can have.
    """
    given = _records(data)
    if len(given) > RECORD_LIMIT:
        raise BadResponseError(f"the list has more than {RECORD_LIMIT} records")
    more = page_size is not None and _is_paged(data) and len(given) >= _size_of(data, page_size)
    return Records(given, more)


def _ids_by_hash(pages: Sequence[Kept[Page]]) -> dict[int, str]:
    """Return the id of each job by the hash of its record."""
    return {
        marked: job_id
        for kept in pages
        if kept.result is not None
        for job_id, marked in zip(kept.result.ids(), kept.result.hashes, strict=True)
    }


def _ids(pages: Mapping[str, Sequence[Kept[Page]]]) -> frozenset[str]:
    """Return the ids of all jobs."""
    every = chain.from_iterable(pages.values())
    return frozenset().union(*[kept.result.ids() for kept in every if kept.result is not None])


def _records(data: Any) -> list[Any]:
    """Return the records of a list's data: an object with ``records`` or ``tasks``, or the array itself."""
    if isinstance(data, Mapping):
        data = first(data, "records", "tasks")
    if data is None:
        return []
    if not isinstance(data, list):
        raise BadResponseError("the answer has a code of success, but no list of jobs in its data")
    return data


def _is_paged(data: Any) -> bool:
    return isinstance(data, Mapping) and ("pageSize" in data or "currentPage" in data)


def _size_of(data: Any, asked: int) -> int:
    """Return how many records a full page has: a server may give fewer than it was asked for."""
    given = code_of(data.get("pageSize"))
    return min(given, asked) if given else asked
