"""Answers are compressed for who accepts that."""

from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.accept import wants_gzip

LEAST: Final = 1024
"""Bytes of an answer below which compressing it saves nothing."""

LEVEL: Final = 1
"""Of 9: metrics shrink to a tenth already, and more would cost the scrape more than it saves."""

_HEADER: Final = b"accept-encoding"


class Compression:
    """Compresses what an app answers.

    Args:
        app: The app.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = GZipMiddleware(app, minimum_size=LEAST, compresslevel=LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            # Starlette looks only for the word gzip, wherever in the header: it is told the verdict instead.
            said = ",".join(Headers(scope=scope).getlist(_HEADER.decode()))
            others = [(name, value) for name, value in scope["headers"] if name != _HEADER]
            verdict = b"gzip" if wants_gzip(said) else b"identity"
            scope = {**scope, "headers": [*others, (_HEADER, verdict)]}
        await self._app(scope, receive, send)
