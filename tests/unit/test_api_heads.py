"""A plain head: it means what `http.client` takes it for."""

import io
from http.client import HTTPResponse
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.api.heads import plain_head

BODY: Final = b'{"code":0}'


class Wire:
    """The one thing that a response wants of a socket."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._content))  # type: ignore[arg-type]


def understood(content: bytes) -> HTTPResponse:
    """What `http.client` makes of an answer."""
    response = HTTPResponse(Wire(content), method="POST")  # type: ignore[arg-type]
    response.begin()
    return response


def answer(*lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in lines) + b"\r\n" + BODY


OK: Final = b"HTTP/1.1 200 OK"
LENGTH: Final = b"Content-Length: 10"
lines = st.sampled_from(
    [
        LENGTH,
        b"content-length:10  ",
        b"Content-Length: 11",
        b"Content-Length:10",
        b"Content-Length: -1",
        b"Content-Length: " + b"9" * 5000,
        b"Transfer-Encoding: chunked",
        b"transfer-encoding: identity",
        b"Content-Encoding: gzip",
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
@example(answer(OK, LENGTH, b"X: " + b"y" * 64_000))
def test_a_plain_head_means_what_http_client_takes_it_for(content: bytes) -> None:
    head = plain_head(content)
    if head is None:
        return
    response = understood(content)

    assert (response.length, response.chunked, response.will_close) == (head.length, False, False)
    assert 200 <= response.status < 300
    assert response.headers.get("Content-Encoding") is None
    assert response.fp.read() == content[head.size :]


@pytest.mark.parametrize("length", [LENGTH, b"content-length:10  "])
def test_the_heads_of_most_servers_are_plain(length: bytes) -> None:
    said = b"Date: Mon, 01 Apr 2024 06:17:55 GMT", length, b"Connection: keep-alive", b"Content-Type: application/json"

    assert plain_head(answer(OK, *said)) == (len(answer(OK, *said)) - len(BODY), len(BODY))


@pytest.mark.parametrize(
    "said",
    [
        [OK],
        [OK, LENGTH, LENGTH],
        [OK, LENGTH, b"Connection: close"],
        [OK, LENGTH, b"Content-Encoding: gzip"],
        [OK, LENGTH, b"Transfer-Encoding: chunked"],
        [OK, b"Transfer-Encoding: chunked"],
        [b"HTTP/1.0 200 OK", LENGTH],
        [b"HTTP/1.1 204 No Content", LENGTH],
        [b"HTTP/1.1 429 Too Many Requests", LENGTH],
    ],
)
def test_a_head_that_is_not_plain_is_left_to_http_client(said: list[bytes]) -> None:
    assert plain_head(answer(*said)) is None


@pytest.mark.parametrize("size", [100_000, 1_000_000])
def test_a_head_without_an_end_takes_no_time(size: int) -> None:
    """Were it looked at again and again from each of its places, this test would not end."""
    assert plain_head(b"HTTP/1.1 200 OK\r\n" + b"X: y " * size) is None
    assert plain_head(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * size) is None
