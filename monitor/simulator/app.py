"""The HTTP application: from a request to its answer, true or not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from monitor.simulator.answers import NOT_FOUND, PLAIN, Answer, BadRequest
from monitor.simulator.control import Control
from monitor.simulator.lies import lie
from monitor.simulator.pages import PageCache
from monitor.simulator.routes import DIALECTS, find
from monitor.simulator.visit import Visit, visit
from monitor.simulator.wire import Wire
from monitor.simulator.zilliz import clusters_page, projects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.trouble import Trouble
    from monitor.simulator.wire import Receive, Send
    from monitor.simulator.world import World

_LARGEST_REQUEST = 1 << 20
_CONTROL_PLANE = {"/v2/clusters": "clusters", "/v2/projects": "projects"}
_ZILLIZ = DIALECTS["zilliz"]


class SimulatorApp:
    """An ASGI application that serves a `World`.

    Attributes:
        base_url: Where it is reached.
        stopping: Set it to send away whoever still waits.
    """

    def __init__(self, world: World, default_cluster: str | None = None) -> None:
        self.base_url = ""
        self.stopping = asyncio.Event()
        self._world = world
        self._default = default_cluster
        self._pages = PageCache()
        self._control = Control(world)

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Serves one request."""
        wire = Wire(receive, send, scope["state"]["transport"], self.stopping)
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > _LARGEST_REQUEST:
                await wire.answer(Answer(413, b"request entity too large", PLAIN, ((b"connection", b"close"),)))
                return
        with self._world.lock:
            answer, trouble, visited = self._respond(scope, body)
        if answer is not None:
            await wire.answer(answer)
        elif trouble is not None and visited is not None:
            await wire.play(trouble.kind, trouble.parameters, visited)

    def _respond(self, scope: Mapping[str, Any], body: bytes) -> tuple[Answer | None, Trouble | None, Visit | None]:
        world, method, path, query = self._world, scope["method"], scope["path"], scope["query_string"]
        if path.startswith("/simulator"):
            return self._control.respond(method, path, body, self.base_url), None, None
        headers = dict(scope["headers"])
        if method == "GET" and path in _CONTROL_PLANE:
            endpoint = _CONTROL_PLANE[path]
            world.requests[endpoint] += 1
            visited, script = self._control_plane(endpoint, query, headers), world.script
        else:
            try:
                route = find(world, self._default, method, path, query, body)
            except BadRequest as refused:
                return _ZILLIZ.refusal(refused.code, refused.message), None, None
            if route is None:
                world.requests["unknown path"] += 1
                return NOT_FOUND, None, None
            cluster = route.cluster
            if cluster is None:
                world.requests["unknown cluster"] += 1
                return self._no_such_cluster(route.fields, headers), None, None
            cluster.requests[route.endpoint] += 1
            visited, script = visit(route, cluster, self._pages, world.now(), headers), cluster.script
        world.lock.notify_all()
        trouble = script.next(visited.endpoint, world.now()) if script else None
        if trouble is None:
            return visited.truth(), None, None
        return lie(trouble, visited), trouble, visited

    def _control_plane(self, endpoint: str, query: bytes, headers: Mapping[bytes, bytes]) -> Visit:
        def truth() -> Answer:
            clusters = self._own(headers)
            if clusters is None:
                return _ZILLIZ.unauthorized()
            if endpoint == "projects":
                return projects(clusters)
            try:
                return clusters_page(clusters, dict(parse_qsl(query.decode("ascii", "replace"))), self.base_url)
            except BadRequest as refused:
                return _ZILLIZ.refusal(refused.code, refused.message)

        return Visit(_ZILLIZ, endpoint, truth)

    def _own(self, headers: Mapping[bytes, bytes]) -> list[SimulatedCluster] | None:
        """Returns the Zilliz Cloud clusters of a key, or None when there are none."""
        key = headers.get(b"authorization", b"").decode("latin-1").removeprefix("Bearer ")
        in_cloud = [cluster for cluster in self._world.clusters.values() if cluster.generation in ("zilliz", "v1")]
        own = [cluster for cluster in in_cloud if not cluster.api_key or cluster.api_key == key]
        return own if own or not in_cloud else None

    def _no_such_cluster(self, fields: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> Answer:
        if self._own(headers) is None:
            return _ZILLIZ.unauthorized()
        cluster_id = fields.get("clusterId")
        if not cluster_id and not fields.get("projectId"):
            return _ZILLIZ.refusal(80000, "Incorrect parameter: clusterId")
        return _ZILLIZ.refusal(96025, f"The cluster does not exist. clusterId: {cluster_id}")
