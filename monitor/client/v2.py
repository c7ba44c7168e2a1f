"""The v2 API: Zilliz Cloud, and self-hosted Milvus since 2.4."""

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from monitor.client.decoding import envelope
from monitor.client.errors import ApiError, ApiMissingError, BadResponseError, JobGoneError, UnauthorizedError
from monitor.client.import_files import ImportFile, files_in
from monitor.client.list_page import Page, decode_page
from monitor.client.pagination import read_list
from monitor.client.records import BadRecordError, is_gone, raw_id, reason, record_from, says_gone, text
from monitor.client.session import Session
from monitor.config import Cluster
from monitor.jobs import JobList, JobRecord

_LIST: Final = "/v2/vectordb/jobs/import/list"
_DESCRIBE: Final = tuple(f"/v2/vectordb/jobs/import/{name}" for name in ("describe", "getProgress", "get_progress"))
_ZILLIZ_GONE: Final = 96026
_REASONS: Final = 5
"""Reasons of files that make the reason of a job without one."""


class V2Api:
    """The import jobs of one cluster behind the v2 API."""

    def __init__(self, cluster: Cluster, session: Session) -> None:
        self.session = session
        self._page_size = cluster.page_size
        self._databases = cluster.databases or ("",)
        self._describe_paths = _DESCRIBE
        ids = {"clusterId": cluster.cluster_id, "projectId": cluster.project_id, "regionId": cluster.region_id}
        self._ids = {field: value for field, value in ids.items() if value}

    def list_jobs(self, previous: JobList) -> JobList:
        """Return every job; see ``ImportApi``.

        Zilliz Cloud lists one database. Self-hosted Milvus lists all, whatever is asked for, and no record says its
        database; there only the right to read depends on the ``DB-Name`` header.
        """
        return read_list(self._fetch, self._decode, previous, self._databases)

    def describe(self, job_id: str) -> JobRecord:
        """Return one job; see ``ImportApi``. It is gone where no database has it."""
        return self._describe(job_id)[0]

    def import_files(self, job_id: str) -> tuple[ImportFile, ...]:
        """Return the files of a job; see ``ImportApi``."""
        return files_in(self._describe(job_id)[1])

    def _fetch(self, database: str, number: int, parse: Callable[[bytes], bool]) -> bool:
        body = self._ids | {"pageSize": self._page_size, "currentPage": number}
        if database:
            body["dbName"] = database
        return self.session.call("list", "POST", _LIST, body=body, headers=_header(database), parse=parse)

    def _decode(self, content: bytes, database: str) -> Page:
        return decode_page(self.session, self._page_size, content, database if self._ids else "")

    def _describe(self, job_id: str) -> tuple[JobRecord, Any]:
        refusals: list[ApiError] = []
        for database in self._databases:
            try:
                return described(self._describe_in(database, job_id), job_id, database if self._ids else "")
            except (UnauthorizedError, JobGoneError) as error:
                refusals.append(error)
        raise next((error for error in refusals if not isinstance(error, JobGoneError)), refusals[0])

    def _describe_in(self, database: str, job_id: str) -> Any:
        """Describe a job by the first spelling of the path that the server has.

        The one that was answered comes first the next time; the others stay, for a gateway may say 404 for a moment,
        and servers are upgraded.
        """
        body = self._ids | {"jobId": job_id}
        for path in self._describe_paths:
            try:
                data = self.session.call(
                    "describe",
                    "POST",
                    path,
                    body=body,
                    headers=_header(database),
                    parse=lambda content: describe_data(self.session.decode(content), job_id),
                )
            except ApiMissingError:
                if path == self._describe_paths[-1]:
                    raise
            else:
                self._describe_paths = (path, *(other for other in _DESCRIBE if other != path))
                return data
        raise AssertionError("there is always a path to ask")


def describe_data(payload: Any, job_id: str) -> Any:
    """Return the ``data`` of a v1 or v2 describe.

    Raises:
        JobGoneError: The server says that this job does not exist: in Milvus' sentence with its id, or by Zilliz
            Cloud's code 96026. Other things that do not exist (a bucket, another job) are no verdict.
        ApiError: By its code.
    """
    try:
        return envelope(payload)
    except ApiError as error:
        if error.code == _ZILLIZ_GONE or says_gone(str(error), job_id):
            raise JobGoneError(str(error), code=error.code) from None
        raise


def described(data: Any, job_id: str, database: str = "") -> tuple[JobRecord, Any]:
    """Return the job in a describe's data, and the job's own part of the data.

    Where the job has no reason, it is made of those of its files.

    Raises:
        JobGoneError: The job's failure is that it does not exist.
        BadResponseError: The data is no job, or another one.
    """
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise BadResponseError("the answer to describe has a code of success, but no job in its data")
    try:
        record = record_from(data if raw_id(data) is not None else data | {"jobId": job_id}, database)
    except BadRecordError:
        raise BadResponseError("the answer to describe is no job") from None
    if record.job_id != job_id:
        raise BadResponseError("the answer to describe is about another job")
    if is_gone(record):
        raise JobGoneError(record.reason)
    details = data.get("details")
    if not record.reason and isinstance(details, list):
        reasons = dict.fromkeys(reason(file) for file in details if isinstance(file, dict))
        record = replace(record, reason=text("; ".join([words for words in reasons if words][:_REASONS])))
    return record, data


def _header(database: str) -> dict[str, str]:
    return {"DB-Name": database} if database else {}
