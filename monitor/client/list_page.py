"""Decodes one page of a v1 or v2 list: in one typed call, or record by record where something does not fit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

import msgspec
from msgspec.structs import astuple, replace

from monitor.client.decoding import code_of, envelope
from monitor.client.errors import BadResponseError
from monitor.client.records import BadRecordError, record_from, text
from monitor.client.session import Session
from monitor.jobs import ID_LIMIT, NAME_LIMIT, REASON_LIMIT, JobRecord

RECORD_LIMIT: Final = 100_000
"""Records of one list, good and bad: as many as its pages hold when they are full."""

_Name = Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)]
_Rows = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # more are read as floats, record by record
Record = TypeVar("Record")


class Page(msgspec.Struct, frozen=True, gc=False):
    """One page of a list.

    Attributes:
        records: Its jobs, in its order.
        bad_records: What is wrong with records that cannot be read, one text each.
        more: Whether another page may follow.
    """

    records: Sequence[JobRecord] = ()
    bad_records: Sequence[str] = ()
    more: bool = False


class _ListedRecord(msgspec.Struct, frozen=True, gc=False):
    """The fields of a `JobRecord`, in its order, as servers name them; what does not fit is read record by record."""

    job_id: Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LIMIT)] = msgspec.field(name="jobId")
    state: _Name = ""
    collection: _Name = msgspec.field(default="", name="collectionName")
    progress: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=REASON_LIMIT)] = ""
    database: _Name = msgspec.field(default="", name="dbName")
    imported_rows: _Rows | None = msgspec.field(default=None, name="importedRows")
    total_rows: _Rows | None = msgspec.field(default=None, name="totalRows")
    create_time: _Name = msgspec.field(default="", name="createTime")
    complete_time: _Name = msgspec.field(default="", name="completeTime")


class _Data(msgspec.Struct, Generic[Record], gc=False):
    records: list[Record] | None = None
    tasks: list[Record] | None = None
    page_size: Any = msgspec.field(default=msgspec.UNSET, name="pageSize")
    current_page: Any = msgspec.field(default=msgspec.UNSET, name="currentPage")

    def listed(self) -> list[Record]:
        return (self.tasks or []) if self.records is None else self.records

    def more(self, asked: int) -> bool:
        """Say whether another page may follow: a server may give fewer records a page than it was asked for."""
        if self.page_size is msgspec.UNSET and self.current_page is msgspec.UNSET:
            return False
        given = code_of(self.page_size)
        return len(self.listed()) >= (min(given, asked) if given else asked)


class _Answer(msgspec.Struct, Generic[Record], gc=False):
    code: Literal[0, 200]
    data: _Data[Record]


_typed: Final = msgspec.json.Decoder(_Answer[_ListedRecord])
_record_by_record: Final = msgspec.json.Decoder(_Answer[msgspec.Raw])


def decode_page(session: Session, page_size: int, content: bytes, database: str = "") -> Page:
    """Decode a page of a v1 or v2 list; ``database`` is set only where the server filters by it.

    Raises:
        ApiError: By the code of the answer; ``BadResponseError`` where it is no list.
    """
    answer = session.decode_typed(content, _typed) if b'"errorMessage"' not in content else None
    if answer is not None:
        records = _canonical(answer.data.listed(), content, database)
        if records is not None:
            return Page(records, (), answer.data.more(page_size))
    apart = session.decode_typed(content, _record_by_record)
    data: _Data[Any] = _data_of(envelope(session.decode(content))) if apart is None else apart.data
    return page_of(data.listed(), lambda record: record_from(record, database), more=data.more(page_size))


def page_of(given: Sequence[Any], read: Callable[[Any], JobRecord], *, more: bool = False) -> Page:
    """Return a page, read record by record; one that cannot be read costs only itself."""
    if len(given) > RECORD_LIMIT:
        raise too_many_records()
    records: list[JobRecord] = []
    bad_records: list[str] = []
    for record in given:
        try:
            records.append(read(record))
        except BadRecordError as error:
            bad_records.append(str(error))
    return Page(records, bad_records, more)


def too_many_records() -> BadResponseError:
    """Return the error of a list with more records than a server can have."""
    return BadResponseError(f"the list has more than {RECORD_LIMIT} records")


def _canonical(listed: Sequence[_ListedRecord], content: bytes, database: str) -> list[JobRecord] | None:
    """Return typed records as they are read one by one; None where an id or a name needs cleaning."""
    if len(listed) > RECORD_LIMIT:
        raise too_many_records()
    is_printable = content.isascii() and b"\\" not in content and b"\x7f" not in content
    if any(" " in record.job_id or not (is_printable or _names(record).isprintable()) for record in listed):
        return None
    records = [JobRecord(*astuple(record)) for record in listed]
    if database:
        records = [replace(record, database=database) for record in records]
    return [replace(record, reason=text(record.reason)) if record.reason else record for record in records]


def _names(record: _ListedRecord) -> str:
    times = record.create_time + record.complete_time
    return record.job_id + record.state + record.collection + record.database + times


def _data_of(data: Any) -> _Data[Any]:
    """Return the data of a list in whichever shape: an object with ``records`` or ``tasks``, or the array itself."""
    fields = data if isinstance(data, Mapping) else {"records": data}
    records = fields.get("records")
    tasks = fields.get("tasks") if records is None or records == "" else records
    if tasks is not None and not isinstance(tasks, list):
        raise BadResponseError("the answer has a code of success, but no list of jobs in its data")
    unset = msgspec.UNSET
    return _Data(tasks, None, fields.get("pageSize", unset), fields.get("currentPage", unset))
