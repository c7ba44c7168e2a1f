"""API v2 of Zilliz Cloud: paged lists without the progress of unfinished jobs."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from monitor.simulator.cluster import JobStatus, SimulatedCluster
from monitor.simulator.dialects.base import ApiError, Dialect, text, timestamp
from monitor.simulator.lifecycles import READ_AT, TERMINAL, State

_STATES: Mapping[str, str] = {state: state.capitalize() for state in State}
_ROW_BYTES = 540
_MAXIMUM_INT = 2**31 - 1
_DEFAULT_PAGE_SIZE, _MAXIMUM_PAGE_SIZE = 10, 100


class Zilliz(Dialect):
    """The dialect; error codes from https://docs.zilliz.com/reference/restful/error-codes-v2."""

    hosted = True
    endpoints: ClassVar[Mapping[str, str]] = {
        "POST /v2/vectordb/jobs/import/list": "list",
        "POST /v2/vectordb/jobs/import/describe": "describe",
        "POST /v2/vectordb/jobs/import/getProgress": "describe",
        "POST /v2/vectordb/databases/list": "databases",
    }
    unauthorized = (80001, "The token is illegal", 401)
    missing_job_id = (80000, "Incorrect parameter: jobId")
    unknown_job = (96026, "The import job does not exist. jobId: {}")
    page_size_error = (96008, "The parameter value for pageSize should be between 1 and 100.")
    page_error = (96009, "The parameter currentPage should have a value between 1 and the maximum value of Int.")

    def job_id(self, seed: int, number: int) -> str:
        """Return `job-` and 22 hexadecimal digits."""
        return f"job-{random.Random(f'{seed}/{number}').getrandbits(88):022x}"

    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Any:  # noqa: ARG002
        """Return one page; `count` is the number of jobs on it."""
        database = text(fields, "dbName")
        jobs = [listed for listed in jobs if database in ("", listed.job.database)]
        page, paging = self.page(jobs, fields)
        records = [list_record(listed, with_progress=listed.status.state in TERMINAL) for listed in page]
        return {"code": 0, "data": {**paging, "records": records}}

    def describe_job(self, listed: JobStatus) -> Any:
        """Return one job with its files."""
        return {"code": 0, "data": job_fields(listed)}

    def page(self, items: Sequence[Any], fields: Mapping[str, Any]) -> tuple[Sequence[Any], dict[str, int]]:
        """Return the requested page of the items, and the fields that describe it."""
        number = _integer(fields, "currentPage", 1, _MAXIMUM_INT, self.page_error)
        size = _integer(fields, "pageSize", _DEFAULT_PAGE_SIZE, _MAXIMUM_PAGE_SIZE, self.page_size_error)
        page = items[(number - 1) * size : number * size]
        return page, {"count": len(page), "currentPage": number, "pageSize": size}


def job_fields(listed: JobStatus) -> dict[str, Any]:
    """Return what describe has of a job and of its files, which all progress alike, in both dialects of v2."""
    job, status = listed
    common = {
        "state": _STATES.get(status.state, status.state),
        "progress": status.progress,
        "completeTime": timestamp(status.since) if status.state in TERMINAL else "",
        "reason": status.reason,
    }

    def fields(name: str, rows: int) -> dict[str, Any]:
        counted = rows if status.progress >= READ_AT else 0  # the server has to read the files to know
        imported = int(rows * status.imported_share)
        return {
            "fileName": name,
            "fileSize": rows * _ROW_BYTES,
            **common,
            "importedRows": imported,
            "totalRows": counted,
        }

    files = job.files if status.state != State.PENDING else ()
    return {
        "jobId": job.id,
        "collectionName": job.collection,
        **fields(job.files[0] if job.files else "", job.total_rows),
        "details": [fields(name, job.total_rows // len(files)) for name in files],
    }


def list_record(listed: JobStatus, *, with_progress: bool) -> dict[str, Any]:
    """Return what a list has of a job, in both dialects of v2."""
    job, status = listed
    record = {"jobId": job.id, "collectionName": job.collection, "state": _STATES.get(status.state, status.state)}
    optional = {"progress": status.progress if with_progress else None, "reason": status.reason or None}
    return record | {name: value for name, value in optional.items() if value is not None}


def _integer(fields: Mapping[str, Any], name: str, default: int, maximum: int, error: tuple[int, str]) -> int:
    value = text(fields, name) or str(default)
    if not value.isdecimal() or not 1 <= int(value) <= maximum:
        raise ApiError(*error)
    return int(value)
