"""The account API of Zilliz Cloud: what a key sees. It is the place for what discovery needs of it."""

from collections.abc import Mapping
from typing import Any

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
    hosted = world.hosted_clusters()
    clusters = [cluster for cluster in hosted if cluster.api_key in (None, key)]
    if hosted and not clusters:
        raise ApiError(*Zilliz.unauthorized)
    return clusters


def account_routes(world: World, base_url: str) -> list[Route]:
    """Return `GET /v2/clusters` and `GET /v2/projects`."""

    async def list_clusters(request: Request) -> Response:
        clusters = clusters_of_key(world, request.headers)
        page, paging = Zilliz().page(clusters, request.query_params)
        shown = [_cluster(cluster, base_url) for cluster in page]
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

    return [Route("/v2/clusters", list_clusters), Route("/v2/projects", list_projects)]


def _cluster(cluster: SimulatedCluster, base_url: str) -> dict[str, Any]:
    return {
        "clusterId": cluster.id,
        "clusterName": f"cluster-{cluster.id[-6:]}",
        "description": "",
        "regionId": cluster.region_id,
        "plan": "Standard",
        "cuType": "Performance-optimized",
        "cuSize": 1,
        "status": cluster.status,
        "connectAddress": f"{base_url}/clusters/{cluster.id}",
        "projectId": cluster.project_id,
        "createTime": _CREATED,
    }
