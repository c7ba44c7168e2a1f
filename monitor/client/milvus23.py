"""The management API of self-hosted Milvus 2.2 and 2.3, as observed on a real 2.3.5 server."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from monitor.client import records
from monitor.client.decoding import code_of, envelope
from monitor.client.errors import BadResponseError, JobGoneError, TransientError, by_code
from monitor.client.import_files import ImportFile, files_in
from monitor.client.list_page import Page, page_of
from monitor.client.pagination import read_list
from monitor.client.records import BadRecordError, says_gone
from monitor.client.session import Session
from monitor.config import Cluster
from monitor.jobs import JobList, JobRecord, JobState, normalize_state

_TASKS: Final = "/api/v1/import/tasks"
_STATE: Final = "/api/v1/import/state"
_KEY_NOT_FOUND: Final = 1000
_UNEXPECTED_ERROR: Final = 1
_NEWER_SERVER: Final = "this may be Milvus 2.4 or newer: use `api: v2` and port 19530"
_ID: Final = re.compile(r"\d{1,19}", re.ASCII)


class Milvus23Api:
    """The import tasks of one Milvus 2.2 or 2.3, on its management port."""

    def __init__(self, _cluster: Cluster, session: Session) -> None:
        self.session = session

    def list_jobs(self, previous: JobList) -> JobList:
        """Return every task; there are no pages. See ``ImportApi``."""
        return read_list(self._fetch, self._decode, previous, hint=_NEWER_SERVER)

    def describe(self, job_id: str) -> JobRecord:
        """Return one task; see ``ImportApi``."""
        return self._describe(job_id)[0]

    def import_files(self, job_id: str) -> tuple[ImportFile, ...]:
        """Return the files of a task; see ``ImportApi``."""
        return files_in(self._describe(job_id)[1])

    def _fetch(self, _database: str, _number: int, parse: Callable[[bytes], bool]) -> bool:
        return self.session.call("list", "GET", _TASKS, body={"collection_name": "", "limit": 0}, parse=parse)

    def _decode(self, content: bytes, _database: str) -> Page:
        tasks = checked(self.session.decode(content)).get("tasks")
        if tasks is not None and not isinstance(tasks, list):
            raise BadResponseError("the answer's tasks are no list")
        return page_of(tasks or (), record_of_task)

    def _describe(self, job_id: str) -> tuple[JobRecord, Any]:
        if not _ID.fullmatch(job_id):
            raise BadResponseError("a task's id is a number")

        def parse(content: bytes) -> Any:
            return checked(self.session.decode(content), job_id)

        task = self.session.call("describe", "GET", _STATE, body={"task": int(job_id)}, parse=parse)
        try:
            record = record_of_task(task)
        except BadRecordError as error:
            raise BadResponseError(str(error)) from None
        if record.job_id != job_id:
            raise BadResponseError("the answer is about another task")
        return record, task


def checked(payload: Any, job_id: str = "") -> Mapping[str, Any]:
    """Return an answer whose ``status`` is a success, which an empty one is; ``job_id`` is that of a describe.

    Raises:
        JobGoneError: The server says that this task does not exist.
        ApiError: By the code of the status; ``BadResponseError`` where there is no status.
    """
    if isinstance(payload, Mapping) and "status" not in payload and "code" in payload:
        envelope(payload)
    if not isinstance(payload, Mapping) or not isinstance(payload.get("status"), Mapping):
        raise BadResponseError("the answer has no status: is this the management port of a Milvus 2.2 or 2.3?")
    status = payload["status"]
    code = code_of(status.get("code")) or code_of(status.get("error_code")) or 0
    if code == 0:
        return payload
    reason = records.text(status.get("reason"))
    message = f"{reason or 'the server gives no reason'} (code {code})"
    if job_id and _says_gone(code, reason, job_id):
        raise JobGoneError(message, code=code)
    kind = TransientError if status.get("retriable") is True else by_code(code)
    raise kind(message, code=code)


def _says_gone(code: int, reason: str, job_id: str) -> bool:
    """Say whether an error means that a task does not exist, in the words of 2.3, of 2.2, or of a newer server."""
    if code == _KEY_NOT_FOUND:
        return re.search(rf"importtask(?!/)|importtask/{job_id}(?!\d)", reason) is not None
    return (code == _UNEXPECTED_ERROR and "import task id doesn't exist" in reason) or says_gone(reason, job_id)


def record_of_task(given: Any) -> JobRecord:
    """Return the record of a task. Go leaves out what is zero: a task without ``state`` is pending (observed).

    Raises:
        BadRecordError: It is no object, or has no usable id: newer servers list tasks without ids on this port.
    """
    task = records.decoded_record(given)
    listed = task.get("infos")
    infos = {
        info["key"]: info.get("value")
        for info in (listed if isinstance(listed, list) else ())
        if isinstance(info, Mapping) and isinstance(info.get("key"), str)
    }
    if task.get("id") == 0:
        raise BadRecordError("a task's id is 0")
    word = records.state(task.get("state", 0))
    progress = records.percent(infos.get("progress_percent"))
    return JobRecord(
        job_id=records.id_from(task.get("id")),
        state=word,
        collection=records.name(infos.get("collection")),
        progress=0.0 if progress is None and normalize_state(word) is JobState.PENDING else progress,
        reason=records.text(infos.get("failed_reason")),
        imported_rows=records.rows(task.get("row_count")) or None,
        create_time=records.time_text(task.get("create_ts")),
    )
