"""Answers byte by byte: what each means, that it never costs much, and that nothing of it is read as the next one."""

import gzip
import json
import socket
import threading
import tracemalloc
from contextlib import closing, suppress
from typing import Any, Final

import pytest

from monitor.client import ApiError, ImportApi, Network, connect
from monitor.client.errors import ApiConnectionError, ApiTimeoutError, BadResponseError
from monitor.client.response import BODY_LIMIT, INTERIM_LIMIT
from monitor.jobs import JobList
from tests.clusters import cluster, connected
from tests.recorder import Answer, Recorder

EMPTY: Final = {"code": 0, "data": {"records": []}}
JOB: Final = {"jobId": "1", "collectionName": "books", "state": "Importing", "progress": 40}
KEY: Final = b"key-0123456789abcdef0123456789abcdef"
FULL: Final = json.dumps({"code": 0, "data": {"records": [JOB]}}).encode()
LONG: Final = {
    "code": 0,
    "data": {"records": [JOB | {"jobId": str(number), "dbName": "x" * 250} for number in range(300)]},
}
LENGTH: Final = b"Content-Length: %d" % len(FULL)
OK: Final = b"HTTP/1.1 200 OK"


def raw(*lines: bytes, body: bytes = FULL) -> Answer:
    return Answer(raw=b"\r\n".join(lines) + b"\r\n\r\n" + body)


OTHER: Final = Answer({"code": 0, "data": {"records": [JOB | {"jobId": "of-another-answer"}]}}).on_the_wire()
CHUNKED: Final = b"Transfer-Encoding: chunked"
GZIP: Final = b"Content-Encoding: gzip"
COMPRESSED: Final = gzip.compress(FULL)
HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n"


def chunks(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"%x\r\n%b\r\n%b" % (len(body), body, end)


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
    "header too long": Answer(FULL, headers={"X-Long": "y" * 400_000}, hang_up=True),
    "too many headers": Answer(FULL, headers={f"X-{number}": "y" for number in range(120)}, hang_up=True),
    "HTTP 1.0": raw(b"HTTP/1.0 200 OK", LENGTH),
    "HTTP 1.0 without a length": raw(b"HTTP/1.0 200 OK"),
    "without a length": raw(OK),
    "cut off": raw(OK, LENGTH, body=FULL[:-5]),
    "more than it says": raw(OK, LENGTH, body=FULL + b"more"),
    "two lengths": raw(OK, LENGTH, LENGTH),
    "a negative length": raw(OK, b"Content-Length: -1"),
    "after another": raw(b"HTTP/1.1 100 Continue", b"", OK, LENGTH),
    "after early hints": raw(HINTS + OK, LENGTH),
    "after many": raw(HINTS * INTERIM_LIMIT + OK, LENGTH),
    "after a last one": raw(b"HTTP/1.1 100 Continue", b"Connection: close", b"", OK, LENGTH),
    "after one of HTTP 1.0": raw(b"HTTP/1.0 100 Continue", b"", OK, LENGTH),
    "after too many": raw(HINTS * (INTERIM_LIMIT + 1) + OK, LENGTH),
    "after hints with a body": raw(b"HTTP/1.1 104 Hints", b"Content-Length: 2", b"", b"  " + OK, LENGTH),
    "after hints with chunks": raw(b"HTTP/1.1 104 Hints", CHUNKED, b"", b"2\r\n  \r\n0\r\n\r\n" + OK, LENGTH),
    "another protocol": raw(b"HTTP/1.1 101 Switching Protocols", b"Upgrade: x", b"", OK, LENGTH),
    "a length and chunks": raw(OK, LENGTH, CHUNKED, body=chunks(FULL)),
    "a space behind a name": raw(OK, b"Content-Length : %d" % len(FULL)),
    "cut off, likewise": raw(OK, b"Content-Length : %d" % (len(FULL) + 1)),
    "spaces behind a value": Answer(gzip.compress(FULL), headers={"Content-Encoding": "gzip \t"}),
    "a length of ²": raw(OK, "Content-Length: ²".encode()),
    "a length with zeros": raw(OK, b"Content-Length: " + b"0" * 5000 + b"%d" % len(FULL)),
    "a length of 1_0": raw(OK, b"Content-Length: 1_0"),
    f"a length of +{len(FULL)}": raw(OK, b"Content-Length: +%d" % len(FULL)),
    "an immense length": raw(OK, b"Content-Length: 99999999999999999999"),
    "another answer behind the last one": raw(OK, LENGTH, b"Connection: close", body=FULL + OTHER),
    "a line end behind it": raw(OK, LENGTH, body=FULL + b"\r\n"),
    "another answer behind it": raw(OK, LENGTH, body=FULL + OTHER),
    "another answer behind its chunks": raw(OK, CHUNKED, body=chunks(FULL) + OTHER),
    "trailers": raw(OK, CHUNKED, body=chunks(FULL, end=b"0\r\nX: y\r\n\r\n")),
    "trailers that are headers": raw(OK, CHUNKED, body=chunks(FULL, b"0\r\nContent-Encoding: gzip\r\nX:\r\n\r\n")),
    "chunked twice": raw(OK, CHUNKED, CHUNKED, body=chunks(FULL)),
    "compressed, said twice": raw(OK, GZIP, GZIP, b"Content-Length: %d" % len(COMPRESSED), body=COMPRESSED),
    "nothing with a length": raw(b"HTTP/1.1 204 Nothing", LENGTH, body=b""),
    "nothing in chunks": raw(b"HTTP/1.1 204 Nothing", CHUNKED, body=b""),
    "a negative chunk": raw(OK, CHUNKED, body=b"-1\r\n" + FULL),
    "an odd chunk": raw(OK, CHUNKED, body=b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(FULL), FULL)),
    "a chunk longer than its size": raw(OK, CHUNKED, body=b"%x\r\n%b\r\n0\r\n\r\n" % (len(FULL) - 1, FULL)),
    "chunk extensions": raw(OK, CHUNKED, body=b"%x;a=b\r\n%b\r\n0;c\r\n\r\n" % (len(FULL), FULL)),
    "spaces behind a chunk's size": raw(OK, CHUNKED, body=b"%x  \r\n%b\r\n0 \r\n\r\n" % (len(FULL), FULL)),
    "chunks cut off": raw(OK, CHUNKED, body=chunks(FULL)[:-12]),
    "an unknown transfer encoding": raw(OK, b"Transfer-Encoding: gzip, chunked", body=chunks(FULL)),
    "a body of a 204": raw(b"HTTP/1.1 204 Nothing", LENGTH),
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


