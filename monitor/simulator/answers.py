"""Requests as the four APIs read them, and answers as they write them: what all of them share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from monitor.simulator.cluster import SimulatedCluster
    from monitor.simulator.job import Row

JSON = b"application/json"
PLAIN = b"text/plain"
encode = msgspec.json.encode


class Answer(NamedTuple):
    """A whole answer: status, body, content type, and other headers."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """A list that can be answered again and again, until a job on it changes."""

    answer: Answer

    def dealt(self, turn: int) -> Answer:  # noqa: ARG002 - a shuffled page needs it
        """Returns the answer to request number `turn`."""
        return self.answer


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for; each API takes of it what it knows.

    Attributes:
        endpoint: `list`, `describe` or `databases`.
        job_id: For describe.
        collection: Only jobs of this collection; empty for all.
        database: Only jobs of this database, where the API can tell; empty for all.
        header_database: The `DB-Name` header.
        page: The page, from 1.
        size: Jobs on a page.
    """

    endpoint: str
    job_id: str = ""
    collection: str = ""
    database: str = ""
    header_database: str = ""
    page: int = 1
    size: int = 10


class BadRequest(Exception):  # noqa: N818 - it is an answer, and the caller's error
    """The request is refused with a code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Dialect(Protocol):
    """What an API generation must be able to say."""

    def read(self, endpoint: str, fields: dict[str, Any], header_database: str) -> Ask:
        """Returns what is asked for.

        Raises:
            BadRequest: A field is missing or out of range.
        """

    def select(self, rows: Sequence[Row], ask: Ask) -> Sequence[Row]:
        """Returns the rows that belong on the page that was asked for."""

    def listing(self, cluster: SimulatedCluster, rows: Sequence[Row], ask: Ask) -> Page:
        """Returns the list of these rows."""

    def description(self, cluster: SimulatedCluster, row: Row) -> Answer:
        """Returns everything about one job."""

    def no_such_job(self, job_id: str) -> Answer:
        """Returns the answer for a job that the server does not know."""

    def refusal(self, code: int, message: str, status: int = 200) -> Answer:
        """Returns an error."""

    def unauthorized(self) -> Answer:
        """Returns the answer to a wrong key."""


def timestamp(seconds: float | None) -> str:
    """Returns a time as the APIs write it, in UTC to the second; nothing for None."""
    return "" if seconds is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def whole(fields: dict[str, Any], name: str, default: int, low: int, high: int, refused: BadRequest) -> int:
    """Returns a number of a request, which may come as a string.

    Raises:
        BadRequest: `refused`, when it is no number from `low` to `high`.
    """
    value = fields.get(name)
    if value is None or value == "":
        return default
    try:
        number = int(value)
    except (TypeError, ValueError):
        raise refused from None
    if not low <= number <= high:
        raise refused
    return number


def text(fields: dict[str, Any], name: str) -> str:
    """Returns a field of a request as a string; empty where it is absent."""
    value = fields.get(name)
    return "" if value is None else str(value)


def matching(rows: Sequence[Row], collection: str, database: str) -> Sequence[Row]:
    """Returns the rows of a collection and a database; empty names mean all."""
    if collection:
        rows = [row for row in rows if row.job.collection == collection]
    if database:
        rows = [row for row in rows if row.job.database == database]
    return rows


def paged(rows: Sequence[Row], ask: Ask) -> Sequence[Row]:
    """Returns one page of the rows."""
    begin = (ask.page - 1) * ask.size
    return rows[begin : begin + ask.size]


NOT_FOUND = Answer(404, b"404 page not found", PLAIN)
"""What Milvus' web framework says to a path it does not know."""
