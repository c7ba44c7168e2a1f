"""API v2 as self-hosted Milvus (2.4 and later) speaks it: all jobs at once, in random order."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from monitor.simulator.answers import Answer, Ask, BadRequest, Page, encode, matching, text, timestamp
from monitor.simulator.lives import State
from monitor.simulator.zilliz import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.job import Row

_FILE_STATES = {**STATES, State.IMPORTING: "InProgress"}
_MISSING_JOB_ID = (
    "missing required parameters, error: Key: 'JobIDReq.JobID' "
    "Error:Field validation for 'JobID' failed on the 'required' tag"
)


@dataclass(frozen=True, slots=True)
class Shuffled(Page):
    """A list in another order each time: the records side by side, and where each of them ends."""

    ends: array[int]
    seed: int

    @classmethod
    def of(cls, records: list[dict[str, Any]], seed: int) -> Shuffled:
        """Returns the page of these records."""
        parts = [encode(record) for record in records]
        return cls(Answer(200, b"".join(parts)), array("I", accumulate(map(len, parts))), seed)

    def dealt(self, turn: int) -> Answer:
        """Returns the list in the order of request number `turn`."""
        body, ends = self.answer.body, self.ends
        parts = [body[begin:end] for begin, end in pairwise((0, *ends))]
        random.Random(self.seed + turn).shuffle(parts)
        return Answer(200, b'{"code":0,"data":{"records":[' + b",".join(parts) + b"]}}")


class Milvus:
    """The dialect; from `internal/distributed/proxy/httpserver/handler_v2.go` of Milvus 2.6."""

    def read(self, endpoint: str, fields: dict[str, Any], header_database: str) -> Ask:
        """Returns what is asked for; of the fields only `collectionName` and `jobId` count."""
        job_id = text(fields, "jobId")
        if endpoint == "describe" and not job_id:
            raise BadRequest(1802, _MISSING_JOB_ID)
        return Ask(endpoint, job_id, text(fields, "collectionName"), text(fields, "dbName"), header_database)

    def select(self, rows: Sequence[Row], ask: Ask) -> Sequence[Row]:
        """Returns the jobs of all databases, whatever `dbName` says."""
        return matching(rows, ask.collection, "")

    def listing(self, cluster: SimulatedCluster, rows: Sequence[Row], ask: Ask) -> Page:
        """Returns the list; the order changes from answer to answer, as that of a Go map does."""
        if ask.collection and not rows:
            name = f"can't find collection[database={ask.database or 'default'}][collection={ask.collection}]"
            return Page(self.refusal(100, name))
        return Shuffled.of([_record(row) for row in rows], cluster.seed)

    def description(self, cluster: SimulatedCluster, row: Row) -> Answer:  # noqa: ARG002
        """Returns one job; `reason` only where there is one."""
        job, moment = row
        data: dict[str, Any] = {
            "jobId": job.id,
            "createTime": timestamp(job.created),
            "collectionName": job.collection,
            "completeTime": timestamp(job.completed(moment)),
            "state": STATES.get(moment.state, moment.state),
            "progress": moment.progress,
            "importedRows": job.imported_rows(moment),
            "totalRows": job.counted_rows(moment),
            "fileSize": job.file_size(),
        }
        if moment.reason:
            data["reason"] = moment.reason
        data["details"] = [
            {
                "fileName": f"[{file.name}]",
                "fileSize": file.size,
                "progress": file.progress,
                "completeTime": timestamp(file.completed),
                "state": _FILE_STATES.get(file.state, file.state),
                "importedRows": file.imported_rows,
                "totalRows": file.total_rows,
                **({"reason": file.reason} if file.reason else {}),
            }
            for file in job.file_progress(moment)
        ]
        return Answer(200, encode({"code": 0, "data": data}))

    def no_such_job(self, job_id: str) -> Answer:
        """Returns code 2100, as recorded in milvus-2.6-describe-gone.json."""
        return self.refusal(2100, f"import job does not exist, jobID={job_id}: importing data failed")

    def refusal(self, code: int, message: str, status: int = 200) -> Answer:
        """Returns an error; nearly all come with HTTP 200."""
        return Answer(status, encode({"code": code, "message": message}))

    def unauthorized(self) -> Answer:
        """Returns 401 with code 1800."""
        return self.refusal(1800, "user hasn't authenticated", 401)


def databases(cluster: SimulatedCluster) -> Answer:
    """Returns the names of a cluster's databases."""
    return Answer(200, encode({"code": 0, "data": list(cluster.databases)}))


def _record(row: Row) -> dict[str, Any]:
    job, moment = row
    record = {
        "jobId": job.id,
        "collectionName": job.collection,
        "state": STATES.get(moment.state, moment.state),
        "progress": moment.progress,
    }
    if moment.reason:
        record["reason"] = moment.reason
    return record
