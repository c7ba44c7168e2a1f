"""The files of an import job, as a describe tells them; asked for when somebody looks at the job."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from monitor.api.records import first, name, ratio, reason_of, rows, state_from, text
from monitor.api.session import Session
from monitor.jobs import JobState

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


class Overheard(Session):
    """A session that keeps the data of its latest answer, of which ``Job`` takes only what every poll needs."""

    data: Any = None

    def call(self, *arguments: Any, **named: Any) -> Any:
        """Send a request; see ``Session.call``."""
        self.data = super().call(*arguments, **named)
        return self.data


def files_in(data: Any) -> tuple[ImportFile, ...]:
    """Return the files that the data of a describe names, of whichever generation; none where there is no telling."""
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, Mapping):
        return ()
    details = data.get("details")
    if isinstance(details, list):
        return tuple(_file(one) for one in details[:FILES] if isinstance(one, Mapping))
    infos = data.get("infos")
    for info in infos if isinstance(infos, list) else ():
        if isinstance(info, Mapping) and info.get("key") == "files":
            return tuple(ImportFile(text(path)) for path in _paths(info.get("value"))[:FILES])
    return ()


def _file(record: Mapping[str, Any]) -> ImportFile:
    raw = record.get("fileName")
    return ImportFile(
        name=text(", ".join(part for part in raw if isinstance(part, str)) if isinstance(raw, list) else raw),
        state=state_from(record.get("state"))[0],
        progress=ratio(first(record, "progress", "readyPercentage")),
        size=rows(record.get("fileSize")),
        imported_rows=rows(record.get("importedRows")),
        total_rows=rows(record.get("totalRows")),
        reason=reason_of(record),
    )


def _paths(value: Any) -> list[str]:
    """Return the paths of Milvus 2.3, which are a list as JSON, or text with commas."""
    if not isinstance(value, str):
        return []
    try:
        listed = json.loads(value)
    except (ValueError, RecursionError):
        return [path.strip() for path in value.split(",") if path.strip()]
    return [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else [name(value)]
