"""The management API of self-hosted Milvus 2.2 and 2.3, as observed on a real 2.3.5 server."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from monitor.api.answers import code_of, envelope
from monitor.api.errors import ApiError, BadResponseError, JobGoneError, TransientError, by_code
from monitor.api.kept import Kept
from monitor.api.listing import Listing, Page, Reading, Records, Remembered, records_in
from monitor.api.records import BadRecordError, id_from, name, ratio, rows, state_from, text, timestamp
from monitor.api.session import Session
from monitor.api.values import value_of
from monitor.config import Cluster
from monitor.jobs import Job, JobState

_TASKS: Final = "/api/v1/import/tasks"
_STATE: Final = "/api/v1/import/state"
_KEY_NOT_FOUND: Final = 1000
_ID: Final = re.compile(r"\d{1,19}", re.ASCII)


class Milvus23Api:
    """The import tasks of one Milvus 2.2 or 2.3, on its management port."""

    def __init__(self, _cluster: Cluster, session: Session) -> None:
        self.session = session
        self._last: Remembered | None = None

    def list_jobs(self, since: object = None) -> Listing:
        """Return every task; there are no pages. Beside an earlier list, return what is new in it.

        Args:
            since: The mark of an earlier listing; all is told where another one was returned since then.

        Raises:
            ApiError: The list could not be had.
        """
        reading = Reading.since(since, self._last)
        reading.read(self._page, _records, _job)
        self._last, listing = reading.end()
        return listing

    def describe(self, job_id: str) -> Job:
        """Return one task.

        Raises:
            JobGoneError: The server says that it does not exist.
            ApiError: There is no verdict.
        """
        if not _ID.fullmatch(job_id):
            raise BadResponseError("a task's id is a number")
        try:
            payload = self.session.call("describe", "GET", _STATE, body={"task": int(job_id)}, check=_checked)
        except ApiError as error:
            if error.code == _KEY_NOT_FOUND and "importtask" in str(error):
                raise JobGoneError(str(error), code=error.code) from None
            raise
        try:
            job = _job(payload)
        except BadRecordError as error:
            raise BadResponseError(str(error)) from None
        if job.job_id != job_id:
            raise BadResponseError("the answer is about another task")
        return job

    def _page(self, _number: int, check: Callable[[Any], Page], kept: Kept[Page]) -> Page:
        body = {"collection_name": "", "limit": 0}
        return self.session.call("list", "GET", _TASKS, body=body, check=check, kept=kept)


def _checked(payload: Any) -> Mapping[str, Any]:
    """Return an answer whose ``status`` is fine; a status says so by being empty."""
    if isinstance(payload, Mapping) and "status" not in payload and "code" in payload:
        envelope(payload)
    if not isinstance(payload, Mapping) or not isinstance(payload.get("status"), Mapping):
        raise BadResponseError("the answer has no status: is this the management port of a Milvus 2.2 or 2.3?")
    status = payload["status"]
    code = code_of(status.get("code")) or code_of(status.get("error_code")) or 0
    if code == 0:
        return payload
    kind = TransientError if status.get("retriable") is True else by_code(code)
    raise kind(f"{text(status.get('reason')) or 'the server gives no reason'} (code {code})", code=code)


def _records(payload: Any) -> Records:
    tasks = _checked(payload).get("tasks")
    if tasks is not None and not isinstance(tasks, list):
        raise BadResponseError("the answer's tasks are no list")
    return records_in(tasks, None)


def _job(task: Any) -> Job:
    """Return the job of a task. Go leaves out what is zero: a task without ``state`` is pending (observed)."""
    if isinstance(task, msgspec.Raw):
        task = value_of(task)
    if not isinstance(task, Mapping):
        raise BadRecordError("a task is no object")
    infos = (
        {
            info["key"]: info.get("value")
            for info in task.get("infos") or ()
            if isinstance(info, Mapping) and isinstance(info.get("key"), str)
        }
        if isinstance(task.get("infos"), list)
        else {}
    )
    state, raw_state = state_from(task.get("state", 0))
    progress = ratio(infos.get("progress_percent"))
    imported = rows(task.get("row_count"))
    return Job(
        job_id=id_from(task.get("id")),
        collection=name(infos.get("collection")),
        state=state,
        raw_state=raw_state,
        progress=0.0 if progress is None and state is JobState.PENDING else progress,
        reason=text(infos.get("failed_reason")),
        imported_rows=imported or None,
        created_at=timestamp(task.get("create_ts")),
    )