def outcome(api: ImportApi, port: int) -> object:
    try:
        return api.list_jobs(JobList()).records
    except ApiError as error:
        return type(error), str(error).replace(str(port), "PORT")


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_means_the_same_on_a_kept_connection_as_on_a_new_one(answer: Answer) -> None:
    with Recorder(answer) as server, connected(server.url, timeout=2.0) as api:
        on_a_new_one = outcome(api, server.port)
    with Recorder(EMPTY, answer) as server, connected(server.url, timeout=2.0) as api:
        api.list_jobs(JobList())
        on_a_kept_one = outcome(api, server.port)
        server.answers(EMPTY)
        assert api.list_jobs(JobList()).records == {}

    assert on_a_kept_one == on_a_new_one


@pytest.mark.parametrize(
    "nonsense",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"<html>\n", b"HTTP/1.1 999999 x\r\n", OK + b"\r\n" + b"X: y\r\n" * 102],
)
def test_what_is_no_http_is_told_at_once_though_the_connection_stays_open(nonsense: bytes) -> None:
    def answer(connection: socket.socket, incoming: Any) -> None:
        connection.sendall(nonsense)
        incoming.read()

    with Recorder(EMPTY, answer) as server, connected(server.url, timeout=60.0) as api:
        api.list_jobs(JobList())
        with pytest.raises(BadResponseError, match="the response is not HTTP"):
            api.list_jobs(JobList())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (raw(OK, b"no colon here", LENGTH), "Invalid header token"),
        (raw(OK, b"Content-Length: 1, 2"), "Invalid character in Content-Length"),
        (raw(b"HTTP/1.1 20 OK"), "Invalid status code"),
        (raw(b"HTTP/1.1 101 Switching Protocols"), "101 instead of a response"),
        (raw(b"SSH-2.0-OpenSSH_9.2"), "SSH-2.0-OpenSSH_9.2"),
    ],
)
def test_what_is_wrong_with_an_answer_is_named(answer: Answer, reason: str) -> None:
    with Recorder(answer) as server, connected(server.url) as api, pytest.raises(BadResponseError) as caught:
        api.list_jobs(JobList())
    assert str(caught.value).startswith(f"127.0.0.1:{server.port}: the response is not HTTP: {reason}")


