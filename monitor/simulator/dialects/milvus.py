"""API v2 of self-hosted Milvus (2.4 and later): all jobs in one response, in random order."""

import base64
import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from monitor.simulator.cluster import JobStatus, SimulatedCluster
from monitor.simulator.dialects.base import ApiError, Dialect, text, timestamp
from monitor.simulator.dialects.zilliz import job_fields, list_record

_FIRST_JOB_ID = 449_000_000_000_000_000


class Milvus(Dialect):
    """The dialect; from `internal/distributed/proxy/httpserver/handler_v2.go` of Milvus 2.6."""

    endpoints: ClassVar[Mapping[str, str]] = {
        "POST /v2/vectordb/jobs/import/list": "list",
        "POST /v2/vectordb/jobs/import/describe": "describe",
        "POST /v2/vectordb/jobs/import/get_progress": "describe",
        "POST /v2/vectordb/databases/list": "databases",
    }
    unauthorized = (1800, "user hasn't authenticated", 401)
    missing_job_id = (1802, "missing required parameters, error: Key: 'JobIDReq.JobID'")
    unknown_job = (2100, "import job does not exist, jobID={}: importing data failed")  # milvus-2.6-describe-gone.json

    def job_id(self, seed: int, number: int) -> str:
        """Return 18 digits; each cluster has its own range."""
        return str(_FIRST_JOB_ID + seed % 10**6 * 10**11 + 2 * number)

    def check_access(self, cluster: SimulatedCluster, headers: Mapping[str, str]) -> None:
        """Accept the key as a bearer token and as basic authentication; the `DB-Name` must exist."""
        basic = f"Basic {base64.b64encode((cluster.api_key or '').encode()).decode()}"
        if headers.get("authorization") != basic:
            super().check_access(cluster, headers)
        database = headers.get("db-name", "")
        if database and database not in cluster.databases:
            raise ApiError(800, f"database not found[database={database}]")

    def list_fields(self, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """Take the database from the header `DB-Name` where the body names none."""
        return {**fields, "dbName": text(fields, "dbName") or headers.get("db-name", "")}

    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Any:
        """Return the jobs of all databases, or those of one collection in one, in the random order of a Go map."""
        collection = text(fields, self.collection_field)
        if collection:
            database = text(fields, "dbName") or "default"
            jobs = [listed for listed in jobs if listed.job.database == database]
        records = [list_record(listed, with_progress=True) for listed in jobs]
        if collection and not records:
            raise ApiError(100, f"can't find collection[database={database}][collection={collection}]")
        random.Random(cluster.seed + cluster.requests["list"]).shuffle(records)
        return {"code": 0, "data": {"records": records}}

    def describe_job(self, listed: JobStatus) -> Any:
        """Return one job with its files."""
        data = job_fields(listed) | {"createTime": timestamp(listed.job.created)}
        del data["fileName"]
        data["details"] = [_file(file) for file in data["details"]]
        return {"code": 0, "data": data}


def _file(fields: Mapping[str, Any]) -> dict[str, Any]:
    state = "InProgress" if fields["state"] == "Importing" else fields["state"]
    return {**fields, "fileName": f"[{fields['fileName']}]", "state": state}
