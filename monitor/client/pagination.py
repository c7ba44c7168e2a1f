"""Reads the pages of a list; a body equal to that of the previous list is not decoded again."""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from monitor.client.errors import BadResponseError
from monitor.client.list_page import RECORD_LIMIT, Page, too_many_records
from monitor.client.records import is_gone
from monitor.jobs import JobList, JobRecord, JobState, normalize_state

PAGE_LIMIT: Final = 1000
"""Pages of one list; a server that offers more is not believed."""

_FINALITY: Final = {JobState.COMPLETED: 1, JobState.FAILED: 2}

Fetch = Callable[[str, int, Callable[[bytes], bool]], bool]
"""Requests a page by its database and its number, from 1, and returns what the given function makes of the body."""

Decode = Callable[[bytes, str], Page]
"""Decodes the body of a page of a database; raises ``ApiError`` where it is none."""


def read_list(
    fetch: Fetch,
    decode: Decode,
    previous: JobList,
    databases: Iterable[str] = ("",),
    hint: str = "check `api` and `url`",
) -> JobList:
    """Read a complete list, database by database and page by page.

    ``count`` is no total, so the end is a page shorter than its size, an answer without paging fields (self-hosted
    Milvus gives all at once), or a page with nothing new: jobs that arrive meanwhile shift the pages, and an id may
    come twice. A page of bad records only is no end.

    Args:
        fetch: Requests a page.
        decode: Decodes a page.
        previous: The previous list; returned itself where every page is unchanged.
        databases: The databases to list.
        hint: What to do where no record can be read.

    Raises:
        ApiError: A page could not be had; ``BadResponseError`` where the list has no end, or no readable record.
    """
    reader = _ListReader(decode, previous)
    for database in databases:
        number = 1
        while fetch(database, number, partial(reader.add, database)):
            number += 1
            if number > PAGE_LIMIT:
                raise BadResponseError(f"the list has no end: more than {PAGE_LIMIT} pages")
    return reader.result(hint)


class _ListReader:
    """A list while it is read: bodies that are unchanged so far, from the first changed one on records."""

    def __init__(self, decode: Decode, previous: JobList) -> None:
        self._decode = decode
        self._previous = previous
        self._unchanged: list[tuple[bytes, str]] = []
        self._hashes: list[int] = []
        self._records: dict[str, JobRecord] = {}
        self._bad_records: list[str] = []
        self._repeated_ids: dict[str, None] = {}
        self._size = self._gone = 0

    def add(self, database: str, body: bytes) -> bool:
        """Add a page and return whether another one follows; the hash of a page includes that."""
        place, known = len(self._hashes), self._previous.page_hashes
        if place == len(self._unchanged) and place < len(known):
            for more in (False, True):
                if hash((database, more, body)) == known[place]:
                    self._unchanged.append((body, database))
                    self._hashes.append(known[place])
                    return more
        page = self._decode(body, database)
        self._decode_unchanged()
        more = self._merge(page) and page.more
        self._hashes.append(hash((database, more, body)))
        return more

    def result(self, hint: str) -> JobList:
        """Return the list."""
        if self._unchanged and len(self._unchanged) == len(self._previous.page_hashes):
            return self._previous
        self._decode_unchanged()
        if self._bad_records and not self._records and not self._gone:
            count, first = len(self._bad_records), self._bad_records[0]
            raise BadResponseError(f"none of the {count} records of the list can be read ({first}): {hint}")
        return JobList(
            records=self._records,
            page_hashes=tuple(self._hashes),
            bad_records=tuple(self._bad_records),
            repeated_ids=tuple(self._repeated_ids),
        )

    def _decode_unchanged(self) -> None:
        while self._unchanged:
            self._merge(self._decode(*self._unchanged.pop(0)))

    def _merge(self, page: Page) -> bool:
        """Add the records of a page and return whether there is anything new among them.

        Of several records of one id the most final one counts. Only those on one page are reported as repeated: across
        pages they are usual, where jobs arrive meanwhile or every database lists all jobs.
        """
        self._size += len(page.records) + len(page.bad_records)
        if self._size > RECORD_LIMIT:
            raise too_many_records()
        before = len(self._records) + self._gone
        ids: set[str] = set()
        for record in page.records:
            job_id = record.job_id
            if record.reason and is_gone(record):
                self._gone += 1  # not listed: a describe decides
                continue
            if job_id in ids:
                self._repeated_ids[job_id] = None
            ids.add(job_id)
            known = self._records.setdefault(job_id, record)
            if known is not record and _finality(record) > _finality(known):
                self._records[job_id] = record
        self._bad_records += map(sys.intern, page.bad_records)
        return bool(page.bad_records) or len(self._records) + self._gone > before


def _finality(record: JobRecord) -> int:
    return _FINALITY.get(normalize_state(record.state), 0)
