"""The control endpoint of `simulate`: adds and removes jobs and troubles over HTTP."""

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
from monitor.simulator.troubles import TROUBLES
from monitor.simulator.world import World

Made = TypeVar("Made")
_CLUSTERS_SHOWN = 100
_JOB_FIELDS = ("collection", "database", "files", "total_rows", "job_id")
_SCHEDULE_FIELDS: Mapping[str, Callable[[Any], Any]] = {"endpoint": str, "times": int, "seconds": float}


def control_app(world: World, base_url: str) -> Starlette:
    """Return an application with `GET /simulator`, and `POST` and `DELETE` of jobs and troubles of each cluster."""

    async def show_overview(_request: Request) -> Response:
        return Response(msgspec.json.format(msgspec.json.encode(_overview(world, base_url))) + b"\n")

    async def add_job(request: Request) -> Response:
        cluster, fields = world.clusters[request.path_params["cluster_id"]], await _json_fields(request)
        job_fields = {name: fields.pop(name) for name in _JOB_FIELDS if name in fields}
        kind = str(fields.pop("life", "completing"))
        job = cluster.add_job(make("life", LIFECYCLES, kind, fields), **job_fields)
        return json_response({"jobId": job.id, "life": kind}, 201)

    async def forget_job(request: Request) -> Response:
        world.clusters[request.path_params["cluster_id"]].forget(request.path_params["job_id"])
        return json_response({"forgotten": request.path_params["job_id"]})

    async def add_trouble(request: Request) -> Response:
        cluster, fields = world.clusters[request.path_params["cluster_id"]], await _json_fields(request)
        schedule = {name: convert(fields.pop(name)) for name, convert in _SCHEDULE_FIELDS.items() if name in fields}
        trouble = make("trouble", TROUBLES, str(fields.pop("kind", "")), fields)
        cluster.trouble(trouble, **schedule)
        return json_response({"trouble": trouble.kind})

    async def end_troubles(request: Request) -> Response:
        world.clusters[request.path_params["cluster_id"]].recover()
        return json_response({"trouble": None})

    def error_response(_request: Request, error: Exception) -> Response:
        status, detail = 400, str(error)
        if isinstance(error, HTTPException):
            status, detail = error.status_code, error.detail
        elif isinstance(error, KeyError):
            status, detail = 404, f"there is no {error}"
        return json_response({"error": f"{detail}; see GET {base_url}/simulator"}, status)

    path = "/simulator/clusters/{cluster_id}"
    routes = [
        Route("/simulator", show_overview),
        Route(f"{path}/jobs", add_job, methods=["POST"]),
        Route(f"{path}/jobs/{{job_id}}", forget_job, methods=["DELETE"]),
        Route(f"{path}/trouble", add_trouble, methods=["POST"]),
        Route(f"{path}/trouble", end_troubles, methods=["DELETE"]),
    ]
    errors = (HTTPException, KeyError, TypeError, ValueError)
    return Starlette(routes=routes, exception_handlers=dict.fromkeys(errors, error_response))


def snippet(cluster: SimulatedCluster, base_url: str) -> str:
    """Return the lines of a config file that watch a cluster; a key is left to be filled in."""
    hosted = cluster.dialect.hosted
    lines = [
        f"- name: {cluster.id}",
        f"  url: {base_url if hosted else f'{base_url}/clusters/{cluster.id}'}",
        f"  api: {cluster.dialect.api}",
    ]
    if hosted:
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
        "clusters": [
            {"id": cluster.id, "generation": cluster.generation, "config": snippet(cluster, base_url)}
            for cluster in islice(world.clusters.values(), _CLUSTERS_SHOWN)
        ],
        "count": len(world.clusters),
        "lives": {kind: _parameters(factory) for kind, factory in LIFECYCLES.items()},
        "troubles": {kind: _parameters(factory) for kind, factory in TROUBLES.items()},
    }


def _parameters(factory: Callable[..., Any]) -> list[str]:
    """Return the parameters of a factory, each with its default as JSON; those without are required."""
    parameters = signature(factory).parameters.values()
    return [each.name + ("" if each.default is each.empty else f"={json.dumps(each.default)}") for each in parameters]


async def _json_fields(request: Request) -> dict[str, Any]:
    """Return the fields of a body; msgspec's errors for a bad one are ValueErrors."""
    return msgspec.json.decode(await request.body() or b"{}", type=dict[str, Any])
