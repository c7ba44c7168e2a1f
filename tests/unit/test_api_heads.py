"""The head of an answer: whatever comes, it means what `http.client` takes it for."""

import io
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.api.heads import PlainHeadResponse

BODY: Final = b'{"code":0}'


class Wire:
    """The one thing that a response wants of a socket."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._content))  # type: ignore[arg-type]


def understood(kind: type[HTTPResponse], content: bytes) -> tuple[object, ...]:
    """What a kind of response makes of an answer, the rest of the bytes included."""
    response: Any = kind(Wire(content), method="POST")  # type: ignore[arg-type]
    try:
        response.begin()
    except (HTTPException, ConnectionError) as error:
        return type(error), str(error)
    left = b"" if response.fp is None else response.fp.read()
    names = ("status", "code", "reason", "version", "chunked", "chunk_left", "length", "will_close")
    return *(getattr(response, name) for name in names), response.msg.items(), [*map(type, response.msg.defects)], left


def answer(*lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + BODY


OK: Final = b"HTTP/1.1 200 OK"
LENGTH: Final = b"Content-Length: 10"
lines = st.sampled_from(
    [
        LENGTH,
        b"content-length:10  ",
        b"Content-Length: 11",
        b"Content-Length: -1",
        b"Content-Length: " + b"9" * 5000,
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: Chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Connection: keep-alive",
        b"Connection: Close",
        b"Keep-Alive: timeout=5",
        b"Content-Type: application/json",
        b"Content-Type: multipart/mixed; boundary=x",
        b"Content-Type: Multipart/",
        b"Content-Type: message/delivery-status",
        b"Set-Cookie: a=b",
        b"X-Empty:",
        b"X :y",
        b": z",
        b" folded",
        b"X: \xe9\x85\x0b",
        b"X: a\nY: b",
        b"X: a\rY: b",
        b"no colon",
        b"",
    ]
)
statuses = st.sampled_from(
    [
        OK,
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.0 200 OK",
        b"HTTP/2 200 OK",
        b"HTTP/1.1 204 No",
    ]
    + [b"HTTP/1.1 %d Fine " % status for status in (100, 101, 199, 304, 404, 503, 600, 1000)]
    + [b"ICY 200 OK", b""]
)


@given(st.one_of(st.binary(), st.builds(lambda status, said: answer(status, *said), statuses, st.lists(lines))))
@example(b"")
@example(answer(OK, LENGTH))
@example(answer(OK, LENGTH)[:30])
@example(answer(b"HTTP/1.1 100 Continue", b"", OK, LENGTH))
@example(answer(OK, *[b"X%d: y" % number for number in range(98)], LENGTH))
@example(answer(OK, *[b"X%d: y" % number for number in range(99)], LENGTH))
@example(answer(OK, b"X: " + b"y" * 70_000, LENGTH))
def test_a_head_means_what_http_client_takes_it_for(content: bytes) -> None:
    assert understood(PlainHeadResponse, content) == understood(HTTPResponse, content)


@pytest.mark.parametrize("framing", [LENGTH, b"Transfer-Encoding: chunked"])
def test_a_plain_head_needs_no_parser_for_e_mail(framing: bytes) -> None:
    with patch("http.client.parse_headers", side_effect=AssertionError):
        status, *_, fields, _, left = understood(
            PlainHeadResponse, answer(OK, framing, b"Date: Mon, 01 Apr 2024 06:17:55 GMT", b"Connection: keep-alive")
        )
    assert (status, left) == (200, BODY)
    assert fields == [
        tuple(framing.decode().split(": ")),
        ("Date", "Mon, 01 Apr 2024 06:17:55 GMT"),
        ("Connection", "keep-alive"),
    ]
