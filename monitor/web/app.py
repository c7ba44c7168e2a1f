"""The endpoints: metrics, health, reload, and a landing page."""

import html
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

Row = tuple[str, str, str]
"""One row of the landing page: the cluster's name, whether it is up, its jobs in words."""


class Monitored(Protocol):
    """What the endpoints ask the daemon."""

    def scrape(self, accept: str, now: float) -> tuple[bytes, str]:
        """Return the body and the content type of a scrape, at once."""

    def healthy(self) -> bool:
        """Say whether the process does its work, whatever the clusters do."""

    def ready(self) -> bool:
        """Say whether every cluster has been polled once."""

    async def reload(self) -> str | None:
        """Load the config anew; return what is wrong with it, or None where it was taken."""

    def overview(self) -> list[Row]:
        """Return a row for each cluster."""


def create_app(monitored: Monitored, clock: Callable[[], float] = time.time) -> Starlette:
    """Return the ASGI app.

    Args:
        monitored: The daemon.
        clock: Seconds since the epoch.
    """

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
        problem = await monitored.reload()
        if problem is None:
            return PlainTextResponse("reloaded\n")
        return PlainTextResponse(f"the config was rejected, the old one stays:\n{problem}\n", 422)

    async def landing(_request: Request) -> Response:
        return HTMLResponse(_page(monitored.overview()), headers=_PAGE_HEADERS)

    return Starlette(
        routes=[
            Route("/metrics", metrics, methods=["GET"]),
            Route("/-/healthy", healthy, methods=["GET"]),
            Route("/-/ready", ready, methods=["GET"]),
            Route("/-/reload", reload, methods=["POST"]),
            Route("/", landing, methods=["GET"]),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=1024, compresslevel=1)],
    )


_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884 }
"""


def _page(rows: list[Row]) -> str:
    """Return the landing page; every value is escaped."""
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>milvus-import-monitor</title><style>{_STYLE}</style></head>
<body>
<h1>milvus-import-monitor</h1>
<p>Version {html.escape(version("milvus-import-monitor"))}.
<a href="/metrics">Metrics</a> · <a href="/-/healthy">Health</a> · <a href="/-/ready">Readiness</a></p>
<table>
<thead><tr><th scope="col">Cluster</th><th scope="col">State</th><th scope="col">Jobs listed</th></tr></thead>
<tbody>
{body}</tbody>
</table>
</body>
</html>
"""
