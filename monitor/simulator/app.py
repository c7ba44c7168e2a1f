"""The HTTP application: the import API of all clusters, the account API, and the control endpoint."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.simulator import account
from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.control import control_app
from monitor.simulator.dialects import DIALECTS
from monitor.simulator.dialects.base import ApiError, RequestContext, not_found
from monitor.simulator.world import World

_LARGEST_REQUEST = 1 << 20
"""Bytes; import requests are a few hundred."""
_CLUSTER_PREFIX = "/clusters/"
_HOSTED_ENDPOINTS: Mapping[str, str] = {
    route: endpoint
    for endpoints in (account.ENDPOINTS, *(dialect.endpoints for dialect in DIALECTS.values() if dialect.hosted))
    for route, endpoint in endpoints.items()
}


class SimulatorApp:
    """An ASGI application that serves a `World`."""

    def __init__(self, world: World, base_url: str) -> None:
        self._world = world
        self._base_url = base_url
        self._control = control_app(world, base_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"].startswith("/simulator"):
            await self._control(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            respond = self._respond(request, await _read_body(request))
        except ApiError as error:
            respond = DIALECTS["zilliz"].error(error.code, error.message, error.status)
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
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if (cluster is None or cluster.dialect.hosted) and self._world.quota.is_used_up(
            key, _HOSTED_ENDPOINTS.get(route)
        ):
            raise ApiError(429, "Too many requests", 429)
        if cluster is None and route in account.ENDPOINTS:
            return self._respond_for_account(account.ENDPOINTS[route], request, key)
        try:
            fields = {**request.query_params, **msgspec.json.decode(body or b"{}", type=dict[str, Any])}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(1801, f"can only accept json format request, error: {error}") from error
        cluster = cluster or self._hosted_cluster(fields)
        if route not in cluster.dialect.endpoints:
            return not_found()
        context = RequestContext(cluster, cluster.dialect.endpoints[route], fields, request.headers)
        trouble = cluster.record_request(context.endpoint)
        return trouble.respond(context) if trouble else context.respond()

    def _respond_for_account(self, endpoint: str, request: Request, key: str) -> ASGIApp:
        clusters = [cluster for cluster in list(self._world.clusters.values()) if cluster.generation == "zilliz"]
        context = account.AccountRequest(clusters, endpoint, request.query_params, key, self._base_url)
        trouble = self._world.account.record_request(context.endpoint)
        return trouble.respond(context) if trouble else context.respond()

    def _hosted_cluster(self, fields: Mapping[str, Any]) -> SimulatedCluster:
        """Return the Zilliz Cloud cluster that the fields name: by its id, or by project and region."""
        cluster_id, region = fields.get("clusterId"), (fields.get("projectId"), fields.get("regionId"))
        if not cluster_id and not any(region):
            raise ApiError(80000, "Incorrect parameter: clusterId")
        cluster = self._world.clusters.get(str(cluster_id))
        if not cluster_id:
            clusters = sorted(self._world.clusters.values(), key=lambda each: not each.cloud.on_demand)
            cluster = next((each for each in clusters if region == (each.project_id, each.region_id)), None)
        if cluster is None or not cluster.dialect.hosted:
            raise ApiError(96025, f"The cluster does not exist. clusterId: {cluster_id}")
        return cluster


async def _read_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_REQUEST:
            raise ApiError(413, "request entity too large", 413)
    return body
