"""Requests that cannot be answered: what is wrong, and what to do about it, for people and for programs."""

from collections.abc import Collection
from difflib import get_close_matches
from http import HTTPStatus
from typing import Final

from starlette.exceptions import HTTPException

from monitor.store import CursorError, StoreUnavailableError

RETRY_AFTER: Final = "1"  # seconds after which a client that was answered 503 may try again


class RequestError(Exception):
    """A request cannot be answered.

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
    if isinstance(error, RequestError):
        return error
    if isinstance(error, HTTPException):
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            refused = RequestError(405, "this method is not allowed", f"use {(error.headers or {})['Allow']}")
            refused.headers = dict(error.headers or {})
            return refused
        return RequestError(404, "there is no such page or endpoint", "the address may be mistyped or outdated")
    if isinstance(error, CursorError):
        return RequestError(400, str(error), "start again without a cursor")
    return RequestError(503, "the database is unavailable", "only unfinished jobs and recent failures are in memory")


HANDLED: Final = (RequestError, HTTPException, CursorError, StoreUnavailableError)
"""The exceptions that ``request_error`` translates."""


def suggestion(text: str, known: Collection[str]) -> str:
    """Return a hint with the known names, the nearest first."""
    nearest = get_close_matches(text, known, 1)
    names = ", ".join(known)
    return f"did you mean {nearest[0]}? Valid: {names}" if nearest else f"valid: {names}"
