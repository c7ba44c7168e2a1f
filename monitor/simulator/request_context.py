"""A request to a cluster, and the correct response to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects.base import BadRequestError
from monitor.simulator.job import JobStatus


class RequestContext(msgspec.Struct, frozen=True):
    """A request to a cluster.

    Attributes:
        cluster: The cluster.
        endpoint: `list`, `describe` or `databases`.
        fields: What the body or the query contains.
        headers: Values by lower-case name.
    """

    cluster: SimulatedCluster
    endpoint: str
    fields: Mapping[str, Any]
    headers: Mapping[str, str]

    def respond(self) -> Response:
        """Return the correct response."""
        dialect = self.cluster.dialect
        error = dialect.check_access(self.cluster, self.headers)
        if error is not None:
            return error
        if self.endpoint == "databases":
            return dialect.list_databases(self.cluster)
        if self.endpoint == "list":
            return self.list_jobs(self.cluster.jobs())
        try:
            return dialect.describe_job(self.cluster, self.fields)
        except BadRequestError as bad:
            return dialect.error(bad.code, bad.message)

    def list_jobs(self, jobs: Sequence[JobStatus]) -> Response:
        """Return these jobs as the list that was requested."""
        dialect = self.cluster.dialect
        try:
            return dialect.list_jobs(self.cluster, self.fields, jobs)
        except BadRequestError as bad:
            return dialect.error(bad.code, bad.message)
