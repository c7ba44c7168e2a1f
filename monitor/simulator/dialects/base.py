"""The interface of a dialect, and how all of them read requests."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from starlette.responses import Response

from monitor.simulator.cluster import JobStatus, SimulatedCluster


class ApiError(Exception):
    """The server refuses the request with a code and a message; nearly always with HTTP status 200."""

    def __init__(self, code: int, message: str, status: int = 200) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class Dialect(ABC):
    """One generation of the import API: its paths, and the bodies of its responses to the fields of a request."""

    api: ClassVar[str] = "v2"  # the generation's name in the monitor's config
    hosted: ClassVar[bool] = False
    """Whether its clusters are on Zilliz Cloud: behind one URL, and named by each request."""
    endpoints: ClassVar[Mapping[str, str]]  # `list`, `describe` or `databases` by method and path
    collection_field: ClassVar[str] = "collectionName"  # the field of a list request that names a collection
    job_id_field: ClassVar[str] = "jobId"  # the field of a describe request that names the job
    unauthorized: ClassVar[tuple[int, str, int]]  # the error for a wrong key
    missing_job_id: ClassVar[tuple[int, str]]  # the error for a describe without an id
    unknown_job: ClassVar[tuple[int, str]]  # the error for the id in the braces of its message, which no job has

    @abstractmethod
    def job_id(self, seed: int, number: int) -> str:
        """Return the id of job `number` of a cluster."""

    def list_fields(self, fields: Mapping[str, Any], headers: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG002
        """Return the fields of a list, which headers may complete."""
        return fields

    @abstractmethod
    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Any:
        """Return the requested page of these jobs, which are those of the requested collection, newest first."""

    @abstractmethod
    def describe_job(self, listed: JobStatus) -> Any:
        """Return everything about a job."""

    def list_databases(self, cluster: SimulatedCluster) -> Any:
        """Return the names of a cluster's databases."""
        return {"code": 0, "data": cluster.databases}

    def check_access(self, cluster: SimulatedCluster, headers: Mapping[str, str]) -> None:
        """Raise `ApiError` for a request that may not read the cluster."""
        if cluster.api_key and headers.get("authorization") != f"Bearer {cluster.api_key}":
            raise ApiError(*self.unauthorized)

    def error(self, code: int, message: str, status: int = 200) -> Response:
        """Return an error."""
        return json_response({"code": code, "message": message}, status)


class RequestContext(msgspec.Struct, frozen=True):
    """A request to a cluster: the fields of its body or query, and its headers by lower-case name."""

    cluster: SimulatedCluster
    endpoint: str
    fields: Mapping[str, Any]
    headers: Mapping[str, str]

    @property
    def dialect(self) -> Dialect:
        """The dialect of the cluster."""
        return self.cluster.dialect

    def respond(self, jobs: Sequence[JobStatus] | None = None) -> Response:
        """Return the correct response; a list is one of these jobs, if given, instead of those of the cluster."""
        cluster, dialect = self.cluster, self.dialect
        try:
            dialect.check_access(cluster, self.headers)
            if self.endpoint == "list":
                jobs = cluster.jobs() if jobs is None else jobs
                fields = dialect.list_fields(self.fields, self.headers)
                collection = text(fields, dialect.collection_field)
                jobs = [listed for listed in jobs if collection in ("", listed.job.collection)]
                return json_response(dialect.list_jobs(cluster, fields, jobs))
            if self.endpoint == "describe":
                return json_response(dialect.describe_job(self._requested_job()))
            return json_response(dialect.list_databases(cluster))
        except ApiError as error:
            return dialect.error(error.code, error.message, error.status)

    def _requested_job(self) -> JobStatus:
        dialect = self.dialect
        job_id = text(self.fields, dialect.job_id_field)
        if not job_id:
            raise ApiError(*dialect.missing_job_id)
        listed = self.cluster.find_job(job_id)
        if listed is None:
            code, message = dialect.unknown_job
            raise ApiError(code, message.format(job_id))
        return listed


def json_response(content: Any, status: int = 200) -> Response:
    """Return a response with a JSON body."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def not_found() -> Response:
    """Return what the web framework of Milvus sends for a path that it does not know."""
    return Response(b"404 page not found", 404, {"content-type": "text/plain"})


def timestamp(seconds: float) -> str:
    """Return a time as the APIs write it, in UTC to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def text(fields: Mapping[str, Any], name: str) -> str:
    """Return a field of a request as a string; empty where it is absent."""
    value = fields.get(name)
    return "" if value is None else str(value)
