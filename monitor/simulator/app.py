"""The HTTP application: the import API of all clusters, the account API and the control endpoint."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.simulator.account import account_routes, clusters_of_key
from monitor.simulator.cluster import JobStatus, SimulatedCluster
from monitor.simulator.control import control_routes, error_handlers
from monitor.simulator.dialects import DIALECTS
from monitor.simulator.dialects.base import ApiError, json_response, not_found
from monitor.simulator.world import World

_LARGEST_REQUEST = 1 << 20
"""Bytes; import requests are a few hundred."""
_MANAGEMENT = ("/simulator", "/v2/clusters", "/v2/projects")
_CLUSTER_PREFIX = "/clusters/"
_ZILLIZ = DIALECTS["zilliz"]
_HOSTED_ENDPOINTS = frozenset(
    endpoint for dialect in DIALECTS.values() if dialect.hosted for endpoint in dialect.endpoints
)


class RequestContext(msgspec.Struct, frozen=True):
    """A request to a cluster, and the correct response to it.

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
        cluster, dialect = self.cluster, self.cluster.dialect
        try:
            dialect.check_access(cluster, self.headers)
            if self.endpoint == "list":
                jobs = cluster.jobs() if jobs is None else jobs
                return json_response(dialect.list_jobs(cluster, self.fields, jobs))
            if self.endpoint == "describe":
                return json_response(dialect.describe_job(cluster, self.fields))
            return json_response(dialect.list_databases(cluster))
        except ApiError as error:
            return dialect.error(error.code, error.message, error.status)


class SimulatorApp:
    """An ASGI application that serves a `World`."""

    def __init__(self, world: World, base_url: str) -> None:
        self._world = world
        self._management = Starlette(
            routes=[*control_routes(world, base_url), *account_routes(world, base_url)],
            exception_handlers={**error_handlers(base_url), ApiError: _api_error},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].startswith(_MANAGEMENT):
            await self._management(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            respond = self._respond(request, await _read_body(request))
        except ApiError as error:
            respond = _api_error(request, error)
        await respond(scope, receive, send)

    def _respond(self, request: Request, body: bytes) -> ASGIApp:
        path, cluster = request.url.path, None
        if path.startswith(_CLUSTER_PREFIX):
            cluster_id, _, rest = path.removeprefix(_CLUSTER_PREFIX).partition("/")
            path, cluster = f"/{rest}", self._world.clusters.get(cluster_id)
            if cluster is None:
                return not_found()
        route = f"{request.method} {path}"
        if cluster is None and route not in _HOSTED_ENDPOINTS:
            return not_found()
        try:
            fields = {**request.query_params, **msgspec.json.decode(body or b"{}", type=dict[str, Any])}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(1801, f"can only accept json format request, error: {error}") from error
        cluster = cluster or self._hosted_cluster(request, fields)
        if route not in cluster.dialect.endpoints:
            return not_found()
        context = RequestContext(cluster, cluster.dialect.endpoints[route], fields, request.headers)
        trouble = cluster.record_request(context.endpoint)
        return trouble.respond(context) if trouble else context.respond()

    def _hosted_cluster(self, request: Request, fields: Mapping[str, Any]) -> SimulatedCluster:
        """Return the Zilliz Cloud cluster that the fields name: by its id, or by project and region."""
        names = cluster_id, project, region = [fields.get(name) for name in ("clusterId", "projectId", "regionId")]
        for cluster in self._world.hosted_clusters():
            if cluster_id == cluster.id or (
                not cluster_id and [project, region] == [cluster.project_id, cluster.region_id]
            ):
                return cluster
        clusters_of_key(self._world, request.headers)
        if not any(names):
            raise ApiError(80000, "Incorrect parameter: clusterId")
        raise ApiError(96025, f"The cluster does not exist. clusterId: {cluster_id}")


def _api_error(_request: Request, error: Any) -> Response:
    return _ZILLIZ.error(error.code, error.message, error.status)


async def _read_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_REQUEST:
            raise ApiError(413, "request entity too large", 413)
    return body
