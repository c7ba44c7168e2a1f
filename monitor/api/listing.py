"""A list of jobs, put together from its pages and read beside the list before: what that said is not read again.

Of a list no more is kept than the ids of its jobs and a hash of each record.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress
from operator import ne
from typing import Any, Final

import msgspec

from monitor.api.answers import code_of
from monitor.api.errors import BadResponseError
from monitor.api.kept import Kept
from monitor.api.records import BadRecordError, first
from monitor.jobs import Job

PAGE_LIMIT: Final = 1000
"""Pages of one list; a server that offers more is not believed."""

RECORD_LIMIT: Final = 100_000
"""Records of one list, good and bad: as many as its pages hold when they are full."""

Parse = Callable[[Any], Job]
"""Returns the job of a record, decoded or a ``msgspec.Raw``.

Raises ``BadRecordError`` where it is none, ``ValueError`` or ``RecursionError`` where it is JSON that cannot be read.
"""


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

    def others(self, hashes: Sequence[int]) -> list[int]:
        """Return the places where others than its own stand, of as many records as it has."""
        return [*compress(range(len(hashes)), map(ne, hashes, self.hashes))]

    def hashes_with(self, hashes: Sequence[int], others: Iterable[int]) -> "array[int]":
        """Return its hashes with other ones in some places: copying them is quicker than taking all anew."""
        after = self.hashes[:]
        for place in others:
            after[place] = hashes[place]
        return after


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
        self._known: dict[int, str] | None = None
        self._unmerged: list[Page] = []
        self._earlier: set[str] = set()
        self._in_place = True  # as long as each page stands alone where one with as many records stood alone
        self._gone: set[str] = set()
        self._came: set[str] = set()
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
        self._known = None
        for number in range(1, PAGE_LIMIT + 1):
            # Which of several records of a job counts depends on the pages before this one.
            kept = before[number - 1].again() if self._same and number <= len(before) else Kept[Page]()
            was = kept.result
            page = ask(number, lambda payload: self._made(records_of(payload), parse, before, pages), kept)
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
        if self._same:
            return self._before, Listing({}, self._rejected, frozenset(), self._before.mark)
        left = frozenset(self._gone - self._came) if self._in_place else _left(self._before.pages, self._pages)
        mark = object() if self._told or left else self._before.mark
        return Remembered(mark, self._pages), Listing(self._told, self._rejected, left, mark)

    def _made(self, records: Records, parse: Parse, before: Sequence[Kept[Page]], pages: Sequence[Kept[Page]]) -> Page:
        """Make a page of its records: what the list before had is not read; of several of one job, the first counts."""
        while self._unmerged:
            self._earlier.update(self._unmerged.pop().ids())
        hashes = _hashes(records.given)
        was = before[0].result if len(before) == 1 and not pages else None
        page = None if was is None else self._in_place_of(was, records, hashes, parse)
        if page is None:
            self._in_place = False
            page = self._by_itself(records, hashes, parse, self._by_hash(before))
        return page

    def _in_place_of(self, was: Page, records: Records, hashes: Sequence[int], parse: Parse) -> Page | None:
        """Make a page with other jobs in some places than the one before; None where more than that is different."""
        if len(was.hashes) != len(hashes):
            return None
        others, ids, joined = was.others(hashes), was.ids(), was.joined
        gone = [ids[place] for place in others]
        moved = dict(zip([was.hashes[place] for place in others], gone, strict=True))
        came, read, rejected = _jobs_at(others, records.given, hashes, moved, parse)
        if came != gone:
            for place, job_id in zip(others, came, strict=True):
                ids[place] = job_id
            joined = "\n".join(ids)
            if len(set(ids)) < len(ids):
                return None
        if rejected or self._came_earlier(ids):
            return None
        self._gone.update(gone)
        self._came.update(came)
        self._told.update([(job.job_id, job) for job in read.values()])
        return Page(joined, was.hashes_with(hashes, others), (), records.more)

    def _by_itself(self, records: Records, hashes: Sequence[int], parse: Parse, known: Mapping[int, str]) -> Page:
        """Make a page that stands in no other one's place; jobs of the list before are known by their hashes."""
        ids, read, rejected = _jobs_at(range(len(hashes)), records.given, hashes, known, parse)
        if rejected or len(set(ids)) < len(ids) or self._came_earlier(ids):
            first_places = self._first_of_each(ids)
            read = {place: read[place] for place in first_places if place in read}
            ids, hashes = [ids[place] for place in first_places], [hashes[place] for place in first_places]
        self._told.update([(job.job_id, job) for job in read.values()])
        return Page("\n".join(ids), array("q", hashes), tuple(rejected), records.more)

    def _came_earlier(self, ids: Sequence[str]) -> bool:
        """Say whether some ids are on pages before this one."""
        return bool(self._earlier) and not self._earlier.isdisjoint(ids)

    def _by_hash(self, before: Sequence[Kept[Page]]) -> Mapping[int, str]:
        """Return the id of each job of the list before by the hash of its record."""
        if self._known is None:
            self._known = {}
            for page in _results(before):
                self._known.update(zip(page.hashes, page.ids(), strict=True))
        return self._known

    def _first_of_each(self, ids: Sequence[str]) -> list[int]:
        """Return the places at which a job comes for the first time in the list; no job has an empty id."""
        places: dict[str, int] = {}
        for place, job_id in enumerate(ids):
            if job_id and job_id not in self._earlier:
                places.setdefault(job_id, place)
        return list(places.values())


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


def _hashes(given: Sequence[Any]) -> list[int]:
    """Return a hash of each record of a page; either all of them are JSON, or all are decoded."""
    if given and isinstance(given[0], msgspec.Raw):
        return list(map(hash, map(bytes, given)))
    return [hash(repr(record)) for record in given]


def _jobs_at(
    places: Iterable[int], given: Sequence[Any], hashes: Sequence[int], known: Mapping[int, str], parse: Parse
) -> tuple[list[str], dict[int, Job], list[str]]:
    """Look at records in some places of a page.

    Returns:
        The ids of their jobs, empty where a record is no job; the jobs of those whose hashes are not known, by place;
        what was wrong with records that are no jobs.
    """
    ids: list[str] = []
    read: dict[int, Job] = {}
    rejected: list[str] = []
    for place in places:
        job_id = known.get(hashes[place], "")
        if not job_id:
            try:
                job = read[place] = _read(given[place], parse)
            except BadRecordError as error:
                rejected.append(str(error))
            else:
                job_id = job.job_id
        ids.append(job_id)
    return ids, read, rejected


def _read(record: Any, parse: Parse) -> Job:
    """Return the job of a record.

    Raises:
        BadRecordError: It is none.
    """
    try:
        return parse(record)
    except BadRecordError:
        raise
    except (ValueError, RecursionError):
        raise BadRecordError("a record is JSON that cannot be read: a number too long, or too deep") from None


def _left(before: Mapping[str, Sequence[Kept[Page]]], now: Mapping[str, Sequence[Kept[Page]]]) -> frozenset[str]:
    """Return the ids that were on a list and are no more."""
    were, are = ([*_results(chain.from_iterable(pages.values()))] for pages in (before, now))
    if [page.joined for page in were] == [page.joined for page in are]:
        return frozenset()
    return frozenset().union(*[page.ids() for page in were]).difference(*[page.ids() for page in are])


def _results(pages: Iterable[Kept[Page]]) -> Iterator[Page]:
    return (kept.result for kept in pages if kept.result is not None)


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
