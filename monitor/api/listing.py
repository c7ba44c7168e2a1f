"""A list of jobs, put together from its pages."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from monitor.api.answers import code_of
from monitor.api.errors import BadResponseError
from monitor.api.records import BadRecordError, first
from monitor.jobs import Job

PAGE_LIMIT: Final = 1000
"""Pages of one list; a server that offers more is not believed."""

RECORD_LIMIT: Final = 100_000
"""Records of one list, good and bad: as many as its pages hold when they are full."""


Parse = Callable[[Any, Mapping[str, Job]], Job]
"""Returns the job of a record: the very same object where it stands so among those known before, by id."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        jobs: Its jobs by id, in its order.
        rejected: What was wrong with records that are no jobs, one text each.
        more: Whether another page may follow.
    """

    jobs: Mapping[str, Job]
    rejected: tuple[str, ...]
    more: bool


@dataclass(slots=True)
class Listing:
    """Every job of a cluster, from a complete list.

    Attributes:
        jobs: The jobs by id, in the order of the list; the very same mapping as last time where the server has sent
            the very same single page.
        rejected: What was wrong with records that are no jobs, one text each.
    """

    jobs: Mapping[str, Job] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    _together: dict[str, Job] = field(default_factory=dict, repr=False)

    def add(self, page: Page) -> bool:
        """Add a page, and return whether it brought anything but jobs that were there before.

        Raises:
            BadResponseError: There are more records than a server can have.
        """
        before = len(self.jobs) + len(self.rejected)
        if not self.jobs:
            self.jobs = page.jobs
        else:
            if self.jobs is not self._together:
                self._together = dict(self.jobs)
            for job_id, job in page.jobs.items():
                self._together.setdefault(job_id, job)
            self.jobs = self._together
        self.rejected += page.rejected
        after = len(self.jobs) + len(self.rejected)
        if after > RECORD_LIMIT:
            raise BadResponseError(f"the list has more than {RECORD_LIMIT} records")
        return after > before


def page_of(data: Any, parse: Parse, page_size: int | None, before: Page | None = None) -> Page:
    """Return a page from the ``data`` of a list's answer.

    Args:
        data: An object with ``records`` or ``tasks``, or the array itself.
        parse: Returns the job of a record.
        page_size: Records asked for; None where there are no pages.
        before: The same page as it was last time.

    Raises:
        BadResponseError: The data is no list of jobs, or has more records than a server can have.
    """
    known = {} if before is None else before.jobs
    records = _records(data)
    if len(records) > RECORD_LIMIT:
        raise BadResponseError(f"the list has more than {RECORD_LIMIT} records")
    jobs: dict[str, Job] = {}
    rejected: list[str] = []
    for record in records:
        try:
            job = parse(record, known)
        except BadRecordError as error:
            rejected.append(str(error))
        else:
            jobs.setdefault(job.job_id, job)
    more = page_size is not None and _is_paged(data) and len(records) >= _size_of(data, page_size)
    return Page(jobs, tuple(rejected), more)


def read_pages(fetch: Callable[[int], Page], listing: Listing) -> int:
    """Add all pages of a v1 or v2 list to a listing, and return how many there were.

    ``count`` is the number of records listed and no total, so the end is a page shorter than its size, an answer
    without paging fields (self-hosted Milvus gives all at once), or a page with nothing new: jobs that arrive
    meanwhile shift the pages, and an id may come twice. A page of bad records only is no end.

    Args:
        fetch: Returns a page, counted from 1.
        listing: Gets the jobs.

    Raises:
        BadResponseError: The list has no end.
    """
    for number in range(1, PAGE_LIMIT + 1):
        page = fetch(number)
        if not listing.add(page) or not page.more:
            return number
    raise BadResponseError(f"the list has no end: more than {PAGE_LIMIT} pages")


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
