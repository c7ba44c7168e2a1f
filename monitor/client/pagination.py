"""The pages of a list: each is decoded in one typed call, or record by record where something does not fit."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from monitor.client.decoding import Body, code_of, envelope
from monitor.client.errors import BadRecordError, BadResponseError
from monitor.client.records import first, is_gone, record_from, text
from monitor.jobs import JobList, JobRecord, JobState, normalize_state

RECORD_LIMIT: Final = 100_000
"""Records of one list, good and bad: as many as its pages hold when they are full."""

_FINALITY: Final = {JobState.COMPLETED: 1, JobState.FAILED: 2}


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a list: its jobs, what is wrong with its other records, and whether another page may follow."""

    records: Sequence[JobRecord] = ()
    bad_records: Sequence[str] = ()
    more: bool = False


class ListReader:
    """Puts a list together; its pages are decoded from the first one on that differs from the previous list's."""

    def __init__(self, decode: Callable[[Body, str], Page], previous: JobList) -> None:
        self._decode = decode
        self._previous = previous
        self._unchanged: list[tuple[Body, str]] = []
        self._pages: dict[int, bool] = {}
        self._records: dict[str, JobRecord] = {}
        self._bad_records: list[str] = []
        self._repeated_ids: dict[str, None] = {}
        self._size = self._gone = 0

    def add(self, database: str, number: int, body: Body) -> bool:
        """Add a page and return whether another one follows: never after one with nothing new, whatever it says."""
        page_hash = hash((database, number, body.content))
        all_unchanged = len(self._unchanged) == len(self._pages)
        more = self._previous.pages.get(page_hash) if all_unchanged else None
        if more is not None:
            self._unchanged.append((body, database))
        else:
            page = self._decode(body, database)
            self._decode_unchanged()
            more = self._merge(page) and page.more
        self._pages[page_hash] = more
        return more

    def result(self, hint: str) -> JobList:
        """Return the list; raise ``BadResponseError`` with a hint what to do where no record of it can be read."""
        if self._pages == self._previous.pages:
            return self._previous
        self._decode_unchanged()
        if self._bad_records and not self._records and not self._gone:
            count, example = len(self._bad_records), self._bad_records[0]
            raise BadResponseError(f"none of the {count} records of the list can be read ({example}): {hint}")
        return JobList(self._records, self._pages, tuple(self._bad_records), tuple(self._repeated_ids))

    def _decode_unchanged(self) -> None:
        for body, database in self._unchanged:
            self._merge(self._decode(body, database))
        self._unchanged.clear()

    def _merge(self, page: Page) -> bool:
        """Add the records of a page and return whether there is anything new among them.

        Of several records of one id the most final one counts. Only those on one page are reported as repeated: across
        pages they are usual, where jobs arrive meanwhile or every database lists all jobs.
        """
        self._size += len(page.records) + len(page.bad_records)
        _check_size(self._size)
        before = len(self._records) + self._gone
        listed = [record for record in page.records if not (record.reason and is_gone(record))]
        self._gone += len(page.records) - len(listed)  # a describe decides about those that are gone
        by_id = {record.job_id: record for record in listed}
        if len(by_id) == len(listed) and by_id.keys().isdisjoint(self._records):
            self._records |= by_id
            listed = []
        ids: set[str] = set()
        for record in listed:
            if record.job_id in ids:
                self._repeated_ids[record.job_id] = None
            ids.add(record.job_id)
            best = self._records.setdefault(record.job_id, record)
            if best is not record and _finality(record) > _finality(best):
                self._records[record.job_id] = record
        self._bad_records += page.bad_records
        return bool(page.bad_records) or len(self._records) + self._gone > before


def _finality(record: JobRecord) -> int:
    return _FINALITY.get(normalize_state(record.state), 0)


def _check_size(records: int) -> None:
    if records > RECORD_LIMIT:
        raise BadResponseError(f"the list has more than {RECORD_LIMIT} records")


class _Data(msgspec.Struct, gc=False, rename="camel"):
    records: list[JobRecord]
    page_size: int | str | None = None
    current_page: int | str | None = None


class _ListResponse(msgspec.Struct, gc=False):
    code: Literal[0, 200]
    data: _Data


_list_decoder: Final = msgspec.json.Decoder(_ListResponse)


def decode_page(body: Body, page_size: int, database: str = "") -> Page:
    """Decode a page of a v1 or v2 list; raise the ``ApiError`` of its code, or that it is no list.

    ``page_size`` is the number of records that were asked for; ``database`` is given where the server filters by it.
    """
    page = body.typed(_list_decoder)
    if page is not None and _is_clean(page.data.records, body.content):
        records = [
            replace(record, reason=text(record.reason), database=database or record.database)
            if record.reason or database
            else record
            for record in page.data.records
        ]
        data = page.data
        return Page(records, more=_is_full(records, page_size, data.page_size, data.current_page))
    payload = envelope(body.json())
    fields = payload if isinstance(payload, dict) else {"records": payload}
    listed = first(fields, "records", "tasks")
    if not isinstance(listed, list | None):
        raise BadResponseError("the response has a code of success, but no list of jobs in its data")
    listed = listed or []
    more = _is_full(listed, page_size, fields.get("pageSize"), fields.get("currentPage"))
    return page_of(listed, lambda record: record_from(record, database), more=more)


def page_of(listed: Sequence[Any], read: Callable[[Any], JobRecord], *, more: bool = False) -> Page:
    """Return a page, read record by record; one that cannot be read costs only itself."""
    _check_size(len(listed))
    records: list[JobRecord] = []
    bad_records: list[str] = []
    for record in listed:
        try:
            records.append(read(record))
        except BadRecordError as error:
            bad_records.append(str(error))
    return Page(records, bad_records, more)


def _is_clean(records: Sequence[JobRecord], content: bytes) -> bool:
    """Return whether typed records are what they would be record by record, but for their reasons."""
    if b'"errorMessage"' in content or " " in "".join([record.job_id for record in records]):
        return False
    if content.isascii() and b"\\" not in content and b"\x7f" not in content:
        return True
    names = (r.job_id + r.state + r.collection + r.database + r.create_time + r.complete_time for r in records)
    return all(map(str.isprintable, names))


def _is_full(records: Sequence[Any], asked: int, page_size: Any, current_page: Any) -> bool:
    """Return whether another page may follow: a server may give fewer records a page than it was asked for."""
    is_paged = page_size is not None or current_page is not None
    return is_paged and len(records) >= min(code_of(page_size) or asked, asked)
