"""The interface of a dialect, and how all of them read requests."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from starlette.responses import Response

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.job import JobStatus
from monitor.simulator.responses import json_response


class BadRequestError(Exception):
    """The server refuses the request with a code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Dialect(ABC):
    """One generation of the import API: its paths, and its responses to the fields of a request.

    Attributes:
        api: The generation's name in the monitor's config.
        hosted: Whether its clusters are on Zilliz Cloud: behind one URL, and named by each request.
        retention: How many seconds the server remembers a finished job.
        endpoints: `list`, `describe` or `databases` by method and path.
        unauthorized_error: Code and message for a wrong key.
    """

    api: ClassVar[str] = "v2"
    hosted: ClassVar[bool] = False
    retention: ClassVar[float]
    endpoints: ClassVar[Mapping[str, str]]
    unauthorized_error: ClassVar[tuple[int, str]]

    @abstractmethod
    def job_id(self, seed: int, number: int) -> str:
        """Return the id of job `number` of a cluster."""

    @abstractmethod
    def list_jobs(self, cluster: SimulatedCluster, fields: Mapping[str, Any], jobs: Sequence[JobStatus]) -> Response:
        """Return the requested page of these jobs, which are all of the cluster, newest first."""

    @abstractmethod
    def describe_job(self, cluster: SimulatedCluster, fields: Mapping[str, Any]) -> Response:
        """Return everything about the requested job."""

    def unauthorized(self) -> Response:
        """Return the response to a wrong key."""
        return self.error(*self.unauthorized_error, 401)

    def error(self, code: int, message: str, status: int = 200) -> Response:
        """Return an error; nearly all errors have HTTP status 200."""
        return json_response({"code": code, "message": message}, status)

    def list_databases(self, cluster: SimulatedCluster) -> Response:
        """Return the names of a cluster's databases."""
        return json_response({"code": 0, "data": cluster.databases})

    def check_access(self, cluster: SimulatedCluster, headers: Mapping[str, str]) -> Response | None:
        """Return the error for a request that may not read the cluster, or None."""
        key = headers.get("authorization")
        return None if not cluster.api_key or key == f"Bearer {cluster.api_key}" else self.unauthorized()


def timestamp(seconds: float | None) -> str:
    """Return a time as the APIs write it, in UTC to the second; empty for None."""
    return "" if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def text(fields: Mapping[str, Any], name: str) -> str:
    """Return a field of a request as a string; empty where it is absent."""
    value = fields.get(name)
    return "" if value is None else str(value)


def integer(fields: Mapping[str, Any], name: str, default: int, maximum: int, error: tuple[int, str]) -> int:
    """Return a field that is a number from 1 to `maximum`, also as a string; else raise `error` (code, message)."""
    value = fields.get(name)
    try:
        number = default if value is None or value == "" else int(value)
    except (TypeError, ValueError):
        raise BadRequestError(*error) from None
    if not 1 <= number <= maximum:
        raise BadRequestError(*error)
    return number


def of_collection(jobs: Sequence[JobStatus], collection: str) -> Sequence[JobStatus]:
    """Return the jobs of a collection; of all collections where its name is empty."""
    return [listed for listed in jobs if listed.job.collection == collection] if collection else jobs
