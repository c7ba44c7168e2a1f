"""A request that is sent again on a kept connection: whatever comes means what it would mean on a new one."""

import gzip
import json
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest

from monitor.api import ApiError, ApiTimeoutError, BadResponseError, ImportApi
from monitor.api.transport import KeepingPool
from tests.clusters import connected
from tests.recorder import Answer, Recorder

EMPTY: Final = {"code": 0, "data": {"records": []}}
JOB: Final = {"jobId": "1", "collectionName": "books", "state": "Importing", "progress": 40}
FULL: Final = json.dumps({"code": 0, "data": {"records": [JOB]}}).encode()
LONG: Final = {
    "code": 0,
    "data": {"records": [JOB | {"jobId": str(number), "dbName": "x" * 250} for number in range(300)]},
}
LENGTH: Final = b"Content-Length: %d" % len(FULL)
OK: Final = b"HTTP/1.1 200 OK"


def raw(*lines: bytes, body: bytes = FULL) -> Answer:
    return Answer(raw=b"\r\n".join(lines) + b"\r\n\r\n" + body)


ANSWERS: Final = {
    "plain": Answer(FULL),
    "long": Answer(LONG),
    "compressed": Answer(gzip.compress(FULL), headers={"Content-Encoding": "gzip"}),
    "not compressed": Answer(FULL, headers={"Content-Encoding": "gzip"}),
    "another success": Answer(FULL, 203),
    "nothing": Answer(b"", 204),
    "refused": Answer({"code": 1100, "message": "no"}),
    "unauthorized": Answer(b"no", 401),
    "bad request": Answer({"code": 1100, "message": "no"}, 400),
    "server error": Answer(b"no", 500, {"Retry-After": "7000"}),
    "no JSON": Answer(b"no"),
    "the last one": Answer(FULL, headers={"Connection": "close"}, hang_up=True),
    "long header": Answer(FULL, headers={"X-Long": "y" * 40_000}),
    "header too long": Answer(FULL, headers={"X-Long": "y" * 70_000}, hang_up=True),
    "too many headers": Answer(FULL, headers={f"X-{number}": "y" for number in range(120)}, hang_up=True),
    "HTTP 1.0": raw(b"HTTP/1.0 200 OK", LENGTH),
    "HTTP 1.0 without a length": raw(b"HTTP/1.0 200 OK"),
    "without a length": raw(OK),
    "cut off": raw(OK, LENGTH, body=FULL[:-5]),
    "more than it says": raw(OK, LENGTH, body=FULL + b"more"),
    "two lengths": raw(OK, LENGTH, LENGTH),
    "a negative length": raw(OK, b"Content-Length: -1"),
    "after another": raw(b"HTTP/1.1 100 Continue", b"", OK, LENGTH),
    "chunked": raw(OK, b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(FULL), FULL)),
    "badly chunked": raw(OK, b"Transfer-Encoding: chunked", body=b"zz\r\n" + FULL),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.2", body=b""),
    "lines that end otherwise": Answer(raw=b"HTTP/1.1 200 OK\nContent-Length: %d\n\n%b" % (len(FULL), FULL)),
    "unauthorized, likewise": Answer(raw=b"HTTP/1.1 401 No\nContent-Length: 2\n\nno"),
    "small letters": Answer(raw=b"http/1.1 200 OK\r\n%b\r\n\r\n%b" % (LENGTH, FULL)),
    "two other lengths": raw(OK, LENGTH, b"Content-Length: 6"),
    "half a head": Answer(raw=OK + b"\r\n" + LENGTH),
    "no answer": Answer(raw=b""),
}


def told(api: ImportApi, port: int) -> object:
    try:
        return api.list_jobs().jobs
    except ApiError as error:
        return type(error), str(error).replace(str(port), "PORT")


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_means_the_same_on_a_kept_connection_as_on_a_new_one(answer: Answer) -> None:
    with Recorder(answer) as server, connected(server.url, timeout=2.0) as api:
        on_a_new_one = told(api, server.port)
    with Recorder(EMPTY, answer) as server, connected(server.url, timeout=2.0) as api:
        api.list_jobs()
        on_a_kept_one = told(api, server.port)
        server.answers(EMPTY)
        assert api.list_jobs().jobs == {}

    assert on_a_kept_one == on_a_new_one


@pytest.mark.parametrize(
    "nonsense",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"<html>\n", b"HTTP/1.1 999999 x\r\n", OK + b"\r\n" + b"X: y\r\n" * 101],
)
def test_what_is_no_http_is_told_at_once_though_the_connection_stays_open(nonsense: bytes) -> None:
    def answer(connection: socket.socket, incoming: Any) -> None:
        connection.sendall(nonsense)
        incoming.read()

    with Recorder(EMPTY, answer) as server, connected(server.url, timeout=60.0) as api:
        api.list_jobs()
        with pytest.raises(BadResponseError, match="the answer is not HTTP"):
            api.list_jobs()


def test_an_answer_that_cannot_be_understood_leaves_no_connection_behind() -> None:
    with Recorder(EMPTY, ANSWERS["two other lengths"], EMPTY) as server, connected(server.url, timeout=2.0) as api:
        for _ in range(3):
            told(api, server.port)
        assert server.connections == 2


@pytest.mark.parametrize("begun", [b"", OK, raw(OK, LENGTH, body=FULL[:-1]).raw], ids=["nothing", "head", "body"])
def test_an_answer_that_does_not_come_whole_ends_with_the_timeout(begun: bytes) -> None:
    def stop_half_way(connection: socket.socket, incoming: Any) -> None:
        connection.sendall(begun)
        incoming.read()

    with Recorder(EMPTY, stop_half_way) as server, connected(server.url, timeout=0.3) as api:
        api.list_jobs()
        with pytest.raises(ApiTimeoutError, match=r"no complete answer within 0\.3 s"):
            api.list_jobs()


class Dripping(socket.socket):
    """A socket that gives a few bytes at a time, however many there are; at first as many as it is told."""

    first = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        first, self.first = self.first, 0
        return super().recv(min(size, first or 7), flags)


@pytest.fixture
def ends() -> Iterator[tuple[Dripping, socket.socket]]:
    ours, theirs = socket.socketpair()
    with Dripping(fileno=ours.detach()) as dripping, theirs:
        yield dripping, theirs


@pytest.mark.parametrize("first_ends_in", ["head", "body"])
@pytest.mark.parametrize("name", ["plain", "two lengths", "more than it says", "compressed", "chunked", "bad request"])
def test_an_answer_may_come_in_any_pieces(ends: tuple[Dripping, socket.socket], name: str, first_ends_in: str) -> None:
    ours, theirs = ends
    whole = ANSWERS[name].on_the_wire()
    theirs.sendall(whole)
    head, _, body = whole.partition(b"\r\n\r\n")
    ours.first = len(head) + 7 if first_ends_in == "body" else 5
    connection = KeepingPool.ConnectionCls("host")
    connection.sock = ours
    answer = connection.ask("POST", b"a request", 5.0, 1000.0)

    assert theirs.recv(100) == b"a request"
    assert isinstance(answer, bytes) == (name in ("plain", "more than it says") and first_ends_in == "body")
    found = answer if isinstance(answer, bytes) else answer.read()
    assert found == (FULL if name in ("chunked", "more than it says") else body)
