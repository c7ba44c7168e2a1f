"""The account API of Zilliz Cloud: what a key sees of a simulated world."""

from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects.base import ApiError, json_response
from monitor.simulator.dialects.zilliz import Zilliz
from monitor.simulator.world import World

_CREATED = "2026-01-12T08:30:00Z"


def clusters_of_key(world: World, headers: Mapping[str, str]) -> list[SimulatedCluster]:
    """Return the Zilliz Cloud clusters that a key may read; raise `ApiError` where it is valid for none of them."""
    key = headers.get("authorization", "").removeprefix("Bearer ")
    hosted = [cluster for cluster in world.clusters.values() if cluster.dialect.hosted]
    clusters = [cluster for cluster in hosted if cluster.api_key in (None, key)]
    if hosted and not clusters:
        raise ApiError(*Zilliz.unauthorized)
    return clusters


def account_api(world: World, base_url: str, statuses: Mapping[str, str]) -> Starlette:
    """Return an application with `GET /v2/clusters` and `GET /v2/projects`."""

    async def list_clusters(request: Request) -> Response:
        clusters = clusters_of_key(world, request.headers)
        page, paging = Zilliz().page(clusters, request.query_params)
        shown = [_cluster(cluster, base_url, statuses) for cluster in page]
        return json_response({"code": 0, "data": {**paging, "count": len(clusters), "clusters": shown}})

    async def list_projects(request: Request) -> Response:
        projects = [
            {
                "projectId": cluster.project_id,
                "projectName": f"project-{cluster.id[-6:]}",
                "instanceCount": 1,
                "createTime": _CREATED,
            }
            for cluster in clusters_of_key(world, request.headers)
        ]
        return json_response({"code": 0, "data": projects})

    return Starlette(
        routes=[Route("/v2/clusters", list_clusters), Route("/v2/projects", list_projects)],
        exception_handlers={ApiError: _api_error},
    )


def _api_error(_request: Request, error: Any) -> Response:
    return Zilliz().error(error.code, error.message, error.status)


def _cluster(cluster: SimulatedCluster, base_url: str, statuses: Mapping[str, str]) -> dict[str, Any]:
    return {
        "clusterId": cluster.id,
        "clusterName": f"cluster-{cluster.id[-6:]}",
        "description": "",
        "regionId": cluster.region_id,
        "plan": "Standard",
        "cuType": "Performance-optimized",
        "cuSize": 1,
        "status": statuses.get(cluster.id, "RUNNING"),
        "connectAddress": f"{base_url}/clusters/{cluster.id}",
        "projectId": cluster.project_id,
        "createTime": _CREATED,
    }
