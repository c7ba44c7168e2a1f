"""The v2 API: Zilliz Cloud, and self-hosted Milvus since 2.4."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from monitor.api.answers import envelope
from monitor.api.errors import ApiError, ApiMissingError, BadResponseError, JobGoneError, UnauthorizedError
from monitor.api.kept import Kept
from monitor.api.listing import Listing, Page, Reading, Records, Remembered, records_in
from monitor.api.records import BadRecordError, job_from, raw_id, reason_of, text
from monitor.api.session import Session
from monitor.config import Cluster
from monitor.jobs import Job

_LIST: Final = "/v2/vectordb/jobs/import/list"
_DESCRIBE: Final = tuple(f"/v2/vectordb/jobs/import/{name}" for name in ("describe", "getProgress", "get_progress"))

_IMPORT_FAILED: Final = (2100, 2101)
_ZILLIZ_GONE: Final = 96026
_NO_SUCH_JOB: Final = re.compile(r"\bjob\S* (\S+ )?does not exist", re.IGNORECASE)
_REASONS: Final = 5


class V2Api:
    """The import jobs of one cluster behind the v2 API."""

    def __init__(self, cluster: Cluster, session: Session) -> None:
        self.session = session
        self._page_size = cluster.page_size
        self._databases = cluster.databases or ("",)
        self._describe_paths = _DESCRIBE
        ids = {"clusterId": cluster.cluster_id, "projectId": cluster.project_id, "regionId": cluster.region_id}
        self._ids = {field: value for field, value in ids.items() if value}
        self._filters_by_database = bool(self._ids)
        self._last: Remembered | None = None

    def list_jobs(self, since: object = None) -> Listing:
        """Return every job, page by page and database by database; beside an earlier list, what is new in it.

        Zilliz Cloud lists one database; self-hosted Milvus lists them all whatever it is asked for, and says of no job
        where it belongs, so there ``database`` stays empty and only the right to read hangs on the ``DB-Name`` header.

        Args:
            since: The mark of an earlier listing; all is told where another one was returned since then.

        Raises:
            ApiError: Some page could not be had: there is no partial listing.
        """
        reading = Reading.since(since, self._last)
        for database in self._databases:
            parse = partial(job_from, database=database if self._filters_by_database else "")
            reading.read(partial(self._page, database), self._records, parse, database)
        self._last, listing = reading.end()
        return listing

    def describe(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            JobGoneError: The server says that it does not exist, in whichever database.
            ApiError: There is no verdict.
        """
        refusals: list[ApiError] = []
        for database in self._databases:
            try:
                return self._describe_in(database, job_id)
            except (UnauthorizedError, JobGoneError) as error:
                refusals.append(error)
        raise next((error for error in refusals if not isinstance(error, JobGoneError)), refusals[0])

    def _page(self, database: str, number: int, check: Callable[[Any], Page], kept: Kept[Page]) -> Page:
        body = self._ids | {"pageSize": self._page_size, "currentPage": number}
        if database:
            body["dbName"] = database
        return self.session.call("list", "POST", _LIST, body=body, headers=_of(database), check=check, kept=kept)

    def _records(self, payload: Any) -> Records:
        return records_in(envelope(payload), self._page_size)

    def _describe_in(self, database: str, job_id: str) -> Job:
        """Describe a job by the first spelling of the path that the server has.

        The one that was answered comes first the next time; the others stay, for a gateway may say 404 for a moment,
        and servers are upgraded.
        """
        body = self._ids | {"jobId": job_id}
        for path in self._describe_paths:
            try:
                data = self.session.call("describe", "POST", path, body=body, headers=_of(database), check=envelope)
            except ApiMissingError:
                if path == self._describe_paths[-1]:
                    raise
            except ApiError as error:
                if says_gone(error):
                    raise JobGoneError(str(error), code=error.code) from None
                raise
            else:
                self._describe_paths = (path, *(other for other in _DESCRIBE if other != path))
                return described(data, job_id, database if self._filters_by_database else "")
        raise AssertionError("there is always a path to ask")


def says_gone(error: ApiError) -> bool:
    """Say whether an error is the server's word that a job does not exist.

    Milvus: "import job does not exist, jobID=…" with the general codes of a failed import, under which a missing file
    or bucket "does not exist" too; Zilliz Cloud: 96026.
    """
    return error.code == _ZILLIZ_GONE or (error.code in _IMPORT_FAILED and _NO_SUCH_JOB.search(str(error)) is not None)


def described(data: Any, job_id: str, database: str = "") -> Job:
    """Return the job of a describe's data, with the reasons of its files where it has none of its own.

    Raises:
        BadResponseError: The data is no job, or another one.
    """
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise BadResponseError("the answer to describe has a code of success, but no job in its data")
    try:
        job = job_from(data if raw_id(data) is not None else data | {"jobId": job_id}, database=database)
    except BadRecordError:
        raise BadResponseError("the answer to describe is no job") from None
    if job.job_id != job_id:
        raise BadResponseError("the answer to describe is about another job")
    details = data.get("details")
    if job.reason or not isinstance(details, list):
        return job
    reasons = dict.fromkeys(reason_of(file) for file in details if isinstance(file, dict))
    return replace(job, reason=text("; ".join([reason for reason in reasons if reason][:_REASONS])))


def _of(database: str) -> dict[str, str]:
    return {"DB-Name": database} if database else {}