@pytest.mark.parametrize("name", ["cut off", "half a head", "chunks cut off", "cut off, likewise"])
def test_an_answer_that_was_cut_off_is_told_in_words(name: str) -> None:
    with Recorder(ANSWERS[name]) as server, connected(server.url) as api, pytest.raises(ApiConnectionError) as caught:
        api.list_jobs(JobList())
    assert str(caught.value).endswith(": the connection was closed in the middle of the response")


@pytest.mark.parametrize("line", [b"x" + b" " * 4080 + b"%b\r\n", b"HTTP/1.1 2%b\r\n", b"x %b\n", b"x %b"])
def test_no_message_holds_a_part_of_a_secret(line: bytes) -> None:
    with (
        Recorder(Answer(raw=line % KEY)) as server,
        connected(server.url, api_key=KEY.decode()) as api,
        pytest.raises(ApiError) as caught,
    ):
        api.list_jobs(JobList())
    assert KEY[:3].decode() not in str(caught.value)


def test_a_head_with_defects_fills_no_log(caplog: pytest.LogCaptureFixture) -> None:
    large = [b"X-%d: %b" % (number, b"y" * 60_000) for number in range(3)]
    with Recorder(raw(OK, b"no colon here", *large, LENGTH)) as server, connected(server.url) as api:
        for _ in range(3):
            with suppress(ApiError):
                api.list_jobs(JobList())

    assert len(server.requests) >= 3
    assert caplog.messages == []


def test_an_answer_that_cannot_be_understood_leaves_no_connection_behind() -> None:
    with Recorder(EMPTY, ANSWERS["two other lengths"], EMPTY) as server, connected(server.url, timeout=2.0) as api:
        for _ in range(3):
            outcome(api, server.port)
        assert server.connections == 2


@pytest.mark.parametrize("begun", [b"", OK, raw(OK, LENGTH, body=FULL[:-1]).raw], ids=["nothing", "head", "body"])
def test_an_answer_that_does_not_come_whole_ends_with_the_timeout(begun: bytes) -> None:
    def stop_half_way(connection: socket.socket, incoming: Any) -> None:
        connection.sendall(begun)
        incoming.read()

    with Recorder(EMPTY, stop_half_way) as server, connected(server.url, timeout=0.3) as api:
        api.list_jobs(JobList())
        with pytest.raises(ApiTimeoutError, match=r"no complete response within 0\.3 s"):
            api.list_jobs(JobList())


REUSED: Final = {
    *("plain", "long", "compressed", "not compressed", "another success", "refused", "unauthorized", "bad request"),
    *("no JSON", "long header", "after another", "after early hints", "after many", "chunked", "chunk extensions"),
    *("lines that end otherwise", "unauthorized, likewise", "nothing", "server error", "trailers"),
    *("trailers that are headers", "a space behind a name", "spaces behind a value", "spaces behind a chunk's size"),
    *("after a last one", "after one of HTTP 1.0", "a line end behind it", "a length with zeros", "chunked twice"),
    "compressed, said twice",
}
READ: Final = {
    *("plain", "compressed", "another success", "the last one", "long header", "HTTP 1.0", "HTTP 1.0 without a length"),
    *("without a length", "more than it says", "after another", "after early hints", "after many", "chunked"),
    *("lines that end otherwise", "a length and chunks", "another answer behind it", "trailers", "chunk extensions"),
    *("another answer behind its chunks", "trailers that are headers", "a space behind a name"),
    *("spaces behind a value", "spaces behind a chunk's size", "after a last one", "after one of HTTP 1.0"),
    *("another answer behind the last one", "a line end behind it", "a length with zeros", "chunked twice"),
    "compressed, said twice",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_connection_is_used_again_only_after_an_answer_that_has_surely_ended(name: str) -> None:
    answer = Answer(raw=ANSWERS[name].on_the_wire())  # the server itself leaves the connection open

    def serve(connection: socket.socket, incoming: Any) -> None:
        connection.sendall(answer.on_the_wire())
        connection.settimeout(0.2)
        try:
            asked_again = incoming.readline()
        except OSError:
            asked_again = b""
        again.append(bool(asked_again))

    again: list[bool] = []
    with Recorder(serve, EMPTY) as server, connected(server.url, timeout=2.0) as api:
        first = outcome(api, server.port)
        assert api.list_jobs(JobList()).records == {}
    jobs = first if isinstance(first, dict) else {}
    assert set(jobs) == ({"1"} if name in READ else {str(number) for number in range(300)} if name == "long" else set())
    assert again == [name in REUSED]


@pytest.mark.parametrize("name", ["plain", "compressed", "chunked", "after early hints", "trailers", "bad request"])
def test_an_answer_may_come_in_any_pieces(name: str) -> None:
    def drip(connection: socket.socket, incoming: Any) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in ANSWERS[name].on_the_wire():
            connection.sendall(bytes([byte]))
        incoming.read()

    with Recorder(drip) as server, connected(server.url, timeout=10.0) as api:
        in_pieces = outcome(api, server.port)
    with Recorder(ANSWERS[name]) as server, connected(server.url, timeout=10.0) as api:
        assert outcome(api, server.port) == in_pieces


def test_an_answer_that_comes_after_hints_and_a_while_is_that_of_its_own_request() -> None:
    """Two clusters behind one host, the first of which is slow: its answer must not become the second one's."""

    def hint(connection: socket.socket, _incoming: Any) -> None:
        connection.sendall(HINTS)
        hinted.set()
        assert over.wait(10)
        connection.sendall(OTHER)

    hinted, over = threading.Event(), threading.Event()
    with Recorder(hint, EMPTY) as server, closing(Network()) as network:
        slow, quick = (connect(cluster(f"{server.url}/{path}", timeout=10.0), network) for path in ("a", "b"))
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.append(outcome(slow, server.port)))
        thread.start()
        assert hinted.wait(10)
        assert quick.list_jobs(JobList()).records == {}
        over.set()
        thread.join()
        assert quick.list_jobs(JobList()).records == {}
    (jobs,) = found
    assert isinstance(jobs, dict)
    assert list(jobs) == ["of-another-answer"]


