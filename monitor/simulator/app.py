"""The HTTP application: the import API of all clusters, the account API and the control endpoint."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.simulator.account import account_routes, clusters_of_key
from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.control import control_routes, error_handlers
from monitor.simulator.dialects import DIALECTS
from monitor.simulator.request_context import RequestContext
from monitor.simulator.responses import not_found
from monitor.simulator.world import World

_LARGEST_REQUEST = 1 << 20
"""Bytes; import requests are a few hundred."""
_MANAGEMENT = ("/simulator", "/v2/clusters", "/v2/projects")
_CLUSTER_PREFIX = "/clusters/"
_HOSTED_ENDPOINTS = frozenset(
    endpoint for dialect in DIALECTS.values() if dialect.hosted for endpoint in dialect.endpoints
)


class SimulatorApp:
    """An ASGI application that serves a `World`."""

    def __init__(self, world: World, base_url: str) -> None:
        self._world = world
        self._management = Starlette(
            routes=[*control_routes(world, base_url), *account_routes(world, base_url)],
            exception_handlers=error_handlers(base_url),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].startswith(_MANAGEMENT):
            await self._management(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await _read_body(request)
        respond = Response("request entity too large", 413) if body is None else self._respond(request, body)
        await respond(scope, receive, send)

    def _respond(self, request: Request, body: bytes) -> ASGIApp:
        path, cluster = request.url.path, None
        if path.startswith(_CLUSTER_PREFIX):
            cluster_id, _, rest = path.removeprefix(_CLUSTER_PREFIX).partition("/")
            path, cluster = f"/{rest}", self._world.clusters.get(cluster_id)
            if cluster is None:
                return not_found()
        route = f"{request.method} {path}"
        try:
            fields = {**request.query_params, **msgspec.json.decode(body or b"{}", type=dict[str, Any])}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return DIALECTS["zilliz"].error(1801, f"can only accept json format request, error: {error}")
        cluster = cluster or self._requested_cluster(fields)
        if cluster is None:
            return self._unknown_cluster(request, fields) if route in _HOSTED_ENDPOINTS else not_found()
        if route not in cluster.dialect.endpoints:
            return not_found()
        endpoint = cluster.dialect.endpoints[route]
        context = RequestContext(cluster, endpoint, fields, request.headers)
        trouble = cluster.record_request(endpoint)
        return trouble.respond(context, **trouble.parameters) if trouble else context.respond()

    def _requested_cluster(self, fields: Mapping[str, Any]) -> SimulatedCluster | None:
        """Return the Zilliz Cloud cluster that the fields name: by its id, or by project and region."""
        if fields.get("clusterId"):
            cluster = self._world.clusters.get(str(fields["clusterId"]))
            return cluster if cluster and cluster.dialect.hosted else None
        place = (fields.get("projectId"), fields.get("regionId"))
        hosted = self._world.hosted_clusters() if any(place) else ()
        return next((cluster for cluster in hosted if place == (cluster.project_id, cluster.region_id)), None)

    def _unknown_cluster(self, request: Request, fields: Mapping[str, Any]) -> Response:
        zilliz, cluster_id = DIALECTS["zilliz"], fields.get("clusterId")
        if clusters_of_key(self._world, request.headers.get("authorization", "")) is None:
            return zilliz.unauthorized()
        if not cluster_id and not fields.get("projectId"):
            return zilliz.error(80000, "Incorrect parameter: clusterId")
        return zilliz.error(96025, f"The cluster does not exist. clusterId: {cluster_id}")


async def _read_body(request: Request) -> bytes | None:
    """Return the body of a request, or None where it is too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_REQUEST:
            return None
    return body
