"""A list of jobs, put together from its pages."""

from collections.abc import Callable, Mapping, Sequence
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


@dataclass(slots=True)
class Listing:
    """Every job of a cluster, from a complete list.

    Attributes:
        jobs: The jobs by id, in the order of the list.
        rejected: What was wrong with records that are no jobs, one text each.
    """

    jobs: dict[str, Job] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)

    def add(self, records: Sequence[Any], parse: Callable[[Any], Job]) -> bool:
        """Add the records of one page, and return whether it brought anything but jobs that were there before.

        Raises:
            BadResponseError: There are more records than a server can have.
        """
        before = len(self.jobs) + len(self.rejected)
        if before + len(records) > RECORD_LIMIT:
            raise BadResponseError(f"the list has more than {RECORD_LIMIT} records")
        for record in records:
            try:
                job = parse(record)
            except BadRecordError as error:
                self.rejected.append(str(error))
            else:
                self.jobs.setdefault(job.job_id, job)
        return len(self.jobs) + len(self.rejected) > before


def read_pages(fetch: Callable[[int], Any], parse: Callable[[Any], Job], page_size: int, listing: Listing) -> None:
    """Add all pages of a v1 or v2 list to a listing.

    ``count`` is the number of records listed and no total, so the end is a page shorter than its size, an answer
    without paging fields (self-hosted Milvus gives all at once), or a page with nothing new: jobs that arrive
    meanwhile shift the pages, and an id may come twice. A page of bad records only is no end.

    Args:
        fetch: Returns the ``data`` of a page, counted from 1.
        parse: Returns the job of a record.
        page_size: Records asked for a page.
        listing: Gets the jobs.

    Raises:
        BadResponseError: The data is no list of jobs, or has no end.
    """
    for page in range(1, PAGE_LIMIT + 1):
        data = fetch(page)
        records = _records(data)
        brought_news = listing.add(records, parse)
        if not brought_news or not _is_paged(data) or len(records) < _size_of(data, page_size):
            return
    raise BadResponseError(f"the list has no end: more than {PAGE_LIMIT} pages of {page_size}")


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
