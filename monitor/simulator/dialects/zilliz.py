"""API v2 of Zilliz Cloud: paged lists without the progress of unfinished jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects.base import BadRequestError, Dialect, integer, of_collection, text, timestamp
from monitor.simulator.job import ImportProgress, JobStatus
from monitor.simulator.lifecycles import FOREVER, TERMINAL, State
from monitor.simulator.random_bits import mix
from monitor.simulator.responses import json_response

STATES: Mapping[str, str] = {state: state.capitalize() for state in State}
_MAXIMUM_INT = 2**31 - 1
_DEFAULT_PAGE_SIZE, _MAXIMUM_PAGE_SIZE = 10, 100


class Zilliz(Dialect):
    """The dialect; error codes from https://docs.zilliz.com/reference/restful/error-codes-v2."""

    hosted = True
    retention = FOREVER  # Zilliz Cloud documents no limit
    endpoints: ClassVar[Mapping[str, str]] = {
        "POST /v2/vectordb/jobs/import/list": "list",
        "POST /v2/vectordb/jobs/import/describe": "describe",
        "POST /v2/vectordb/jobs/import/getProgress": "describe",
        "POST /v2/vectordb/databases/list": "databases",
    }
    unauthorized_error = (80001, "The token is illegal")
    page_size_error = (96008, "The parameter value for pageSize should be between 1 and 100.")
    page_error = (96009, "The parameter currentPage should have a value between 1 and the maximum value of Int.")

    def job_id(self, seed: int, number: int) -> str:
        """Return `job-` and 22 hexadecimal digits."""
        return f"job-01{mix(seed, number):016x}{number & 0xFFFF:04x}"

    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Response:  # noqa: ARG002
        """Return one page; `count` is the number of jobs on it."""
        number, size = self.page(fields)
        database = text(fields, "dbName")
        jobs = of_collection(jobs, text(fields, "collectionName"))
        if database:
            jobs = [listed for listed in jobs if listed.job.database == database]
        records = [_record(listed) for listed in paged(jobs, number, size)]
        data = {"count": len(records), "currentPage": number, "pageSize": size, "records": records}
        return json_response({"code": 0, "data": data})

    def describe_job(self, cluster: SimulatedCluster, fields: Mapping[str, Any]) -> Response:
        """Return one job with its files."""
        listed = self.find_job(cluster, fields)
        if isinstance(listed, Response):
            return listed
        job, status = listed
        data = {"jobId": job.id, "collectionName": job.collection, **import_fields(job.progress(status))}
        data["details"] = [import_fields(file) for file in job.file_progress(status)]
        return json_response({"code": 0, "data": data})

    def page(self, fields: Mapping[str, Any]) -> tuple[int, int]:
        """Return the number of the requested page, from 1, and its size."""
        number = integer(fields, "currentPage", 1, _MAXIMUM_INT, self.page_error)
        return number, integer(fields, "pageSize", _DEFAULT_PAGE_SIZE, _MAXIMUM_PAGE_SIZE, self.page_size_error)

    def find_job(self, cluster: SimulatedCluster, fields: Mapping[str, Any]) -> JobStatus | Response:
        """Return the job that is requested, or code 96026."""
        job_id = text(fields, "jobId")
        if not job_id:
            raise BadRequestError(80000, "Incorrect parameter: jobId")
        return cluster.find_job(job_id) or self.error(96026, f"The import job does not exist. jobId: {job_id}")


def import_fields(progress: ImportProgress) -> dict[str, Any]:
    """Return what describe has of a job, and of each of its files, in both dialects of v2."""
    return {
        "fileName": progress.name,
        "fileSize": progress.size,
        "state": STATES.get(progress.state, progress.state),
        "progress": progress.progress,
        "completeTime": timestamp(progress.completed),
        "reason": progress.reason,
        "importedRows": progress.imported_rows,
        "totalRows": progress.total_rows,
    }


def paged(items: Sequence[Any], number: int, size: int) -> Sequence[Any]:
    """Return page `number` of the items."""
    return items[(number - 1) * size : number * size]


def _record(listed: JobStatus) -> dict[str, Any]:
    job, status = listed
    record: dict[str, Any] = {"collectionName": job.collection, "jobId": job.id}
    if status.state in TERMINAL:
        record["progress"] = status.progress
    record["state"] = STATES.get(status.state, status.state)
    if status.reason:
        record["reason"] = status.reason
    return record
