"""Which endpoint answers what."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from monitor.web import openapi
from monitor.web.api import ENDPOINTS, PREFIX, Api, problem
from monitor.web.broadcast import Broadcast
from monitor.web.compression import Compression
from monitor.web.desk import LOOKERS, WAITERS, Desk
from monitor.web.monitored import Monitored
from monitor.web.pages import Pages, static
from monitor.web.parameters import suggestion

NOT_FOUND: Final = 404
METHOD_NOT_ALLOWED: Final = 405

_Answer = Callable[[Request], Awaitable[Response]]


def create_app(monitored: Monitored, clock: Callable[[], float] = time.time) -> Starlette:
    """Return the ASGI app; its ``state.streams`` and ``state.desks`` are for whoever ends it.

    Args:
        monitored: The daemon.
        clock: Seconds since the epoch.
    """
    looks, waits, broadcast = Desk("look", LOOKERS), Desk("wait", WAITERS), Broadcast()
    api = Api(monitored, clock, looks=looks, waits=waits, broadcast=broadcast)
    pages = Pages(monitored, clock, looks=looks, waits=waits)

    @cache
    def description() -> bytes:
        return msgspec.json.encode(openapi.document())

    async def described(_request: Request) -> Response:
        return Response(description(), media_type="application/json")

    async def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else NOT_FOUND
        response = _refusal(request, status, pages)
        if isinstance(error, HTTPException):
            response.headers.update(error.headers or {})
        return response

    answers: Mapping[str, _Answer] = {
        **_of_the_process(monitored, clock),
        "/": pages.fleet,
        "/job": pages.job,
        "/collection": pages.collection,
        "/static/{name}": static,
        openapi.PATH: described,
        **{endpoint.path: api.endpoint(endpoint) for endpoint in ENDPOINTS},
    }
    app = Starlette(
        routes=[
            Route(path, answer, methods=["POST" if path == "/-/reload" else "GET"]) for path, answer in answers.items()
        ],
        middleware=[Middleware(Compression)],
        exception_handlers={NOT_FOUND: refused, METHOD_NOT_ALLOWED: refused},
    )
    app.router.redirect_slashes = False  # it would lead to wherever the Host header of the request says
    app.state.streams = broadcast
    app.state.desks = (looks, waits)
    return app


def _of_the_process(monitored: Monitored, clock: Callable[[], float]) -> Mapping[str, _Answer]:
    """Return what answers for the process itself."""

    async def metrics(request: Request) -> Response:
        body, content_type = monitored.scrape(request.headers.get("accept", ""), clock())
        return Response(body, headers={"Content-Type": content_type})

    async def healthy(_request: Request) -> Response:
        if monitored.healthy():
            return PlainTextResponse("healthy\n")
        return PlainTextResponse("the scheduler stands still\n", 503)

    async def ready(_request: Request) -> Response:
        if monitored.ready():
            return PlainTextResponse("ready\n")
        return PlainTextResponse("some clusters have not been polled yet\n", 503)

    async def reload(_request: Request) -> Response:
        wrong = await monitored.reload()
        if wrong is None:
            return PlainTextResponse("reloaded\n")
        return PlainTextResponse(f"the config was rejected, the old one stays:\n{wrong}\n", 422)

    return {"/metrics": metrics, "/-/healthy": healthy, "/-/ready": ready, "/-/reload": reload}


def _refusal(request: Request, status: int, pages: Pages) -> Response:
    """Return what tells that there is no such endpoint, or that it cannot be asked like this."""
    path = request.url.path
    if path.startswith(PREFIX):
        if status == METHOD_NOT_ALLOWED:
            return problem(status, f"{path} cannot be asked with {request.method}", "use GET")
        known = [one.removeprefix(PREFIX) for one in (openapi.PATH, *(endpoint.path for endpoint in ENDPOINTS))]
        return problem(status, "there is no such endpoint", suggestion(path.removeprefix(PREFIX), known, PREFIX))
    if status == METHOD_NOT_ALLOWED or path.startswith(("/-/", "/static/", "/metrics")):
        return PlainTextResponse("Method Not Allowed\n" if status == METHOD_NOT_ALLOWED else "Not Found\n", status)
    return pages.problem(status, "There is no such page.", "The address may be mistyped, or of another version.")
