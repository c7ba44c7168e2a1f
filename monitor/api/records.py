"""From a record of an answer to a ``Job``, accepting every spelling that servers are known to use."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec.structs import replace

from monitor.api.values import value_of
from monitor.jobs import Job, JobState

ID_LIMIT: Final = 128
"""Characters of a job id; Milvus' have 18, Zilliz Cloud's 26 or 36."""

NAME_LIMIT: Final = 256
"""Characters of a collection's or database's name; Milvus allows 255."""

REASON_LIMIT: Final = 4096
"""Characters kept of a reason."""

_STATES: Final = {
    "pending": JobState.PENDING,
    "importpending": JobState.PENDING,
    "0": JobState.PENDING,
    "importing": JobState.IMPORTING,
    "inprogress": JobState.IMPORTING,
    "importrunning": JobState.IMPORTING,
    "importstarted": JobState.IMPORTING,
    "2": JobState.IMPORTING,
    "importpersisted": JobState.IMPORTING,
    "5": JobState.IMPORTING,
    "importflushed": JobState.IMPORTING,
    "uncommitted": JobState.UNCOMMITTED,
    "committing": JobState.COMMITTING,
    "completed": JobState.COMPLETED,
    "importcompleted": JobState.COMPLETED,
    "6": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "importfailed": JobState.FAILED,
    "1": JobState.FAILED,
    "importfailedandcleaned": JobState.FAILED,
    "7": JobState.FAILED,
}
_AS_WRITTEN: Final = _STATES | {word.capitalize(): state for word, state in _STATES.items()}
"""Spellings that need no tidying first, those of v2 among them. Other plain values are taken as they are below, too."""

_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBER: Final = re.compile(r"\s*[-+]?\d{1,18}(\.\d{1,18})?\s*%?\s*", re.ASCII)
_MOST_ROWS: Final = 2**63
_YEAR_10000: Final = 253_402_300_800.0


class BadRecordError(ValueError):
    """A record that cannot be a job; it costs only itself."""


class _Plain(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True, rename="camel"):
    """A record that says no more than most do, and says it as usual."""

    job_id: Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LIMIT)]
    state: str
    collection_name: Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)] = ""
    progress: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None


_plain_decoder: Final = msgspec.json.Decoder(_Plain)


def job_from(record: Any, *, database: str = "") -> Job:
    """Return the job of one record of a list or of a describe, in the spellings of v2 and v1.

    Args:
        record: The record, decoded or as it came, as a ``msgspec.Raw``.
        database: The database that was asked for, where the server filters by it.

    Raises:
        BadRecordError: The record is no object, or its id is none.
        ValueError: It is JSON that cannot be read.
        RecursionError: It goes too deep.
    """
    if isinstance(record, msgspec.Raw):
        job = _plain_job(record, database)
        if job is not None:
            return job
        record = value_of(record)
    if not isinstance(record, dict):
        raise BadRecordError(f"a record is {_kind(record)} instead of an object")
    state, raw_state = state_from(record.get("state"))
    return Job(
        job_id=id_from(raw_id(record)),
        collection=name(record.get("collectionName")),
        state=state,
        database=database or name(record.get("dbName")),
        progress=ratio(record.get("progress")),
        reason=reason_of(record),
        raw_state=raw_state,
        imported_rows=rows(record.get("importedRows")),
        total_rows=rows(record.get("totalRows")),
        created_at=timestamp(record.get("createTime")),
        completed_at=timestamp(record.get("completeTime")),
    )


def _plain_job(record: msgspec.Raw, database: str) -> Job | None:
    """Return the job of a record that needs no tidying; None for any other record."""
    try:
        plain = _plain_decoder.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    job_id, collection, state = plain.job_id, plain.collection_name, _AS_WRITTEN.get(plain.state)
    if state is None or not job_id.isprintable() or " " in job_id or not collection.isprintable():
        return None
    return Job(job_id, collection, state, database, None if plain.progress is None else plain.progress / 100.0)


def merged(listed: Job, described: Job) -> Job:
    """Return a listed job with what a describe adds to it.

    The state is the list's, for that is what the next poll is compared with: the two need not agree at a moment, and
    taking now the one and now the other would tell of steps that nobody took.
    """
    tells = listed if listed.state is not JobState.UNKNOWN or described.state is JobState.UNKNOWN else described
    return replace(
        listed,
        state=tells.state,
        raw_state=tells.raw_state,
        collection=listed.collection or described.collection,
        database=listed.database or described.database,
        progress=listed.progress if described.progress is None else described.progress,
        reason=described.reason or listed.reason,
        imported_rows=listed.imported_rows if described.imported_rows is None else described.imported_rows,
        total_rows=listed.total_rows if described.total_rows is None else described.total_rows,
        created_at=listed.created_at if described.created_at is None else described.created_at,
        completed_at=listed.completed_at if described.completed_at is None else described.completed_at,
    )


def first(record: Mapping[str, Any], *keys: str) -> Any:
    """Return the value of the first key that has one."""
    for key in keys:
        value = record.get(key)
        if value is not None and value != "":
            return value
    return None


def raw_id(record: Mapping[str, Any]) -> Any:
    """Return the id of a record as it stands there, under whichever of its names, or None."""
    return first(record, "jobId", "jobID", "taskID", "id")


def reason_of(record: Mapping[str, Any]) -> str:
    """Return the reason of a record or of one of its files."""
    said = first(record, "reason", "errorMessage")
    return "" if said is None else text(said)


def id_from(value: Any) -> str:
    """Return a job's id as text.

    Raises:
        BadRecordError: It is missing, of a wrong type, too long, or not printable.
    """
    if isinstance(value, str) and 0 < len(value) <= ID_LIMIT and value.isprintable() and " " not in value:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRecordError(f"a record's job id is {_kind(value)}")
    job_id = str(value).strip() if isinstance(value, str) or abs(value) < 10**ID_LIMIT else "9" * (ID_LIMIT + 1)
    if not job_id or len(job_id) > ID_LIMIT:
        raise BadRecordError(f"a record's job id has {len(job_id)} characters instead of 1 to {ID_LIMIT}")
    if not job_id.isprintable():
        raise BadRecordError("a record's job id has characters that cannot be printed")
    return job_id


def state_from(value: Any) -> tuple[JobState, str]:
    """Return the normalised state, and the raw word where it is one we do not know."""
    if isinstance(value, str) and value in _AS_WRITTEN:
        return _AS_WRITTEN[value], ""
    if isinstance(value, str | int) and not isinstance(value, bool):
        word = str(value)[:NAME_LIMIT]
        state = _STATES.get(word.strip().lower())
        return (state, "") if state is not None else (JobState.UNKNOWN, name(word))
    return JobState.UNKNOWN, "" if value is None else _kind(value)


def ratio(value: Any) -> float | None:
    """Return a progress in percent as a ratio from 0 to 1, or None where it says nothing.

    Servers send integers, numbers as text, ``"100%"``, and now and then something negative (Milvus issue 31221).
    """
    if type(value) is int and 0 <= value <= 100:  # noqa: PLR2004 - percent
        return value / 100.0
    number = _number(value)
    if number is None or number < 0:
        return None
    return min(number, 100.0) / 100.0


def rows(value: Any) -> int | None:
    """Return a number of rows, or None where it is none."""
    if value is None:
        return None
    number = _number(value)
    return int(number) if number is not None and 0 <= number < _MOST_ROWS else None


def timestamp(value: Any) -> float | None:
    """Return seconds since the epoch from ISO 8601 or from seconds, or None where it is neither.

    Go writes "no time" as the year 1, and a time beyond the year 9999 is one that nobody could write down.
    """
    if value is None:
        return None
    seconds = _number(value)
    if seconds is None and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return seconds if seconds is not None and 0 < seconds < _YEAR_10000 else None


def name(value: Any) -> str:
    """Return a name for a label: one line, bounded, nothing that cannot be shown."""
    return "" if value is None else _clean(value, NAME_LIMIT, _CONTROL)


def text(value: Any) -> str:
    """Return a server's text: bounded, tabs and line ends kept, other control characters replaced."""
    return _clean(value, REASON_LIMIT, _UNPRINTABLE).strip()


def _clean(value: Any, limit: int, bad: re.Pattern[str]) -> str:
    if not isinstance(value, str):
        return ""
    cut = value if len(value) <= limit else value[: limit - 1] + "…"
    return cut if cut.isprintable() else bad.sub("\N{REPLACEMENT CHARACTER}", cut)


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < _MOST_ROWS and math.isfinite(value) else None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value.replace("%", ""))
    return None


def _kind(value: Any) -> str:
    names: Mapping[type, str] = {dict: "an object", list: "an array", bool: "a boolean", float: "a fraction"}
    return "missing" if value is None else names.get(type(value), "a number" if isinstance(value, int) else "text")
