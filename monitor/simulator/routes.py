"""Which cluster, which API and which endpoint a request is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec

from monitor.simulator.answers import BadRequest, Dialect
from monitor.simulator.milvus import Milvus
from monitor.simulator.milvus_23 import Milvus23
from monitor.simulator.zilliz import Zilliz
from monitor.simulator.zilliz_v1 import ZillizV1

if TYPE_CHECKING:
    from monitor.simulator.cluster import Generation, SimulatedCluster
    from monitor.simulator.world import World

DIALECTS: dict[Generation, Dialect] = {
    "zilliz": Zilliz(),
    "milvus": Milvus(),
    "v1": ZillizV1(),
    "milvus-2.3": Milvus23(),
}
_V2 = "/v2/vectordb/"
_V2_ENDPOINTS = {
    "jobs/import/list": "list",
    "jobs/import/describe": "describe",
    "jobs/import/getProgress": "describe",
    "jobs/import/get_progress": "describe",
    "databases/list": "databases",
}
_V1 = "/v1/vector/collections/import/"
_V1_ENDPOINTS = {"list": "list", "get": "describe"}
_OLD = "/api/v1/import/"
_OLD_ENDPOINTS = {"tasks": "list", "state": "describe"}
_PREFIX = "/clusters/"
_ALIASES = {"get_progress": ("milvus",), "getProgress": ("zilliz",)}


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        cluster: The cluster it is about; None where the request names one that does not exist.
        dialect: The API it is made in.
        endpoint: `list`, `describe` or `databases`.
        fields: What came in the body or in the query.
    """

    cluster: SimulatedCluster | None
    dialect: Dialect
    endpoint: str
    fields: dict[str, Any]


def find(world: World, default: str | None, method: str, path: str, query: bytes, body: bytes) -> Route | None:
    """Returns where a request goes, or None where no API has such a path.

    Raises:
        BadRequest: The body is not JSON.
    """
    named: SimulatedCluster | None = None
    if path.startswith(_PREFIX):
        cluster_id, _, rest = path[len(_PREFIX) :].partition("/")
        path, named = f"/{rest}", world.clusters.get(cluster_id)
        if named is None:
            return None
    if method == "POST" and path.startswith(_V2):
        return _v2(world, named, default, path, body)
    if method == "GET" and path.startswith(_V1):
        return _v1(world, named, path, query)
    if method == "GET" and path.startswith(_OLD):
        return _old(named or world.clusters.get(default or ""), path, body)
    return None


def _v1(world: World, named: SimulatedCluster | None, path: str, query: bytes) -> Route | None:
    endpoint = _V1_ENDPOINTS.get(path[len(_V1) :])
    fields: dict[str, Any] = dict(parse_qsl(query.decode("ascii", "replace")))
    cluster = named or _by_fields(world, fields)
    if endpoint is None or (cluster is not None and cluster.generation != "v1"):
        return None
    return Route(cluster, DIALECTS["v1"], endpoint, fields)


def _old(cluster: SimulatedCluster | None, path: str, body: bytes) -> Route | None:
    endpoint = _OLD_ENDPOINTS.get(path[len(_OLD) :])
    if endpoint is None or cluster is None or cluster.generation != "milvus-2.3":
        return None
    return Route(cluster, DIALECTS["milvus-2.3"], endpoint, _fields(body or b"{}"))


def _v2(world: World, named: SimulatedCluster | None, default: str | None, path: str, body: bytes) -> Route | None:
    endpoint = _V2_ENDPOINTS.get(path[len(_V2) :])
    if endpoint is None or (named is not None and named.generation == "milvus-2.3"):
        return None
    fields = _fields(body)
    cluster = named
    if cluster is None:
        in_cloud = fields.get("clusterId") or fields.get("projectId")
        cluster = _by_fields(world, fields) if in_cloud or default is None else world.clusters.get(default)
    if cluster is None:
        return Route(None, DIALECTS["zilliz"], endpoint, fields)
    if endpoint != "databases" and cluster.generation not in _ALIASES.get(
        path.rpartition("/")[2], ("zilliz", "milvus")
    ):
        return None
    return Route(cluster, DIALECTS[cluster.generation], endpoint, fields)


def _by_fields(world: World, fields: dict[str, Any]) -> SimulatedCluster | None:
    cluster_id = fields.get("clusterId")
    if isinstance(cluster_id, str) and cluster_id:
        cluster = world.clusters.get(cluster_id)
        return cluster if cluster and cluster.generation in ("zilliz", "v1") else None
    project_id, region_id = fields.get("projectId"), fields.get("regionId")
    return world.on_demand(str(project_id), str(region_id)) if project_id else None


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(1801, f"can only accept json format request, error: {error}") from error
    if not isinstance(fields, dict):
        raise BadRequest(1801, "can only accept json format request, error: not an object")
    return fields
