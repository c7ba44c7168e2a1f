"""The management port of Milvus 2.2 and 2.3: protobuf messages as Go's JSON writes them, without their zeros."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from monitor.simulator.cluster import JobStatus, SimulatedCluster
from monitor.simulator.dialects.base import json_response
from monitor.simulator.dialects.milvus import Milvus
from monitor.simulator.lifecycles import WRITTEN_AT, State

_STARTED, _PERSISTED = 2, 5
_STATES: Mapping[str, int] = {
    State.PENDING: 0,
    State.FAILED: 1,
    State.IMPORTING: _STARTED,
    State.UNCOMMITTED: _STARTED,
    State.COMMITTING: _STARTED,
    State.COMPLETED: 6,
}


class Milvus23(Milvus):
    """The dialect; as recorded from a 2.3.5 server."""

    api = "milvus-2.3"
    endpoints: ClassVar[Mapping[str, str]] = {
        "GET /api/v1/import/tasks": "list",
        "GET /api/v1/import/state": "describe",
    }
    collection_field = "collection_name"
    job_id_field = "task"
    unknown_job = (1000, "key not found[key=by-dev/meta/importtask/{}]")  # of etcd

    def check_access(self, cluster: SimulatedCluster, headers: Mapping[str, str]) -> None:
        """Accept every request: the management port has no authentication."""

    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Any:  # noqa: ARG002
        """Return all jobs; without jobs there is no `tasks`."""
        tasks = [_task(listed) for listed in jobs]
        return {"status": {}, "tasks": tasks} if tasks else {"status": {}}

    def describe_job(self, listed: JobStatus) -> Any:
        """Return one task, in the shape of the list."""
        return _task(listed)

    def error(self, code: int, message: str, status: int = 200) -> Response:
        """Return an error as a protobuf status."""
        return json_response({"status": {"error_code": 1, "reason": message, "code": code, "detail": message}}, status)


def _task(listed: JobStatus) -> dict[str, Any]:
    job, status = listed
    state = _STATES.get(status.state, status.state)
    infos = {
        "files": ",".join(job.files),
        "collection": job.collection,
        "partition": "_default",
        "failed_reason": status.reason,
        "progress_percent": str(status.progress),
    }
    task: dict[str, Any] = {
        "status": {},
        "state": _PERSISTED if state == _STARTED and status.progress >= WRITTEN_AT else state,
        "row_count": int(job.total_rows * status.imported_share),
        "infos": [{"key": key, "value": value} if value else {"key": key} for key, value in infos.items()],
        "id": int(job.id) if job.id.isdecimal() else job.id,
        "create_ts": int(job.created),
    }
    return {name: value for name, value in task.items() if value != 0}
