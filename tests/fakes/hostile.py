"""Responses that no server should send, as troubles of a simulated cluster: ``cluster.trouble(hostile.gzip_bomb())``.

The simulator itself has the troubles that rehearse alerts; these only have to be survived.
"""

import asyncio
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.simulator import Lifecycle, State, Trouble
from monitor.simulator.cluster import JobStatus, SimulatedJob
from monitor.simulator.dialects.base import RequestContext

MEGABYTE = 1 << 20
GIGABYTE = 1 << 30
NAMES = (
    "two\nlines",
    'quote" back\\slash',
    "\x1b[31mred\x1b[0m",
    "nul\x00byte",
    'x"} 1\nmilvus_import_cluster_up{milvus_cluster="fake"} 0',
    "<script>alert(1)</script>",
    "\u202egnorw\u202c \U0001f4a5",
    "",
    "=cmd|' /C calc'!A0",
)
"""Names and reasons that break logs, metrics, pages and spreadsheets that are not built for them."""

_BAD_RECORDS: list[Any] = [
    {"jobId": {"a": 1}, "id": [7], "collectionName": 17, "state": ["Importing"], "progress": {"b": 2}, "infos": "x"},
    {"jobId": None, "id": None, "collectionName": None, "state": None, "progress": None, "infos": None},
    "text",
    None,
    5,
    [],
    {},
]
_BAD_JOB = {
    "jobId": 5,
    "state": 7,
    "progress": {"a": 1},
    "importedRows": "many",
    "totalRows": None,
    "fileSize": [],
    "completeTime": 12,
    "details": "none",
}
_PAGE = b"<!DOCTYPE html><html><body><h1>Sign in to continue</h1><form action=/login></form></body></html>"
_FIRST_FAKE_JOB = 3 * 10**9
_PAGE_SIZE = 100
_CHUNK = b"x" * 65536
_BEGIN, _END = b'{"code":0,"message":"', b'","data":{"records":[]}}'
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


# --- whole responses with a wrong content


def html() -> Trouble:
    """A web page with status 200, as captive portals and login pages send it."""
    return Trouble("html", lambda _: Response(_PAGE, media_type="text/html"))


def redirect(location: str, status: int = 302) -> Trouble:
    """A redirect, for example to a host that must never see the key."""
    return Trouble("redirect", lambda _: Response(b"", status, {"location": location}))


def wrong_types(where: str = "records") -> Trouble:
    """JSON in which the `records`, the `data`, the `code` or the `top` have another type than documented."""

    def respond(context: RequestContext) -> Response:
        old = context.cluster.generation == "milvus-2.3"
        whole: dict[str, Any] = {
            "top": [1, 2, 3],
            "data": {"status": {}, "tasks": "none"} if old else {"code": 0, "data": "none"},
            "code": {"status": "fine", "tasks": []} if old else {"code": [0], "data": {"records": []}},
        }
        if where in whole:
            return _json(whole[where])
        if context.endpoint != "list":
            return _json({"status": {}, **_BAD_JOB} if old else {"code": 0, "data": _BAD_JOB})
        body = json.loads(context.respond().body)
        (_records(body))[:0] = _BAD_RECORDS
        return _json(body)

    return Trouble("wrong_types", respond)


def endless_pages() -> Trouble:
    """A list of which every page is full and has new jobs."""

    def respond(context: RequestContext) -> Response:
        first = context.cluster.requests["list"] * _PAGE_SIZE
        jobs = [fake_job(context, first + index) for index in range(_PAGE_SIZE)]
        first_page = {name: value for name, value in context.fields.items() if name != "currentPage"}
        return _json(context.cluster.dialect.list_jobs(context.cluster, first_page, jobs))

    return Trouble("endless_pages", respond, endpoint="list")


def long_id(size: int = MEGABYTE) -> Trouble:
    """One more job in the list, whose id has `size` characters."""
    return _with_more_jobs("long_id", lambda context: [fake_job(context, 0, job_id="x" * size)])


def control_characters() -> Trouble:
    """More jobs in the list, with newlines, escapes and quotes in names and reasons."""

    def more(context: RequestContext) -> list[JobStatus]:
        return [
            fake_job(context, number, Lifecycle.frozen(State.FAILED, 0, name), name)
            for number, name in enumerate(NAMES)
        ]

    return _with_more_jobs("control_characters", more)


def content_type(value: str = "text/plain") -> Trouble:
    """The correct response with another content type."""

    def respond(context: RequestContext) -> Response:
        response = context.respond()
        response.headers["content-type"] = value
        return response

    return Trouble("content_type", respond)


def not_utf8() -> Trouble:
    """The correct response with bytes in its first name that are no UTF-8."""

    def respond(context: RequestContext) -> Response:
        before, name, after = context.respond().body.partition(b'Name":"')
        return _json(before + name + b"\xff\xfe\xc3(\x80" + after)

    return Trouble("not_utf8", respond)


def paging_as_text() -> Trouble:
    """The correct page of API v1 with paging fields that are strings, as some servers write them."""

    def respond(context: RequestContext) -> Response:
        body = json.loads(context.respond().body)
        data = body["data"]
        data |= {name: str(data[name]) for name in ("count", "currentPage", "pageSize")}
        return _json(body)

    return Trouble("paging_as_text", respond, endpoint="list")


def truncated() -> Trouble:
    """Half of the body, with the length of the half."""
    return Trouble("truncated", lambda context: _json(_half(context.respond().body)))


# --- bodies that are larger than memory


