"""The account API of Zilliz Cloud: the clusters, projects and regions that a key sees."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.responses import Response

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects.base import ApiError, json_response, text
from monitor.simulator.dialects.zilliz import Zilliz
from monitor.simulator.scripted import Scripted

ENDPOINTS: Mapping[str, str] = {
    "GET /v2/clusters": "clusters",
    "GET /v2/clusters/onDemandClusters": "on_demand_clusters",
    "GET /v2/projects": "projects",
    "GET /v2/regions": "regions",
}
"""The endpoints by method and path, from docs.zilliz.com/reference/restful."""

_REGIONS = ("aws-us-west-2", "aws-us-east-1", "aws-eu-central-1", "gcp-us-west1", "az-eastus", "ali-cn-hangzhou")
_CLOUDS = {"az": "azure"}
_CREATED = "2026-01-12T08:30:00Z"
_DIALECT = Zilliz()
_MISSING_PARAMETER = 80000


@dataclass(eq=False, kw_only=True)
class Account(Scripted):
    """The account API; it has the keys of the clusters, and its endpoints are the values of `ENDPOINTS`."""


class AccountRequest(msgspec.Struct, frozen=True):
    """A request to the account API: its endpoint, and its query."""

    clusters: Sequence[SimulatedCluster]  # all clusters of Zilliz Cloud; those of the deprecated v1 are not among them
    endpoint: str
    fields: Mapping[str, Any]
    key: str  # the API key; empty where there is none
    base_url: str  # the address of the simulator

    @property
    def dialect(self) -> Zilliz:
        """How errors are written."""
        return _DIALECT

    def respond(self, clusters: Sequence[SimulatedCluster] | None = None) -> Response:
        """Return the correct response; with `clusters`, that for a key that sees only them."""
        try:
            visible = self._visible() if clusters is None else clusters
            data = _RESPONDERS[self.endpoint](self, visible)
        except ApiError as error:
            return _DIALECT.error(error.code, error.message, error.status)
        return json_response({"code": 0, "data": data})

    def _visible(self) -> list[SimulatedCluster]:
        """Return the clusters that the key sees; a key that is valid for none of them is no key."""
        visible = [cluster for cluster in self.clusters if cluster.api_key in (None, self.key)]
        if not self.key or (self.clusters and not visible):
            raise ApiError(*Zilliz.unauthorized)
        return visible


def _list_clusters(request: AccountRequest, clusters: Iterable[SimulatedCluster]) -> Any:
    dedicated = [cluster for cluster in clusters if not cluster.cloud.on_demand]
    page, paging = _DIALECT.page(dedicated, request.fields)
    return {**paging, "count": len(dedicated), "clusters": [_cluster(cluster, request.base_url) for cluster in page]}


def _list_on_demand_clusters(request: AccountRequest, clusters: Iterable[SimulatedCluster]) -> Any:
    pair = project, region = text(request.fields, "projectId"), text(request.fields, "regionId")
    if not project or not region:
        raise ApiError(_MISSING_PARAMETER, "Incorrect parameter: projectId and regionId are required")
    listed = [
        _cluster(cluster, request.base_url)
        for cluster in clusters
        if cluster.cloud.on_demand and (cluster.project_id, cluster.region_id) == pair
    ]
    return {"count": len(listed), "onDemandClusters": listed}


def _list_projects(_request: AccountRequest, clusters: Iterable[SimulatedCluster]) -> Any:
    projects: dict[str, dict[str, Any]] = {}
    for cluster in clusters:
        project = projects.setdefault(
            cluster.project_id,
            {
                "projectId": cluster.project_id,
                "projectName": cluster.cloud.project,
                "regionIds": [],
                "instanceCount": 0,
                "createTime": _CREATED,
                "plan": cluster.cloud.plan,
                "orgType": "SAAS",
            },
        )
        project["instanceCount"] += 1
        project["regionIds"] = sorted({*project["regionIds"], cluster.region_id})
    return list(projects.values())


def _list_regions(request: AccountRequest, _clusters: Iterable[SimulatedCluster]) -> Any:
    cloud = text(request.fields, "cloudId")
    clouds = {region: region.partition("-")[0] for region in _REGIONS}
    regions = [(_CLOUDS.get(prefix, prefix), region) for region, prefix in clouds.items()]
    domain = request.base_url.partition("://")[2]
    return [
        {"cloudId": provider, "regionId": region, "domain": domain}
        for provider, region in regions
        if cloud in ("", provider)
    ]


def _cluster(cluster: SimulatedCluster, base_url: str) -> dict[str, Any]:
    cloud = cluster.cloud
    fields: dict[str, Any] = {
        "clusterId": cluster.id,
        "clusterName": cloud.name,
        "description": "",
        "regionId": cloud.region_id,
        "plan": cloud.plan,
        "cuType": "Performance-optimized",
        "cuSize": 1,
        "status": cloud.status,
        "connectAddress": f"{base_url}/clusters/{cluster.id}",
        "privateLinkAddress": "",
        "projectId": cluster.project_id,
        "createTime": _CREATED,
    }
    if cloud.role:
        fields["globalClusterMeta"] = {"role": cloud.role}
    return fields


_RESPONDERS: Mapping[str, Callable[[AccountRequest, Iterable[SimulatedCluster]], Any]] = {
    "clusters": _list_clusters,
    "on_demand_clusters": _list_on_demand_clusters,
    "projects": _list_projects,
    "regions": _list_regions,
}
