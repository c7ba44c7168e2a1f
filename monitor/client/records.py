"""From a record of a response to a `JobRecord` or a job's files, in every spelling that servers are known to use."""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from monitor.client.errors import BadRecordError
from monitor.jobs import ID_LIMIT, NAME_LIMIT, REASON_LIMIT, JobRecord, JobState, normalize_state

FILES: Final = 1000
"""Files of one job that are shown, at most."""

_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NUMBER: Final = re.compile(r"\s*[-+]?\d{1,18}(\.\d{1,18})?\s*%?\s*", re.ASCII)
_NUMBER_LIMIT: Final = 2**63
_KINDS: Final = {dict: "an object", list: "an array", bool: "a boolean", float: "a fraction", int: "a number"}


class ImportFile(msgspec.Struct, frozen=True, gc=False):
    """One file of an import job, or several that belong together; ``progress`` is a ratio, ``size`` is in bytes."""

    name: str
    state: JobState = JobState.UNKNOWN
    progress: float | None = None
    size: int | None = None
    imported_rows: int | None = None
    total_rows: int | None = None
    reason: str = ""


def record_from(value: Any, database: str = "") -> JobRecord:
    """Return one record of a v1 or v2 response; raise ``BadRecordError`` where it is no object with a usable id.

    ``database`` is the one that was asked for, where the server filters by it.
    """
    record = checked_object(value)
    return JobRecord(
        job_id=id_from(raw_id(record)),
        state=state(record.get("state")),
        collection=name(record.get("collectionName")),
        progress=percent(record.get("progress")),
        reason=reason(record),
        database=database or name(record.get("dbName")),
        imported_rows=rows(record.get("importedRows")),
        total_rows=rows(record.get("totalRows")),
        create_time=time_text(record.get("createTime")),
        complete_time=time_text(record.get("completeTime")),
    )


def files_in(data: Mapping[str, Any]) -> tuple[ImportFile, ...]:
    """Return the files in the data of a describe, of whichever generation; none where it has none."""
    details = data.get("details")
    if isinstance(details, list):
        return tuple(_file(detail) for detail in details[:FILES] if isinstance(detail, dict))
    paths = infos(data).get("files")  # joined by commas, as in import_manager.go of Milvus 2.3
    names = paths.split(",")[:FILES] if isinstance(paths, str) else []
    return tuple(ImportFile(text(name)) for name in names if name.strip())


def _file(detail: dict[str, Any]) -> ImportFile:
    names, percentage = detail.get("fileName"), progress(detail)
    if isinstance(names, list):
        names = ", ".join(part for part in names if isinstance(part, str))
    return ImportFile(
        name=text(names),
        state=normalize_state(state(detail.get("state"))),
        progress=None if percentage is None else percentage / 100,
        size=rows(detail.get("fileSize")),
        imported_rows=rows(detail.get("importedRows")),
        total_rows=rows(detail.get("totalRows")),
        reason=reason(detail),
    )


def checked_object(value: Any) -> dict[str, Any]:
    """Return a record that is an object; raise ``BadRecordError`` for any other."""
    if not isinstance(value, dict):
        raise BadRecordError(f"a record is {_kind(value)} instead of an object")
    return value


def infos(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by key of a task of Milvus 2.3, which has them as a list of pairs."""
    pairs = task.get("infos")
    objects = (pair for pair in (pairs if isinstance(pairs, list) else ()) if isinstance(pair, dict))
    return {str(pair.get("key")): pair.get("value") for pair in objects}


def says_gone(message: str, job_id: str) -> bool:
    """Return whether a text is Milvus' sentence that this job, and not another one, does not exist."""
    sentence = rf"import job does not exist, jobID={re.escape(job_id)}(?=[\s,:;)\]]|\.?$)"
    return "does not exist" in message and re.search(sentence, message) is not None


def is_gone(record: JobRecord) -> bool:
    """Return whether a record only says that its job does not exist, as in garbage collection (milvus-docs 3635)."""
    return says_gone(record.reason, record.job_id) and normalize_state(record.state) is JobState.FAILED


def first(record: Mapping[str, Any], *keys: str) -> Any:
    """Return the value of the first key that has one."""
    return next((record[key] for key in keys if record.get(key) not in (None, "")), None)


def raw_id(record: Mapping[str, Any]) -> Any:
    """Return the id of a record, under whichever of its names, or None."""
    return first(record, "jobId", "jobID", "taskID", "id")


def id_from(value: Any) -> str:
    """Return a job's id as text; ``BadRecordError`` where it is missing, of a wrong type, too long or not printable."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRecordError(f"a record's job id is {_kind(value)}")
    job_id = str(value).strip()
    if not job_id or len(job_id) > ID_LIMIT:
        raise BadRecordError(f"a record's job id has {len(job_id)} characters instead of 1 to {ID_LIMIT}")
    if not job_id.isprintable():
        raise BadRecordError("a record's job id has characters that cannot be printed")
    return job_id


def state(value: Any) -> str:
    """Return the server's word for a state; a number as text, and of anything else what it is."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return name(str(value))
    return "" if value is None else _kind(value)


def percent(value: Any) -> float | None:
    """Return a progress from 0 to 100, or None where the value says nothing.

    Servers send integers, numbers as text, ``"100%"``, and now and then something negative (Milvus issue 31221).
    """
    number = _number(value)
    return None if number is None or number < 0 else min(number, 100.0)


def progress(data: Mapping[str, Any]) -> float | None:
    """Return the percentage in a describe, or in one of its files; v1 has ``readyPercentage`` instead of ``progress``.

    That is documented as a percentage, and is 1 in the documented response about a job that has ended: what is below 1
    is a ratio, and 1 is all of it once there is a ``completeTime``, else it says nothing.
    """
    value, ready = percent(data.get("progress")), percent(data.get("readyPercentage"))
    if value is not None or ready is None or ready > 1:
        return ready if value is None else value
    return ready * 100 if ready < 1 or data.get("completeTime") else None


def rows(value: Any) -> int | None:
    """Return a number of rows, or None where the value is none."""
    number = _number(value)
    return int(number) if number is not None and 0 <= number < _NUMBER_LIMIT else None


def time_text(value: Any) -> str:
    """Return a time as the server writes it, a number of seconds as text."""
    number = None if isinstance(value, str) else _number(value)
    return name(value) if number is None else f"{number:.15g}"


def reason(record: Mapping[str, Any]) -> str:
    """Return the reason of a record or of one of its files."""
    return text(first(record, "reason", "errorMessage"))


def name(value: Any) -> str:
    """Return a name for a label: one line, bounded, printable."""
    return _clean(value, NAME_LIMIT, _CONTROL)


def text(value: Any) -> str:
    """Return a server's text: bounded, tabs and line ends kept, other control characters replaced."""
    return _clean(value, REASON_LIMIT, _UNPRINTABLE).strip()


def _clean(value: Any, limit: int, bad: re.Pattern[str]) -> str:
    if not isinstance(value, str):
        return ""
    cut = value if len(value) <= limit else value[: limit - 1] + "…"
    return cut if cut.isprintable() else bad.sub("\N{REPLACEMENT CHARACTER}", cut)


def _number(value: Any) -> float | None:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value.replace("%", ""))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < _NUMBER_LIMIT else None


def _kind(value: Any) -> str:
    return "missing" if value is None else _KINDS.get(type(value), "text")