def huge(size: int = GIGABYTE, *, announced: bool = True) -> Trouble:
    """Valid JSON of `size` bytes; the length is `announced` in the headers, or not."""
    headers = {"content-length": str(size)} if announced else {}
    return Trouble("huge", lambda _: _stream(_padded_json(size), headers))


def gzip_bomb(size: int = GIGABYTE) -> Trouble:
    """A gzip body of about a thousandth of `size` that unpacks to valid JSON of `size` bytes."""

    def packed() -> Iterator[bytes]:
        packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        for piece in _padded_json(size):
            yield packer.compress(piece)
        yield packer.flush()

    return Trouble("gzip_bomb", lambda _: _stream(packed(), {"content-encoding": "gzip"}))


def million_jobs(count: int = 1_000_000) -> Trouble:
    """A list of `count` jobs on one page of API v2."""

    def records() -> Iterator[bytes]:
        yield b'{"code":0,"data":{"records":[{"jobId":"0"}'
        for first in range(1, count, 1000):
            yield b"".join(
                b',{"collectionName":"events","jobId":"job-%d","state":"Importing"}' % number
                for number in range(first, min(first + 1000, count))
            )
        yield b"]}}"

    return Trouble("million_jobs", lambda _: _stream(records(), {}), endpoint="list")


# --- connections that break


def drip(interval: float = 0.2, *, headers: bool = False) -> Trouble:
    """The correct response, one byte every `interval` seconds; with `headers`, from the status line on."""

    async def play(response: Response, transport: asyncio.Transport) -> None:
        head, body = _head(response), bytes(response.body)
        slow = head + body if headers else body
        transport.write(b"" if headers else head)
        for index in range(len(slow)):
            if transport.is_closing():
                return
            transport.write(slow[index : index + 1])
            await asyncio.sleep(interval)
        transport.close()

    return _on_the_wire("drip", play)


def reset() -> Trouble:
    """A connection that is reset (a TCP RST) after half of the body."""

    async def play(response: Response, transport: asyncio.Transport) -> None:
        transport.write(_head(response) + _half(response.body))
        await asyncio.sleep(0.05)  # a reset that overtakes the bytes would swallow them
        connection: socket.socket = transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()

    return _on_the_wire("reset", play)


def cut() -> Trouble:
    """A connection that is closed after half of the promised body."""

    async def play(response: Response, transport: asyncio.Transport) -> None:
        transport.write(_head(response) + _half(response.body))
        transport.close()

    return _on_the_wire("cut", play)


KINDS: Mapping[str, Callable[[], Trouble]] = {
    "html": html,
    "redirect": lambda: redirect("http://127.0.0.1:1/"),
    "wrong_types": wrong_types,
    "endless_pages": endless_pages,
    "long_id": long_id,
    "control_characters": control_characters,
    "content_type": content_type,
    "not_utf8": not_utf8,
    "truncated": truncated,
    "huge": huge,
    "gzip_bomb": gzip_bomb,
    "million_jobs": million_jobs,
    "drip": drip,
    "reset": reset,
    "cut": cut,
}
"""Each of them, for tests that try all."""


def fake_job(
    context: RequestContext,
    number: int,
    lifecycle: Lifecycle | None = None,
    collection: str = "events",
    job_id: str = "",
) -> JobStatus:
    """Return a job that only this response has."""
    cluster, now = context.cluster, context.cluster.clock()
    job_id = job_id or cluster.dialect.job_id(cluster.seed, _FIRST_FAKE_JOB + number)
    lifecycle = lifecycle or Lifecycle.frozen(State.IMPORTING, 50)
    job = SimulatedJob(job_id, collection, "default", ("part-0.parquet",), 1000, now, (now, lifecycle))
    return JobStatus(job, job.status(now))


def _with_more_jobs(kind: str, more: Callable[[RequestContext], list[JobStatus]]) -> Trouble:
    def respond(context: RequestContext) -> Response:
        return context.respond([*more(context), *context.cluster.jobs()])

    return Trouble(kind, respond, endpoint="list")


def _records(body: Any) -> list[Any]:
    """Return the list of jobs in the body of a list, in any dialect."""
    data = body.get("data", body)
    return data["records"] if "records" in data else data.setdefault("tasks", [])


def _json(content: Any) -> Response:
    body = content if isinstance(content, bytes) else json.dumps(content)
    return Response(body, media_type="application/json")


def _half(body: bytes | memoryview) -> bytes:
    return bytes(body[: len(body) // 2])


def _head(response: Response) -> bytes:
    lines = [f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _padded_json(size: int) -> Iterator[bytes]:
    remaining = max(size - len(_BEGIN) - len(_END), 0)
    yield _BEGIN
    while remaining:
        yield _CHUNK[:remaining]
        remaining -= min(remaining, len(_CHUNK))
    yield _END


def _stream(pieces: Iterator[bytes], headers: dict[str, str]) -> ASGIApp:
    async def chunks() -> Any:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0)  # whether the client has gone is noticed in between

    return StreamingResponse(chunks(), headers=headers, media_type="application/json")


def _on_the_wire(kind: str, play: Callable[[Response, asyncio.Transport], Any]) -> Trouble:
    """A trouble below HTTP, played on the connection of the request."""

    def respond(context: RequestContext) -> ASGIApp:
        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            # ASGI hides the connection; what sends for uvicorn knows it.
            transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
            await play(context.respond(), transport)
            while (await receive())["type"] != "http.disconnect":
                pass

        return app

    return Trouble(kind, respond)
