"""API v1, the old control plane of Zilliz Cloud: tasks instead of records, and a describe that tells no state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.simulator.answers import Answer, Ask, BadRequest, Page, encode, matching, paged, text, timestamp, whole
from monitor.simulator.lives import State
from monitor.simulator.zilliz import MAXIMUM_INT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.job import Row

_STATES: dict[str, str] = {
    State.PENDING: "ImportPending",
    State.IMPORTING: "ImportRunning",
    State.UNCOMMITTED: "ImportRunning",
    State.COMMITTING: "ImportRunning",
    State.COMPLETED: "ImportCompleted",
    State.FAILED: "ImportFailed",
}


class ZillizV1:
    """The dialect; error codes from https://docs.zilliz.com/reference/restful/error-codes."""

    def read(self, endpoint: str, fields: dict[str, Any], header_database: str) -> Ask:
        """Returns what is asked for; the fields are those of the query string."""
        job_id = text(fields, "jobId")
        if endpoint == "describe" and not job_id:
            raise BadRequest(80000, "Incorrect parameter: jobId")
        sizes = BadRequest(80003, "The parameter value for 'pageSize' should be between 5 and 100.")
        pages = BadRequest(
            80004, "The parameter 'currentPage' should have a value between 1 and the maximum value of Int."
        )
        return Ask(
            endpoint,
            job_id,
            text(fields, "collectionName"),
            "",
            header_database,
            whole(fields, "currentPage", 1, 1, MAXIMUM_INT, pages),
            # The text says 5; smaller pages are let through, for tests that want many pages of few jobs.
            whole(fields, "pageSize", 10, 1, 100, sizes),
        )

    def select(self, rows: Sequence[Row], ask: Ask) -> Sequence[Row]:
        """Returns one page."""
        return paged(matching(rows, ask.collection, ""), ask)

    def listing(self, cluster: SimulatedCluster, rows: Sequence[Row], ask: Ask) -> Page:
        """Returns the list; some servers write the paging fields as strings."""
        tasks = [
            {
                "collectionName": job.collection,
                "jobId": job.id,
                "state": _STATES.get(moment.state, moment.state),
            }
            for job, moment in rows
        ]
        paging: dict[str, Any] = {"count": len(tasks), "currentPage": ask.page, "pageSize": ask.size}
        if cluster.paging_as_text:
            paging = {name: str(value) for name, value in paging.items()}
        return Page(Answer(200, encode({"code": 200, "data": {"tasks": tasks, **paging}})))

    def description(self, cluster: SimulatedCluster, row: Row) -> Answer:  # noqa: ARG002
        """Returns one job: a share from 0 to 1, and null for what there is not."""
        job, moment = row
        return Answer(
            200,
            encode(
                {
                    "code": 200,
                    "data": {
                        "collectionName": job.collection,
                        "fileName": job.files[0] if job.files else "",
                        "fileSize": job.file_size(),
                        "readyPercentage": _share(moment.progress),
                        "completeTime": timestamp(job.completed(moment)) or None,
                        "errorMessage": moment.reason or None,
                        "jobId": job.id,
                        "details": [
                            {
                                "fileName": file.name,
                                "fileSize": file.size,
                                "readyPercentage": _share(file.progress),
                                "completeTime": timestamp(file.completed) or None,
                                "errorMessage": file.reason or None,
                            }
                            for file in job.file_progress(moment)
                        ],
                    },
                }
            ),
        )

    def no_such_job(self, job_id: str) -> Answer:
        """Returns code 96026, as the newer control plane does."""
        return self.refusal(96026, f"The import job does not exist. jobId: {job_id}")

    def refusal(self, code: int, message: str, status: int = 200) -> Answer:
        """Returns an error."""
        return Answer(status, encode({"code": code, "message": message}))

    def unauthorized(self) -> Answer:
        """Returns 401 with code 80001."""
        return self.refusal(80001, "The token is illegal", 401)


def _share(percent: int) -> float | int:
    return percent // 100 if percent % 100 == 0 else percent / 100
