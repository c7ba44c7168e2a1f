"""What can go wrong with a request: scripted troubles that rehearse alerts."""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Self

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.simulator.dialects.base import Dialect, not_found, text

_STATUSES = range(200, 600)
_ERRORS = {
    403: (65535, "permission deny: PrivilegeImport is not granted"),
    408: (10001, "request timeout"),
    429: (429, "Too many requests"),
    500: (500, "internal server error"),
}
"""Code and message of errors that come from the server itself; those of other statuses come from a proxy."""
_PROXY_ERROR = b"upstream connect error or disconnect/reset before headers. reset reason: connection failure"


class Trouble(msgspec.Struct, frozen=True):
    """One way for a request to go wrong."""

    kind: str  # its key in `TROUBLES` or `ACCOUNT_TROUBLES`
    respond: Callable[[Any], ASGIApp]  # returns what is sent to a request: a `RequestContext`, or an `AccountRequest`
    endpoint: str | None = None  # the only endpoint that it concerns; None for all

    @classmethod
    def http(cls, status: int, *, retry_after: float | str | None = None) -> Self:
        """Respond with an HTTP status and the body that a server sends with it."""
        if status not in _STATUSES:
            raise ValueError(f"status must be from 200 to 599, not {status}")

        def respond(context: Any) -> Response:
            dialect: Dialect = context.dialect
            errors = {**_ERRORS, 401: dialect.unauthorized[:2]}
            if status in errors:
                response = dialect.error(*errors[status], status)
            elif status == HTTPStatus.NOT_FOUND:
                response = not_found()
            else:
                response = Response(_PROXY_ERROR, status, media_type="text/plain")
            if retry_after is not None:
                response.headers["retry-after"] = str(retry_after)
            return response

        return cls("http", respond)

    @classmethod
    def code(cls, code: int = 1, message: str = "service unavailable", *, status: int = 200) -> Self:
        """Respond with an error in the body, as Milvus sends most errors with HTTP status 200."""
        return cls("code", lambda context: context.dialect.error(code, message, status))

    @classmethod
    def hang(cls) -> Self:
        """Accept the request and never respond."""
        return cls("hang", lambda _context: _wait_for_disconnect)

    @classmethod
    def slow(cls, seconds: float = 3.0) -> Self:
        """Respond correctly after `seconds`."""
        delay = float(seconds)

        def respond(context: Any) -> ASGIApp:
            async def wait_and_respond(scope: Scope, receive: Receive, send: Send) -> None:
                try:
                    await asyncio.wait_for(_wait_for_disconnect(scope, receive, send), delay)
                except TimeoutError:  # the client still waits
                    await context.respond()(scope, receive, send)

            return wait_and_respond

        return cls("slow", respond)

    @classmethod
    def false_empty(cls) -> Self:
        """Respond with an empty list although there are jobs (Milvus 2.4 to 3.x)."""
        return cls("false_empty", lambda context: context.respond([]), endpoint="list")

    @classmethod
    def empty(cls) -> Self:
        """Respond with an empty list of clusters although the account has some."""
        return cls("empty", lambda context: context.respond([]), endpoint="clusters")

    @classmethod
    def partial(cls, page: int = 2, status: int = 503) -> Self:
        """Respond with an HTTP status to a page of the list of clusters, and to all pages after it."""
        failure = cls.http(status)

        def respond(context: Any) -> ASGIApp:
            is_before = int(text(context.fields, "currentPage") or 1) < page
            response: ASGIApp = context.respond() if is_before else failure.respond(context)
            return response

        return cls("partial", respond, endpoint="clusters")

    @classmethod
    def body(cls, body: str | bytes, *, status: int = 200, content_type: str = "application/json") -> Self:
        """Respond with this body."""
        return cls("body", lambda _context: Response(body, status, {"content-type": content_type}))


TROUBLES: Mapping[str, Callable[..., Trouble]] = {
    kind: getattr(Trouble, kind) for kind in ("http", "code", "hang", "slow", "false_empty", "body")
}


ACCOUNT_TROUBLES: Mapping[str, Callable[..., Trouble]] = {
    kind: getattr(Trouble, kind) for kind in ("http", "code", "hang", "slow", "empty", "partial", "body")
}


async def _wait_for_disconnect(_scope: Scope, receive: Receive, _send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
