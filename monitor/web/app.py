"""The ASGI app: which handler answers which path."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.web.api import ENDPOINTS, PREFIX, Api, problem
from monitor.web.context import Context, MonitoredDaemon
from monitor.web.events import EventStreams
from monitor.web.limits import WebLimits
from monitor.web.openapi import OPENAPI_PATH, openapi_document
from monitor.web.pages import Pages, static
from monitor.web.params import suggestion

GZIP_MINIMUM: Final = 1024
"""Bytes of a response below which compression saves nothing."""

GZIP_LEVEL: Final = 1
"""Of 9: metrics shrink to a tenth already, and more would cost the scrape more than it saves."""

_NOT_FOUND: Final = 404
_METHOD_NOT_ALLOWED: Final = 405

_Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    monitor: MonitoredDaemon, clock: Callable[[], float] = time.time, limits: WebLimits | None = None
) -> Starlette:
    """Return the ASGI app: ``state.streams.end()`` ends its event streams, ``state.pools`` count busy threads."""
    context = Context(monitor, clock, limits or WebLimits())
    streams = EventStreams(context)
    pages = Pages(context)

    @cache
    def description() -> bytes:
        return msgspec.json.encode(openapi_document())

    async def openapi(_: Request) -> Response:
        return Response(description(), media_type="application/json")

    async def refuse(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else _NOT_FOUND
        response = _refusal(request, status, pages)
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})
        return response

    handlers: Mapping[str, _Handler] = {
        **_process_handlers(monitor, clock),
        **pages.handlers(),
        "/static/{name}": static,
        OPENAPI_PATH: openapi,
        **Api(context, streams).handlers(),
    }
    app = Starlette(
        routes=[
            Route(path, handler, methods=["POST" if path == "/-/reload" else "GET"])
            for path, handler in handlers.items()
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=GZIP_MINIMUM, compresslevel=GZIP_LEVEL)],
        exception_handlers={_NOT_FOUND: refuse, _METHOD_NOT_ALLOWED: refuse},
    )
    app.router.redirect_slashes = False  # it would redirect to whatever host the Host header names
    app.state.streams = streams
    app.state.pools = (context.memory_pool, context.store_pool)
    return app


def _process_handlers(monitor: MonitoredDaemon, clock: Callable[[], float]) -> Mapping[str, _Handler]:
    async def metrics(request: Request) -> Response:
        body, content_type = monitor.scrape(request.headers.get("accept", ""), clock())
        return Response(body, headers={"Content-Type": content_type})

    async def healthy(_: Request) -> Response:
        if monitor.healthy():
            return PlainTextResponse("healthy\n")
        return PlainTextResponse("the scheduler does not run\n", 503)

    async def ready(_: Request) -> Response:
        if monitor.ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("some clusters have not been polled yet\n", 503)

    async def reload(_: Request) -> Response:
        wrong = await monitor.reload()
        if wrong is None:
            return PlainTextResponse("reloaded\n")
        return PlainTextResponse(f"reload failed; the previous config stays in effect:\n{wrong}\n", 422)

    return {"/metrics": metrics, "/-/healthy": healthy, "/-/ready": ready, "/-/reload": reload}


def _refusal(request: Request, status: int, pages: Pages) -> Response:
    """Return the response for an unknown path, or a method that it does not have."""
    path = request.url.path
    if path.startswith(PREFIX):
        if status == _METHOD_NOT_ALLOWED:
            return problem(status, f"{path} does not support {request.method}", "use GET")
        paths = (OPENAPI_PATH, *(endpoint.path for endpoint in ENDPOINTS))
        known = [known_path.removeprefix(PREFIX) for known_path in paths]
        return problem(status, "no such endpoint", suggestion(path.removeprefix(PREFIX), known, PREFIX))
    if status == _METHOD_NOT_ALLOWED or path.startswith(("/-/", "/static/", "/metrics")):
        return PlainTextResponse("Method Not Allowed\n" if status == _METHOD_NOT_ALLOWED else "Not Found\n", status)
    return pages.problem(status, "There is no such page.", "The address may be mistyped, or of another version.")
