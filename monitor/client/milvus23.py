"""The management API of self-hosted Milvus 2.2 and 2.3, as observed on a real 2.3.5 server."""

import re
from collections.abc import Callable
from typing import Any, Final

from monitor.client import records
from monitor.client.decoding import Body, code_of, envelope
from monitor.client.errors import BY_CODE, ApiError, BadRecordError, BadResponseError, JobGoneError, TransientError
from monitor.client.import_api import ImportApi
from monitor.client.pagination import Page, page_of
from monitor.jobs import JobRecord, JobState, normalize_state

_KEY_NOT_FOUND: Final = 1000
_UNEXPECTED_ERROR: Final = 1
_ID: Final = re.compile(r"\d{1,19}", re.ASCII)


class Milvus23Api(ImportApi):
    """The import tasks of one Milvus 2.2 or 2.3, on its management port; they have no pages."""

    _hint = "this may be Milvus 2.4 or newer: use `api: v2` and port 19530"

    def _fetch(self, _database: str, _number: int, parse: Callable[[Body], bool]) -> bool:
        return self.session.call("list", "GET", "/api/v1/import/tasks", parse, body={"collection_name": "", "limit": 0})

    def _decode(self, body: Body, _database: str) -> Page:
        tasks = checked(body.json()).get("tasks")
        if tasks is not None and not isinstance(tasks, list):
            raise BadResponseError("the response's tasks are no list")
        return page_of(tasks or (), record_of_task)

    def _describe(self, job_id: str) -> tuple[JobRecord, dict[str, Any]]:
        if not _ID.fullmatch(job_id):
            raise BadResponseError("a task's id is a number")
        task = self.session.call(
            "describe",
            "GET",
            "/api/v1/import/state",
            lambda body: checked(body.json(), job_id),
            body={"task": int(job_id)},
        )
        record = record_of_task(task)
        if record.job_id != job_id:
            raise BadResponseError("the response is about another task")
        return record, task


def checked(payload: Any, job_id: str = "") -> dict[str, Any]:
    """Return a response whose ``status`` is a success, which an empty one is; ``job_id`` is that of a describe.

    Raises:
        JobGoneError: The server says that this task does not exist.
        ApiError: By the code of the status; ``BadResponseError`` where there is no status.
    """
    if isinstance(payload, dict) and "status" not in payload and "code" in payload:
        envelope(payload)
    if not isinstance(payload, dict) or not isinstance(payload.get("status"), dict):
        raise BadResponseError("the response has no status: is this the management port of a Milvus 2.2 or 2.3?")
    status = payload["status"]
    code = code_of(status.get("code")) or code_of(status.get("error_code")) or 0
    if code == 0:
        return payload
    reason = records.text(status.get("reason"))
    message = f"{reason or 'the server gives no reason'} (code {code})"
    if job_id and _says_gone(code, reason, job_id):
        raise JobGoneError(message, code=code)
    kind = TransientError if status.get("retriable") is True else BY_CODE.get(code, ApiError)
    raise kind(message, code=code)


def _says_gone(code: int, reason: str, job_id: str) -> bool:
    """Return whether an error means that a task does not exist, in the words of 2.3, of 2.2, or of a newer server."""
    if code == _KEY_NOT_FOUND:
        return re.search(rf"importtask(?!/)|importtask/{job_id}(?!\d)", reason) is not None
    without_task = code == _UNEXPECTED_ERROR and "import task id doesn't exist" in reason
    return without_task or records.says_gone(reason, job_id)


def record_of_task(value: Any) -> JobRecord:
    """Return the record of a task. Go leaves out what is zero: a task without ``state`` is pending (observed).

    Raises:
        BadRecordError: It is no object, or has no usable id: newer servers list tasks without ids on this port.
    """
    task = records.checked_object(value)
    if task.get("id") == 0:
        raise BadRecordError("a task's id is 0")
    infos = records.infos(task)
    state = records.state(task.get("state", 0))
    progress = records.percent(infos.get("progress_percent"))
    return JobRecord(
        job_id=records.id_from(task.get("id")),
        state=state,
        collection=records.name(infos.get("collection")),
        progress=0.0 if progress is None and normalize_state(state) is JobState.PENDING else progress,
        reason=records.text(infos.get("failed_reason")),
        imported_rows=records.rows(task.get("row_count")) or None,
        create_time=records.time_text(task.get("create_ts")),
    )
