"""The ASGI app: which handler serves which path."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.web.api import ENDPOINTS, OPENAPI_PATH, PREFIX, json_response, openapi_document
from monitor.web.base_path import BasePath
from monitor.web.context import Context, MonitoredDaemon
from monitor.web.errors import HANDLED, request_error
from monitor.web.limits import WebLimits
from monitor.web.pages import Pages, static
from monitor.web.views import Problem

GZIP_MINIMUM: Final = 1024  # bytes of a response below which compression saves nothing
GZIP_LEVEL: Final = 1  # of 9: metrics shrink to a tenth already, and more would cost the scrape more than it saves
_Handler = Callable[[Request], Awaitable[Response]]


def create_app(
    monitor: MonitoredDaemon, clock: Callable[[], float] = time.time, limits: WebLimits | None = None
) -> Starlette:
    """Return the ASGI app: ``state.streams.end()`` ends its event streams, ``state.pools`` count busy threads."""
    context = Context(monitor, clock, limits or WebLimits())
    pages = Pages(context)

    async def refuse(request: Request, error: Exception) -> Response:
        problem = request_error(error)
        if request.url.path.startswith(PREFIX):
            response = json_response(Problem(error=str(problem), hint=problem.hint), problem.status)
        else:
            response = pages.problem(request, problem)
        response.headers.update(problem.headers)
        return response

    handlers: Mapping[str, _Handler] = {
        **_process_handlers(monitor, clock),
        **pages.handlers(),
        "/static/{name}": static,
        OPENAPI_PATH: _openapi,
        **{endpoint.path: endpoint.handler(context) for endpoint in ENDPOINTS},
    }
    app = Starlette(
        routes=[
            Route(path, handler, methods=["POST" if path == "/-/reload" else "GET"])
            for path, handler in handlers.items()
        ],
        middleware=[
            Middleware(GZipMiddleware, minimum_size=GZIP_MINIMUM, compresslevel=GZIP_LEVEL),
            Middleware(BasePath, external_url=lambda: monitor.external_url),
        ],
        exception_handlers=dict.fromkeys(HANDLED, refuse),
    )
    app.router.redirect_slashes = False  # it would redirect to whatever host the Host header names
    app.state.streams = context.streams
    app.state.pools = (context.memory_pool, context.store_pool, context.cluster_pool)
    return app


def _process_handlers(monitor: MonitoredDaemon, clock: Callable[[], float]) -> Mapping[str, _Handler]:
    async def metrics(request: Request) -> Response:
        body, content_type = monitor.scrape(request.headers.get("accept", ""), clock())
        return Response(body, headers={"Content-Type": content_type})

    async def healthy(_: Request) -> Response:
        return _status(monitor.healthy(), "healthy", "the scheduler does not run")

    async def ready(_: Request) -> Response:
        return _status(monitor.ready(), "ready", "some clusters have not been polled yet")

    async def reload(_: Request) -> Response:
        wrong = await monitor.reload()
        if wrong is None:
            return PlainTextResponse("reloaded\n")
        return PlainTextResponse(f"reload failed; the previous config stays in effect:\n{wrong}\n", 422)

    return {"/metrics": metrics, "/-/healthy": healthy, "/-/ready": ready, "/-/reload": reload}


def _status(ok: bool, yes: str, no: str) -> Response:
    return PlainTextResponse(f"{yes if ok else no}\n", 200 if ok else 503)


async def _openapi(request: Request) -> Response:
    return Response(msgspec.json.encode(openapi_document(request.state.base)), media_type="application/json")