def test_a_kept_connection_does_not_hold_the_last_body() -> None:
    large = Answer({"code": 0, "data": {"records": [], "other": "x" * 2**22}})
    with Recorder(EMPTY, large) as server, connected(server.url) as api:
        api.list_jobs(JobList())
        tracemalloc.start()
        try:
            assert api.list_jobs(JobList()).records == {}
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert server.connections == 1
    assert held < 2**20


# --- floods: each is endless; the memory of this process and the server's counts


HEAD: Final = b"HTTP/1.1 200 OK\r\n"
EMPTY_MEMBERS: Final = gzip.compress(b"") * 3000
MIB: Final = b"x" * 2**20
FLOODS: Final = {
    "interim answers": (b"", HINTS * 100),
    "continues": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a header": (HEAD + b"X: ", MIB),
    "headers": (HEAD, b"X: " + b"y" * 60_000 + b"\r\n"),
    "a body": (HEAD + b"\r\n", MIB),
    "a body beyond its length": (HEAD + b"Content-Length: 5\r\n\r\n", MIB),
    "a length and chunks": (HEAD + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n\r\n", b"100000\r\n" + MIB + b"\r\n"),
    "tiny chunks": (HEAD + CHUNKED + b"\r\n\r\n", b"1\r\nx\r\n" * 100_000),
    "a chunk's extension": (HEAD + CHUNKED + b"\r\n\r\n1;", MIB),
    "chunk extensions": (HEAD + CHUNKED + b"\r\n\r\n", b"1;" + b"y" * 4000 + b"\r\nx\r\n"),
    "a chunk": (HEAD + CHUNKED + b"\r\n\r\nfffffff\r\n", MIB),
    "a negative chunk": (HEAD + CHUNKED + b"\r\n\r\n-1\r\n", MIB),
    "trailers": (HEAD + CHUNKED + b"\r\n\r\n0\r\n", b"X: " + b"y" * 60_000 + b"\r\n"),
    "a trailer": (HEAD + CHUNKED + b"\r\n\r\n0\r\nX: ", MIB),
    "empty gzip members": (
        HEAD + b"Content-Encoding: gzip\r\n" + CHUNKED + b"\r\n\r\n",
        b"%x\r\n%b\r\n" % (len(EMPTY_MEMBERS), EMPTY_MEMBERS),
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_at_a_limit_and_costs_little_memory(name: str) -> None:
    begin, piece = FLOODS[name]

    def flood(connection: socket.socket, _incoming: Any) -> None:
        connection.sendall(begin)
        with suppress(OSError):
            for _ in range(2**28 // len(piece)):
                connection.sendall(piece)

    with Recorder(flood) as server, connected(server.url, timeout=60.0) as api:
        tracemalloc.start()
        try:
            with pytest.raises(BadResponseError):
                api.list_jobs(JobList())
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        server.answers(EMPTY)
        assert api.list_jobs(JobList()).records == {}
    assert peak < 2 * BODY_LIMIT
