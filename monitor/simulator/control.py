"""The control endpoint, for people who run `simulate` in a terminal and want something to happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from monitor.simulator.answers import Answer, encode
from monitor.simulator.lives import KINDS, Life
from monitor.simulator.trouble import TROUBLES, Trouble, arguments

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.world import World

ROOT = "/simulator"
_SHOWN = 100
_SCENE: dict[str, Callable[[Any], Any]] = {"endpoint": str, "times": int, "seconds": float}
_JOB = ("collection", "database", "files", "total_rows", "job_id")


class Control:
    """`GET /simulator`, `POST` and `DELETE /simulator/clusters/<id>/jobs` and `.../trouble`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def respond(self, method: str, path: str, body: bytes, base_url: str) -> Answer:
        """Returns the answer to a request below `/simulator`; errors say what would have been right."""
        if path.rstrip("/") == ROOT and method == "GET":
            return self._overview(base_url)
        match path.strip("/").split("/"):
            case ["simulator", "clusters", cluster_id, "jobs" | "trouble" as what, *rest] if len(rest) <= 1:
                cluster = self._world.clusters.get(cluster_id)
                if cluster is not None:
                    return _guarded(cluster, method, what, rest, body)
        return _error(404, f"there is nothing; see GET {base_url}{ROOT}")

    def _overview(self, base_url: str) -> Answer:
        clusters = list(self._world.clusters.values())
        shown = [
            {
                "id": cluster.id,
                "generation": cluster.generation,
                "jobs": f"{base_url}{ROOT}/clusters/{cluster.id}/jobs",
                "trouble": f"{base_url}{ROOT}/clusters/{cluster.id}/trouble",
                "config": snippet(cluster, base_url),
            }
            for cluster in clusters[:_SHOWN]
        ]
        troubles = {kind: arguments(kind) for kind in TROUBLES}
        overview = {"clusters": shown, "count": len(clusters), "lives": list(KINDS), "troubles": troubles}
        return Answer(200, msgspec.json.format(encode(overview)) + b"\n")


def snippet(cluster: SimulatedCluster, base_url: str) -> str:
    """Returns the lines of a config file that point the monitor at a cluster; a key is left to be filled in."""
    hosted = cluster.generation in ("zilliz", "v1")
    lines = [
        f"- name: {cluster.id}",
        f"  url: {base_url if hosted else f'{base_url}/clusters/{cluster.id}'}",
        f"  api: {cluster.generation if cluster.generation in ('v1', 'milvus-2.3') else 'v2'}",
    ]
    if hosted:
        lines.append(f"  cluster_id: {cluster.id}")
    if hosted or cluster.api_key:
        lines.append(f"  api_key: {'${SIMULATOR_API_KEY}' if cluster.api_key else 'any'}")
    return "\n".join(lines) + "\n"


def _guarded(cluster: SimulatedCluster, method: str, what: str, rest: list[str], body: bytes) -> Answer:
    try:
        fields = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        return _change(cluster, method, what, rest, fields)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, TypeError) as error:
        return _error(400, str(error))
    except KeyError as error:
        return _error(404, f"no job {error.args[0]!r}")


def _change(cluster: SimulatedCluster, method: str, what: str, rest: list[str], fields: dict[str, Any]) -> Answer:
    if what == "jobs" and method == "POST" and not rest:
        return _add_job(cluster, fields)
    if what == "jobs" and method == "DELETE" and rest:
        cluster.forget(rest[0])
        return Answer(200, encode({"forgotten": rest[0]}))
    if what == "trouble" and method == "POST" and not rest:
        scene = {name: take(fields.pop(name)) for name, take in _SCENE.items() if name in fields}
        trouble = Trouble.of(str(fields.pop("kind", "")), fields)
        cluster.trouble(trouble, **scene)
        return Answer(200, encode({"trouble": trouble.kind}))
    if what == "trouble" and method == "DELETE":
        cluster.recover(rest[0] if rest else None)
        return Answer(200, encode({"trouble": None}))
    return _error(405, "POST or DELETE; a job is deleted by its id: DELETE .../jobs/<job id>")


def _add_job(cluster: SimulatedCluster, fields: dict[str, Any]) -> Answer:
    chosen = {name: fields.pop(name) for name in _JOB if name in fields}
    kind = str(fields.pop("life", "completing"))
    job = cluster.add_job(Life.of(kind, fields), **chosen)
    return Answer(201, encode({"jobId": job.id, "life": kind}))


def _error(status: int, message: str) -> Answer:
    return Answer(status, encode({"error": message}))
