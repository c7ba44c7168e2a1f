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

    def respond(self, jobs: Sequence[JobStatus] | None = None) -> Response:
        """Return the correct response; a list is one of these jobs, if given, instead of those of the cluster."""
        dialect = self.cluster.dialect
        error = dialect.check_access(self.cluster, self.headers)
        if error is not None:
            return error
        try:
            if self.endpoint == "list":
                return dialect.list_jobs(self.cluster, self.fields, self.cluster.jobs() if jobs is None else jobs)
            if self.endpoint == "describe":
                return dialect.describe_job(self.cluster, self.fields)
            return dialect.list_databases(self.cluster)
        except BadRequestError as bad:
            return dialect.error(bad.code, bad.message)
