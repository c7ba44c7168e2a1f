"""The v2 API: Zilliz Cloud, and self-hosted Milvus since 2.4."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from monitor.client.databases import KnownDatabases
from monitor.client.decoding import Body, envelope
from monitor.client.errors import (
    ApiError,
    ApiMissingError,
    BadResponseError,
    JobGoneError,
    NotFoundError,
    UnauthorizedError,
)
from monitor.client.import_api import ImportApi
from monitor.client.pagination import ListReader, Page, decode_page
from monitor.client.records import is_gone, progress, raw_id, reason, record_from, says_gone, text
from monitor.client.session import Session
from monitor.config import Cluster
from monitor.jobs import JobList, JobRecord

_IMPORT: Final = "/v2/vectordb/jobs/import"
_DESCRIBE: Final = ["describe", "getProgress", "get_progress"]
_ZILLIZ_GONE: Final = 96026
_NO_COLLECTION: Final = (100, 800)  # no such collection in the database, no such database
_REASONS: Final = 5
"""Reasons of files that make the reason of a job without one."""


class V2Api(ImportApi):
    """The import jobs of one cluster behind the v2 API.

    Zilliz Cloud lists one database. Self-hosted Milvus lists all, whatever is asked for, and no record says its
    database; there only the right to read depends on the ``DB-Name`` header. With ``collectionName``, it lists the jobs
    of that collection in that database.
    """

    def __init__(self, cluster: Cluster, session: Session, known_databases: KnownDatabases | None = None) -> None:
        super().__init__(cluster, session, known_databases)
        self._databases = cluster.databases or ("",)
        ids = {"clusterId": cluster.cluster_id, "projectId": cluster.project_id, "regionId": cluster.region_id}
        self._ids = {field: value for field, value in ids.items() if value}
        self._spellings = _DESCRIBE
        if self._followed is not None:
            self._use(self._followed.known)
        elif len(self._databases) > 1 and not self._ids:
            self.lookup_databases = self._databases

    def list_jobs(self, previous: JobList) -> JobList:
        """Return the complete list, of the databases that the cluster has now where `databases` is `all`."""
        if self._followed is not None:
            self._followed.refresh()
            self._use(self._followed.known)
        return super().list_jobs(previous)

    def _use(self, known: KnownDatabases) -> None:
        """List the databases that are known; a job is looked up also in a single one, for there may soon be another."""
        self._databases = known.names
        self.lookup_databases = () if self._ids else known.names

    def _list_database(self, database: str, reader: ListReader) -> None:
        """List the jobs of a database; one that has been dropped meanwhile has none."""
        try:
            super()._list_database(database, reader)
        except NotFoundError as error:
            if self._followed is None or isinstance(error, ApiMissingError):
                raise
            if not self._followed.confirm_dropped(database):
                raise
            self._use(self._followed.known)

    def list_collection(self, database: str, collection: str) -> Mapping[str, JobRecord]:
        """Return the jobs of one collection, which self-hosted Milvus lists all at once."""
        reader = ListReader(self._decode, JobList())
        try:
            if self._fetch(database, 1, partial(reader.add, database, 1), collection):
                raise BadResponseError("the list of one collection has several pages")
        except NotFoundError as error:
            if error.code not in _NO_COLLECTION:
                raise
        return reader.result(self._hint).records

    def _fetch(self, database: str, number: int, parse: Callable[[Body], bool], collection: str = "") -> bool:
        body = self._ids | {"pageSize": self._cluster.page_size, "currentPage": number}
        if database:
            body["dbName"] = database
        if collection:
            body["collectionName"] = collection
        return self.session.call("list", "POST", f"{_IMPORT}/list", parse, body=body, database=database)

    def _decode(self, body: Body, database: str) -> Page:
        return decode_page(body, self._cluster.page_size, self._filtered_by(database))

    def _describe(self, job_id: str) -> tuple[JobRecord, dict[str, Any]]:
        """Describe a job in the first database that has it: it is gone where none has."""
        if self._followed is not None and not self._databases:
            self._followed.refresh()
            self._use(self._followed.known)
        refusals: list[ApiError] = []
        for database in self._databases:
            try:
                return self._describe_in(database, job_id)
            except (UnauthorizedError, JobGoneError) as error:
                refusals.append(error)
        raise min(refusals, key=lambda error: isinstance(error, JobGoneError))

    def _describe_in(self, database: str, job_id: str) -> tuple[JobRecord, dict[str, Any]]:
        """Describe a job by the first spelling of the path that the server has, which comes first the next time."""
        body = self._ids | {"jobId": job_id}
        for spelling in self._spellings:
            try:
                job = self.session.call(
                    "describe",
                    "POST",
                    f"{_IMPORT}/{spelling}",
                    lambda body: described(body.json(), job_id, self._filtered_by(database)),
                    body=body,
                    database=database,
                )
            except ApiMissingError as error:
                missing = error
            else:
                self._spellings = sorted(_DESCRIBE, key=lambda other: other != spelling)  # servers are upgraded
                return job
        raise missing

    def _filtered_by(self, database: str) -> str:
        return database if self._ids else ""


def described(payload: Any, job_id: str, database: str = "") -> tuple[JobRecord, dict[str, Any]]:
    """Return the job in a v1 or v2 describe, and its data. Its files' reasons stand in for a reason of its own.

    Raises:
        JobGoneError: The server says that this job does not exist: in Milvus' sentence with its id, also as the reason
            of a failure, or by Zilliz Cloud's code 96026. Other things that do not exist (a bucket) are no verdict.
        ApiError: By the code of the response; ``BadResponseError`` where it is no job, or another one.
    """
    try:
        data = envelope(payload)
    except ApiError as error:
        if error.code == _ZILLIZ_GONE or says_gone(str(error), job_id):
            raise JobGoneError(str(error), code=error.code) from None
        raise
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if not isinstance(data, dict):
        raise BadResponseError("the response to describe has a code of success, but no job in its data")
    if raw_id(data) is None:
        data = {**data, "jobId": job_id}
    record = record_from(data | {"progress": progress(data)}, database)
    if record.job_id != job_id:
        raise BadResponseError("the response to describe is about another job")
    if is_gone(record):
        raise JobGoneError(record.reason)
    details = data.get("details")
    if not (details or record.imported_rows or record.total_rows):
        record = replace(record, imported_rows=None, total_rows=None)  # some versions count no rows at all
    if not record.reason and isinstance(details, list):
        reasons = dict.fromkeys(reason(file) for file in details if isinstance(file, dict))
        record = replace(record, reason=text("; ".join([words for words in reasons if words][:_REASONS])))
    return record, data
