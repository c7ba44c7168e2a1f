"""The control endpoint of `simulate`: adds and removes clusters, jobs and troubles over HTTP."""

import json
from collections.abc import Callable, Mapping
from inspect import signature
from itertools import islice
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from monitor.simulator.cluster import SimulatedCluster
from monitor.simulator.dialects.base import json_response
from monitor.simulator.lifecycles import LIFECYCLES
from monitor.simulator.scripted import Scripted
from monitor.simulator.troubles import ACCOUNT_TROUBLES, TROUBLES, Trouble
from monitor.simulator.world import World

Made = TypeVar("Made")
_CLUSTERS_SHOWN = 100
_JOB_FIELDS = ("collection", "database", "files", "total_rows", "job_id")
_CLUSTER_FIELDS: Mapping[str, Callable[[Any], Any]] = {"generation": str, "api_key": str, "retention": float}
_SCHEDULE_FIELDS: Mapping[str, Callable[[Any], Any]] = {"endpoint": str, "times": int, "seconds": float}


def control_app(world: World, base_url: str) -> Starlette:
    """Return an application with `GET /simulator`, and with methods for clusters, jobs, troubles and the quota."""
    control, path = _Control(world, base_url), "/simulator/clusters/{cluster_id}"
    routes = [
        Route("/simulator", control.show_overview),
        Route("/simulator/account/trouble", control.add_trouble, methods=["POST"]),
        Route("/simulator/account/trouble", control.end_troubles, methods=["DELETE"]),
        Route("/simulator/quota", control.set_quota, methods=["PUT"]),
        Route("/simulator/clusters", control.add_cluster, methods=["POST"]),
        Route(path, control.change_cluster, methods=["PATCH"]),
        Route(path, control.delete_cluster, methods=["DELETE"]),
        Route(f"{path}/jobs", control.add_job, methods=["POST"]),
        Route(f"{path}/jobs/{{job_id}}", control.forget_job, methods=["DELETE"]),
        Route(f"{path}/trouble", control.add_trouble, methods=["POST"]),
        Route(f"{path}/trouble", control.end_troubles, methods=["DELETE"]),
    ]
    errors = (HTTPException, KeyError, TypeError, ValueError)
    return Starlette(routes=routes, exception_handlers=dict.fromkeys(errors, control.error_response))


class _Control:
    """The handlers of the control endpoint."""

    def __init__(self, world: World, base_url: str) -> None:
        self._world = world
        self._base_url = base_url

    async def show_overview(self, _request: Request) -> Response:
        return Response(msgspec.json.format(msgspec.json.encode(_overview(self._world, self._base_url))) + b"\n")

    async def add_cluster(self, request: Request) -> Response:
        fields = await _json_fields(request)
        cluster_id = str(fields.pop("id", ""))
        fields |= {name: convert(fields[name]) for name, convert in _CLUSTER_FIELDS.items() if name in fields}
        cluster = self._world.add_cluster(cluster_id, **fields)
        return json_response(_cluster(cluster, self._base_url), 201)

    async def change_cluster(self, request: Request) -> Response:
        cluster = self._world.change_cluster(request.path_params["cluster_id"], **await _json_fields(request))
        return json_response(_cluster(cluster, self._base_url))

    async def delete_cluster(self, request: Request) -> Response:
        self._world.delete_cluster(request.path_params["cluster_id"])
        return json_response({"deleted": request.path_params["cluster_id"]})

    async def set_quota(self, request: Request) -> Response:
        self._world.quota.limit = msgspec.convert((await _json_fields(request)).get("requests_per_second"), int | None)
        return json_response({"requests_per_second": self._world.quota.limit})

    async def add_job(self, request: Request) -> Response:
        cluster, fields = self._world.clusters[request.path_params["cluster_id"]], await _json_fields(request)
        job_fields = {name: fields.pop(name) for name in _JOB_FIELDS if name in fields}
        kind = str(fields.pop("life", "completing"))
        job = cluster.add_job(make("life", LIFECYCLES, kind, fields), **job_fields)
        return json_response({"jobId": job.id, "life": kind}, 201)

    async def forget_job(self, request: Request) -> Response:
        self._world.clusters[request.path_params["cluster_id"]].forget(request.path_params["job_id"])
        return json_response({"forgotten": request.path_params["job_id"]})

    def _troubled(self, request: Request) -> tuple[Scripted, Mapping[str, Callable[..., Trouble]]]:
        if "cluster_id" in request.path_params:
            return self._world.clusters[request.path_params["cluster_id"]], TROUBLES
        return self._world.account, ACCOUNT_TROUBLES

    async def add_trouble(self, request: Request) -> Response:
        (server, troubles), fields = self._troubled(request), await _json_fields(request)
        schedule = {name: convert(fields.pop(name)) for name, convert in _SCHEDULE_FIELDS.items() if name in fields}
        trouble = make("trouble", troubles, str(fields.pop("kind", "")), fields)
        server.trouble(trouble, **schedule)
        return json_response({"trouble": trouble.kind})

    async def end_troubles(self, request: Request) -> Response:
        self._troubled(request)[0].recover()
        return json_response({"trouble": None})

    def error_response(self, _request: Request, error: Exception) -> Response:
        status, detail = 400, str(error)
        if isinstance(error, HTTPException):
            status, detail = error.status_code, error.detail
        elif isinstance(error, KeyError):
            status, detail = 404, f"there is no {error}"
        return json_response({"error": f"{detail}; see GET {self._base_url}/simulator"}, status)


