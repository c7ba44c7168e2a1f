"""API v1 of Zilliz Cloud: tasks instead of records, and a describe without the state."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects.base import of_collection, text, timestamp
from monitor.simulator.dialects.zilliz import Zilliz, paged
from monitor.simulator.job import ImportProgress, JobStatus
from monitor.simulator.lifecycles import State
from monitor.simulator.random_bits import mix
from monitor.simulator.responses import json_response

_STATES: Mapping[str, str] = {
    State.PENDING: "ImportPending",
    State.IMPORTING: "ImportRunning",
    State.UNCOMMITTED: "ImportRunning",
    State.COMMITTING: "ImportRunning",
    State.COMPLETED: "ImportCompleted",
    State.FAILED: "ImportFailed",
}


class ZillizV1(Zilliz):
    """The dialect; error codes from https://docs.zilliz.com/reference/restful/error-codes."""

    api = "v1"
    endpoints: ClassVar[Mapping[str, str]] = {
        "GET /v1/vector/collections/import/list": "list",
        "GET /v1/vector/collections/import/get": "describe",
    }
    # The server's minimum is 5; smaller pages are accepted, for tests that need many pages of few jobs.
    page_size_error = (80003, "The parameter value for 'pageSize' should be between 5 and 100.")
    page_error = (80004, "The parameter 'currentPage' should have a value between 1 and the maximum value of Int.")

    def job_id(self, seed: int, number: int) -> str:
        """Return a UUID."""
        digits = f"{mix(seed, number):016x}{mix(seed, ~number):016x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Response:
        """Return one page; some servers write the paging fields as strings."""
        number, size = self.page(fields)
        tasks = [
            {"collectionName": job.collection, "jobId": job.id, "state": _STATES.get(status.state, status.state)}
            for job, status in paged(of_collection(jobs, text(fields, "collectionName")), number, size)
        ]
        paging: dict[str, Any] = {"count": len(tasks), "currentPage": number, "pageSize": size}
        if cluster.paging_as_text:
            paging = {name: str(value) for name, value in paging.items()}
        return json_response({"code": 200, "data": {"tasks": tasks, **paging}})

    def describe_job(self, cluster: SimulatedCluster, fields: Mapping[str, Any]) -> Response:
        """Return one job: progress as a share from 0 to 1, and null for what is absent."""
        listed = self.find_job(cluster, fields)
        if isinstance(listed, Response):
            return listed
        job, status = listed
        data = {"jobId": job.id, "collectionName": job.collection, **_import_fields(job.progress(status))}
        data["details"] = [_import_fields(file) for file in job.file_progress(status)]
        return json_response({"code": 200, "data": data})


def _import_fields(progress: ImportProgress) -> dict[str, Any]:
    percent = progress.progress
    return {
        "fileName": progress.name,
        "fileSize": progress.size,
        "readyPercentage": percent // 100 if percent % 100 == 0 else percent / 100,
        "completeTime": timestamp(progress.completed) or None,
        "errorMessage": progress.reason or None,
    }
