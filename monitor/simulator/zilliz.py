"""API v2 as Zilliz Cloud speaks it: paged lists that leave out the progress of unfinished jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from monitor.simulator.answers import Answer, Ask, BadRequest, Page, encode, matching, paged, text, timestamp, whole
from monitor.simulator.lives import TERMINAL, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.job import Row

STATES: dict[str, str] = {
    State.PENDING: "Pending",
    State.IMPORTING: "Importing",
    State.UNCOMMITTED: "Uncommitted",
    State.COMMITTING: "Committing",
    State.COMPLETED: "Completed",
    State.FAILED: "Failed",
}
MAXIMUM_INT = 2**31 - 1


class Zilliz:
    """The dialect; error codes from https://docs.zilliz.com/reference/restful/error-codes-v2."""

    def read(self, endpoint: str, fields: dict[str, Any], header_database: str) -> Ask:
        """Returns what is asked for; `pageSize` is 10 and `currentPage` 1 where they are absent."""
        job_id = text(fields, "jobId")
        if endpoint == "describe" and not job_id:
            raise BadRequest(80000, "Incorrect parameter: jobId")
        sizes = BadRequest(96008, "The parameter value for pageSize should be between 1 and 100.")
        pages = BadRequest(
            96009, "The parameter currentPage should have a value between 1 and the maximum value of Int."
        )
        return Ask(
            endpoint,
            job_id,
            text(fields, "collectionName"),
            text(fields, "dbName"),
            header_database,
            whole(fields, "currentPage", 1, 1, MAXIMUM_INT, pages),
            whole(fields, "pageSize", 10, 1, 100, sizes),
        )

    def select(self, rows: Sequence[Row], ask: Ask) -> Sequence[Row]:
        """Returns one page; the database filters."""
        return paged(matching(rows, ask.collection, ask.database), ask)

    def listing(self, cluster: SimulatedCluster, rows: Sequence[Row], ask: Ask) -> Page:  # noqa: ARG002
        """Returns the list; `count` is how many jobs are on this page."""
        records = [_record(row) for row in rows]
        data = {"count": len(records), "currentPage": ask.page, "pageSize": ask.size, "records": records}
        return Page(Answer(200, encode({"code": 0, "data": data})))

    def description(self, cluster: SimulatedCluster, row: Row) -> Answer:  # noqa: ARG002
        """Returns one job."""
        job, moment = row
        files = job.file_progress(moment)
        return Answer(
            200,
            encode(
                {
                    "code": 0,
                    "data": {
                        "jobId": job.id,
                        "collectionName": job.collection,
                        "fileName": job.files[0] if job.files else "",
                        "fileSize": job.file_size(),
                        "state": STATES.get(moment.state, moment.state),
                        "progress": moment.progress,
                        "completeTime": timestamp(job.completed(moment)),
                        "reason": moment.reason,
                        "importedRows": job.imported_rows(moment),
                        "totalRows": job.counted_rows(moment),
                        "details": [
                            {
                                "fileName": file.name,
                                "fileSize": file.size,
                                "state": STATES.get(file.state, file.state),
                                "progress": file.progress,
                                "completeTime": timestamp(file.completed),
                                "reason": file.reason,
                                "importedRows": file.imported_rows,
                                "totalRows": file.total_rows,
                            }
                            for file in files
                        ],
                    },
                }
            ),
        )

    def no_such_job(self, job_id: str) -> Answer:
        """Returns code 96026."""
        return self.refusal(96026, f"The import job does not exist. jobId: {job_id}")

    def refusal(self, code: int, message: str, status: int = 200) -> Answer:
        """Returns an error, most of the time with HTTP 200."""
        return Answer(status, encode({"code": code, "message": message}))

    def unauthorized(self) -> Answer:
        """Returns 401 with code 80001."""
        return self.refusal(80001, "The token is illegal", 401)


def clusters_page(clusters: Sequence[SimulatedCluster], fields: dict[str, Any], base_url: str) -> Answer:
    """Returns a page of `GET /v2/clusters`.

    Raises:
        BadRequest: The page or its size is out of range.
    """
    ask = Zilliz().read("clusters", fields, "")
    begin = (ask.page - 1) * ask.size
    page = [
        {
            "clusterId": cluster.id,
            "clusterName": f"cluster-{cluster.id[-6:]}",
            "description": "",
            "regionId": cluster.region_id,
            "plan": "Standard",
            "cuType": "Performance-optimized",
            "cuSize": 1,
            "status": cluster.status,
            "connectAddress": f"{base_url}/clusters/{cluster.id}",
            "projectId": cluster.project_id,
            "createTime": "2026-01-12T08:30:00Z",
        }
        for cluster in clusters[begin : begin + ask.size]
    ]
    data = {"count": len(clusters), "currentPage": ask.page, "pageSize": ask.size, "clusters": page}
    return Answer(200, encode({"code": 0, "data": data}))


def projects(clusters: Sequence[SimulatedCluster]) -> Answer:
    """Returns `GET /v2/projects`: a project for each cluster."""
    found = {
        cluster.project_id: {
            "projectId": cluster.project_id,
            "projectName": f"project-{cluster.id[-6:]}",
            "instanceCount": 1,
            "createTime": "2026-01-12T08:00:00Z",
        }
        for cluster in clusters
    }
    return Answer(200, encode({"code": 0, "data": list(found.values())}))


def _record(row: Row) -> dict[str, Any]:
    job, moment = row
    record: dict[str, Any] = {"collectionName": job.collection, "jobId": job.id}
    if moment.state in TERMINAL:
        record["progress"] = moment.progress
    record["state"] = STATES.get(moment.state, moment.state)
    if moment.reason:
        record["reason"] = moment.reason
    return record