def snippet(cluster: SimulatedCluster, base_url: str) -> str:
    """Return the lines of a config file that watch a cluster; a key is left to be filled in."""
    hosted = cluster.dialect.hosted
    lines = [
        f"- name: {cluster.id}",
        f"  url: {base_url if hosted else f'{base_url}/clusters/{cluster.id}'}",
        f"  api: {cluster.dialect.api}",
    ]
    if cluster.cloud.on_demand:
        lines += [f"  project_id: {cluster.project_id}", f"  region_id: {cluster.region_id}"]
    elif hosted:
        lines.append(f"  cluster_id: {cluster.id}")
    if hosted or cluster.api_key:
        lines.append(f"  api_key: {'${SIMULATOR_API_KEY}' if cluster.api_key else 'any'}")
    return "\n".join(lines) + "\n"


def make(what: str, factories: Mapping[str, Callable[..., Made]], kind: str, arguments: Mapping[str, Any]) -> Made:
    """Return what the factory of that name makes of these arguments; raise ValueError where it cannot."""
    if kind not in factories:
        raise ValueError(f"no {what} named {kind!r}; there are {', '.join(factories)}")
    try:
        signature(factories[kind]).bind(**arguments)
        return factories[kind](**arguments)
    except TypeError as error:
        parameters = ", ".join(_parameters(factories[kind])) or "none"
        raise ValueError(f"{what} {kind!r}: {error}; parameters: {parameters}") from error


def _overview(world: World, base_url: str) -> dict[str, Any]:
    return {
        "clusters": [_cluster(cluster, base_url) for cluster in islice(world.clusters.values(), _CLUSTERS_SHOWN)],
        "count": len(world.clusters),
        "lives": {kind: _parameters(factory) for kind, factory in LIFECYCLES.items()},
        "troubles": {kind: _parameters(factory) for kind, factory in TROUBLES.items()},
        "account_troubles": {kind: _parameters(factory) for kind, factory in ACCOUNT_TROUBLES.items()},
        "requests_per_second": world.quota.limit,
    }


def _cluster(cluster: SimulatedCluster, base_url: str) -> dict[str, Any]:
    shown = {"id": cluster.id, "generation": cluster.generation, "config": snippet(cluster, base_url)}
    return shown | {"cloud": cluster.cloud} if cluster.dialect.hosted else shown


def _parameters(factory: Callable[..., Any]) -> list[str]:
    """Return the parameters of a factory, each with its default as JSON; those without are required."""
    parameters = signature(factory).parameters.values()
    return [each.name + ("" if each.default is each.empty else f"={json.dumps(each.default)}") for each in parameters]


async def _json_fields(request: Request) -> dict[str, Any]:
    """Return the fields of a body; msgspec's errors for a bad one are ValueErrors."""
    return msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
