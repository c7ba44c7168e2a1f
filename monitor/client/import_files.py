"""The files of an import job, as a describe reports them; requested when somebody opens the page of the job."""

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from monitor.client import records
from monitor.jobs import JobState, normalize_state

FILES: Final = 1000
"""Files of one job that are shown, at most."""


class ImportFile(msgspec.Struct, frozen=True, gc=False):
    """One file of an import job, or several that belong together; ``progress`` is a ratio, ``size`` is in bytes."""

    name: str
    state: JobState = JobState.UNKNOWN
    progress: float | None = None
    size: int | None = None
    imported_rows: int | None = None
    total_rows: int | None = None
    reason: str = ""


def files_in(data: Mapping[str, Any]) -> tuple[ImportFile, ...]:
    """Return the files in the data of a describe, of whichever generation; none where it has none."""
    details = data.get("details")
    if isinstance(details, list):
        return tuple(_file(detail) for detail in details[:FILES] if isinstance(detail, dict))
    paths = _paths(records.infos(data).get("files"))
    return tuple(ImportFile(records.text(path)) for path in paths[:FILES])


def _file(detail: dict[str, Any]) -> ImportFile:
    name = detail.get("fileName")
    if isinstance(name, list):
        name = ", ".join(part for part in name if isinstance(part, str))
    progress = records.progress(detail)
    return ImportFile(
        name=records.text(name),
        state=normalize_state(records.state(detail.get("state"))),
        progress=None if progress is None else progress / 100,
        size=records.rows(detail.get("fileSize")),
        imported_rows=records.rows(detail.get("importedRows")),
        total_rows=records.rows(detail.get("totalRows")),
        reason=records.reason(detail),
    )


def _paths(value: Any) -> list[str]:
    """Return the paths of Milvus 2.3, which are a list as JSON, or text with commas."""
    if not isinstance(value, str):
        return []
    try:
        listed = json.loads(value)
    except (ValueError, RecursionError):
        return [path.strip() for path in value.split(",") if path.strip()]
    return [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else [value]
