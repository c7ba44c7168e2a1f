"""API v1 of Zilliz Cloud: tasks instead of records, and a describe without the state."""

import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from monitor.simulator.cluster import JobStatus, SimulatedCluster
from monitor.simulator.dialects.zilliz import Zilliz, job_fields
from monitor.simulator.lifecycles import State

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
        return str(uuid.UUID(int=random.Random(f"{seed}/{number}").getrandbits(128), version=4))

    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Any:  # noqa: ARG002
        """Return one page."""
        page, paging = self.page(jobs, fields)
        tasks = [
            {"collectionName": job.collection, "jobId": job.id, "state": _STATES.get(status.state, status.state)}
            for job, status in page
        ]
        return {"code": 200, "data": {"tasks": tasks, **paging}}

    def describe_job(self, listed: JobStatus) -> Any:
        """Return one job: progress as a share from 0 to 1, and null for what is absent."""
        job = job_fields(listed)
        whole = {"jobId": job["jobId"], "collectionName": job["collectionName"], **_import_fields(job)}
        return {"code": 200, "data": {**whole, "details": [_import_fields(file) for file in job["details"]]}}


def _import_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of v2 as v1 writes them."""
    return {
        "fileName": fields["fileName"],
        "fileSize": fields["fileSize"],
        "readyPercentage": fields["progress"] / 100,
        "completeTime": fields["completeTime"] or None,
        "errorMessage": fields["reason"] or None,
    }
