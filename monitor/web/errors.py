"""Requests that are refused: what is wrong, and what to do about it, for people and for programs."""

from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException

from monitor.store import CursorError, StoreUnavailableError

RETRY_AFTER: Final = "1"  # seconds after which a client that got a 503 may try again


class RequestError(Exception):
    """A request is refused.

    Args:
        status: Of the response.
        message: What is wrong.
        hint: What to do about it; may be empty.
        cluster: A cluster that the page about the problem links to; may be empty.
    """

    def __init__(self, status: int, message: str, hint: str = "", cluster: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.hint = hint
        self.cluster = cluster
        self.headers = {"Retry-After": RETRY_AFTER} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}


class BusyError(RequestError):
    """Too many requests are waiting already."""

    def __init__(self) -> None:
        super().__init__(503, "too many requests are waiting", "try again in a moment")


def request_error(error: Exception) -> RequestError:
    """Return an error of a handler, of the store or of the router as an error of the request."""
    match error:
        case RequestError():
            return error
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": methods}):
            refused = RequestError(405, "this method is not allowed", f"use {methods}")
            refused.headers["Allow"] = methods
            return refused
        case HTTPException():
            return RequestError(404, "there is no such page or endpoint", "the address may be mistyped or outdated")
        case CursorError():
            return RequestError(400, "the cursor is not from a page of this list", "start again without a cursor")
        case _:
            hint = "only unfinished jobs and recent failures are in memory"
            return RequestError(503, "the database is unavailable", hint)


HANDLED: Final = (RequestError, HTTPException, CursorError, StoreUnavailableError)
"""The exceptions that ``request_error`` translates."""
