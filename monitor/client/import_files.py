"""The files of an import job, as a describe reports them; requested when somebody opens the page of the job."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.client import records
from monitor.jobs import JobState, normalize_state

FILES: Final = 1000
"""Files of one job that are shown, at most."""


@dataclass(frozen=True, slots=True)
class ImportFile:
    """One file of an import job.

    Attributes:
        name: Its path, or several of them that belong together.
        state: Normalised state; unknown where the answer does not say.
        progress: 0 to 1, or None.
        size: Bytes, or None.
        imported_rows: Rows imported so far, or None.
        total_rows: Rows in all, or None.
        reason: The server's text on a failure; empty when there is none.
    """

    name: str
    state: JobState = JobState.UNKNOWN
    progress: float | None = None
    size: int | None = None
    imported_rows: int | None = None
    total_rows: int | None = None
    reason: str = ""


def files_in(data: Any) -> tuple[ImportFile, ...]:
    """Return the files in the data of a describe, of whichever generation; none where it has none."""
    if not isinstance(data, Mapping):
        return ()
    details = data.get("details")
    if isinstance(details, list):
        return tuple(_file(detail) for detail in details[:FILES] if isinstance(detail, Mapping))
    infos = data.get("infos")
    for info in infos if isinstance(infos, list) else ():
        if isinstance(info, Mapping) and info.get("key") == "files":
            return tuple(ImportFile(records.text(path)) for path in _paths(info.get("value"))[:FILES])
    return ()


def _file(record: Mapping[str, Any]) -> ImportFile:
    raw = record.get("fileName")
    progress = records.percent(records.first(record, "progress", "readyPercentage"))
    return ImportFile(
        name=records.text(", ".join(part for part in raw if isinstance(part, str)) if isinstance(raw, list) else raw),
        state=normalize_state(records.state(record.get("state"))),
        progress=None if progress is None else progress / 100,
        size=records.rows(record.get("fileSize")),
        imported_rows=records.rows(record.get("importedRows")),
        total_rows=records.rows(record.get("totalRows")),
        reason=records.reason(record),
    )


def _paths(value: Any) -> list[str]:
    """Return the paths of Milvus 2.3, which are a list as JSON, or text with commas."""
    if not isinstance(value, str):
        return []
    try:
        listed = json.loads(value)
    except (ValueError, RecursionError):
        return [path.strip() for path in value.split(",") if path.strip()]
    return [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else [records.name(value)]
