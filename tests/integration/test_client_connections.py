"""Connections: kept, found stale, shared between clusters, cut short at the end, and led through proxies."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import pytest
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection

from monitor.client import ApiError, ErrorKind, Network, StoppedError, Usage, connect
from monitor.client.errors import ApiConnectionError, BadResponseError, ThrottledError
from monitor.client.transport import bound_answers
from monitor.jobs import JobList
from tests.clusters import cluster, connected
from tests.recorder import Answer, Recorder

EMPTY = {"code": 0, "data": {"records": []}}
VARIABLES = [name for proxy in ("http", "https", "all", "no") for name in (f"{proxy}_proxy", f"{proxy}_PROXY".upper())]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Recorder]:
    with Recorder(EMPTY) as running:
        yield running


# --- kept connections


@pytest.mark.parametrize(
    "answer",
    [
        Answer(EMPTY),
        Answer({"code": 1100, "message": "no"}),
        Answer(b"not json"),
        Answer(b"404 page not found", 404),
        Answer(b"", 302, {"Location": "http://other.example"}),
    ],
    ids=["good", "refused", "broken", "missing", "elsewhere"],
)
def test_twenty_polls_take_one_connection(server: Recorder, answer: Answer) -> None:
    server.answers(answer)
    with connected(server.url) as api:
        for _ in range(20):
            try:
                api.list_jobs(JobList())
            except ApiError:
                continue
    assert len(server.requests) == 20
    assert server.connections == 1


def test_a_chunked_answer_keeps_its_connection_too() -> None:
    def chunks(connection: socket.socket, incoming: Any) -> None:
        while True:
            body = b'{"code":0,"data":[]}'
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            if not incoming.readline():
                return
            while incoming.readline().strip():
                pass
            incoming.read(len(b'{"pageSize":100,"currentPage":1}'))

    with Recorder(chunks) as server, connected(server.url) as api:
        for _ in range(5):
            assert api.list_jobs(JobList()).records == {}
    assert server.connections == 1


def test_a_connection_that_the_server_closed_meanwhile_costs_nothing(server: Recorder) -> None:
    with connected(server.url) as api:
        for poll in range(1, 4):
            api.list_jobs(JobList())
            server.wait_for_requests(poll)
            server.hang_up()
    assert server.connections == 3


def test_a_connection_that_dies_under_a_request_is_replaced() -> None:
    with Recorder(EMPTY, Answer(raw=b""), EMPTY) as server, connected(server.url) as api:
        for _ in range(2):
            api.list_jobs(JobList())
    assert len(server.requests) == 3
    assert api.session.usage.requests == {"list": 3}


def test_clusters_of_one_host_share_its_connections(server: Recorder) -> None:
    with closing(Network()) as network:
        for name in ("in01-a", "in01-b", "in01-c"):
            connect(cluster(server.url, cluster_id=name), network).list_jobs(JobList())
    assert server.connections == 1


def test_what_a_cluster_has_used_counts_on_where_it_is_connected_again(server: Recorder) -> None:
    usage = Usage()
    with closing(Network()) as network:
        for _ in range(2):
            connect(cluster(server.url), network, usage).list_jobs(JobList())
    assert usage.requests == {"list": 2}


# --- the rate


def test_clusters_of_one_key_share_its_rate(server: Recorder) -> None:
    with closing(Network()) as network:
        one, other = (
            connect(cluster(server.url, cluster_id=name, api_key="shared", requests_per_second=20.0), network)
            for name in ("in01-a", "in01-b")
        )
        started = time.monotonic()
        for _ in range(15):
            one.list_jobs(JobList())
            other.list_jobs(JobList())
        took = time.monotonic() - started
    # 21 at once, then 20 a second; each alone would not have had to wait at all.
    assert took >= 9 / 20 - 0.01
    assert sum(api.session.usage.throttled.get("list", 0.0) for api in (one, other)) > 0


def test_keys_and_clusters_without_a_key_have_rates_of_their_own(server: Recorder) -> None:
    with closing(Network(clock=lambda: 100.0)) as network:
        for key in ("one", "other", ""):
            api = connect(cluster(server.url, api_key=key, requests_per_second=1.0, timeout=0.5), network)
            api.list_jobs(JobList())
            api.list_jobs(JobList())
            with pytest.raises(ThrottledError, match="our own limit"):
                network.limiter.reserve((key or server.url, "list"), 1.0, 0.5)


def test_a_rate_that_is_used_up_for_longer_than_a_timeout_is_told_at_once(server: Recorder) -> None:
    with closing(Network(clock=lambda: 100.0)) as network:
        api = connect(cluster(server.url, requests_per_second=0.1, timeout=1.0), network)
        api.list_jobs(JobList())
        with pytest.raises(ThrottledError, match=r"our own limit of 0.1 requests a second") as caught:
            api.list_jobs(JobList())
    assert caught.value.retry_after == pytest.approx(9.5)
    assert len(server.requests) == 1


# --- the end


def test_after_the_stop_nothing_is_sent(server: Recorder) -> None:
    with closing(Network()) as network:
        network.stop()
        with pytest.raises(StoppedError):
            connect(cluster(server.url), network).list_jobs(JobList())
    assert server.requests == []


@pytest.mark.parametrize(
    ("answer", "changes"),
    [
        (Answer(b"", 429, {"Retry-After": "5"}), {}),
        (Answer(EMPTY), {"requests_per_second": 0.2, "timeout": 10.0}),
    ],
    ids=["Retry-After", "our own rate"],
)
def test_a_stop_cuts_every_wait_short(server: Recorder, answer: Answer, changes: dict[str, Any]) -> None:
    server.answers(answer)
    ended: list[tuple[float, type[BaseException]]] = []
    with closing(Network()) as network:
        api = connect(cluster(server.url, **changes), network)

        def poll() -> None:
            try:
                api.list_jobs(JobList())
                api.list_jobs(JobList())
            except (StoppedError, ApiError) as error:
                ended.append((time.monotonic(), type(error)))

        polling = threading.Thread(target=poll)
        polling.start()
        server.wait_for_requests(1)
        while not api.session.usage.throttled:
            time.sleep(0.001)
        stopped = time.monotonic()
        network.stop()
        polling.join()
    ((at, kind),) = ended
    assert at - stopped < 1.0
    assert kind is StoppedError


# --- proxies


@pytest.fixture
def proxy() -> Iterator[Recorder]:
    with Recorder(EMPTY) as running:
        yield running


def test_a_proxy_of_the_environment_is_used(proxy: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "other.example")
    with connected("http://milvus.invalid:19530") as api:
        assert api.list_jobs(JobList()).records == {}
    assert proxy.requests[0].target == "POST http://milvus.invalid:19530/v2/vectordb/jobs/import/list"


def test_a_proxy_is_asked_with_the_same_bytes_at_every_poll(proxy: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:word@127.0.0.1:{proxy.port}")
    with connected("http://milvus.invalid:19530") as api:
        for _ in range(3):
            api.list_jobs(JobList())
    assert len(proxy.requests) == 3
    assert len(set(proxy.requests)) == 1
    assert proxy.requests[0].headers["proxy-authorization"] == b"Basic bWU6d29yZA=="
    assert proxy.requests[0].headers["host"] == b"milvus.invalid:19530"


def test_a_host_of_no_proxy_is_reached_directly(
    proxy: Recorder, server: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with connected(server.url) as api:
        api.list_jobs(JobList())
    assert (len(proxy.requests), len(server.requests)) == (0, 1)


@pytest.mark.parametrize("proxy", ["http://me:hunter22@127.0.0.1:port", "http://[::1", "socks5://127.0.0.1:1080"])
def test_a_proxy_that_cannot_be_used_is_named_as_the_cause(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with connected("http://milvus.invalid:19530") as api, pytest.raises(ApiError) as caught:
        api.list_jobs(JobList())
    assert caught.value.kind is ErrorKind.CONNECTION
    assert str(caught.value).startswith("milvus.invalid:19530: the proxy in the environment cannot be used: ")
    assert "hunter22" not in str(caught.value)


def test_the_password_of_a_proxy_is_sent_to_it_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder(Answer(b"", 407)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:hunter22@127.0.0.1:{proxy.port}")
        with connected("http://milvus.invalid:19530") as api, pytest.raises(ApiError) as caught:
            api.list_jobs(JobList())
    assert proxy.requests[0].headers["proxy-authorization"] == b"Basic bWU6aHVudGVyMjI="
    assert "hunter22" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there_is_told_apart_from_the_cluster(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder() as gone:
        url = f"http://me:hunter22@127.0.0.1:{gone.port}"
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", url)
    with connected(f"{scheme}://milvus.example:19530") as api, pytest.raises(ApiConnectionError) as caught:
        api.list_jobs(JobList())
    assert str(caught.value) == "milvus.example:19530 through the proxy: connection refused"


def test_a_proxy_that_forbids_the_tunnel_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder(Answer(b"", 403)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with (
            connected("https://milvus.example") as api,
            pytest.raises(ApiConnectionError, match=r"through the proxy.*403"),
        ):
            api.list_jobs(JobList())
    assert proxy.requests[0].target == "CONNECT milvus.example:443"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 no %b\r\n\r\n",
        b"HTTP/1.1 407 no %b\r\n",
        b"HTTP/1.1 407 no %b\r\nX: y",
        b"HTTP/1.1 407 no" + b" " * 4050 + b"%b\r\n\r\n",
        b"HTTP/1.1 407 no %.6b",
        b"no proxy %b\r\n\r\n",
        b"no proxy %.6b",
        b"",
    ],
)
def test_no_message_holds_a_part_of_the_password_of_a_proxy(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with Recorder(Answer(raw=answer % b"hunter22hunter22" if b"%" in answer else answer)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter22hunter22@127.0.0.1:{proxy.port}")
        with connected("https://milvus.example") as api, pytest.raises(ApiError) as caught:
            api.list_jobs(JobList())
    assert "hunt" not in str(caught.value)
    assert caught.value.kind in {ErrorKind.CONNECTION, ErrorKind.BAD_RESPONSE}


@pytest.mark.parametrize("flood", [b"x", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n"])
def test_a_proxy_that_floods_ends_at_a_limit(flood: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def send(connection: socket.socket, _: Any) -> None:
        with suppress(OSError):
            connection.sendall(flood)
            for _ in range(10_000):
                connection.sendall(b"x" * 60_000 + (b"\r\n" if flood.endswith(b"\n") else b""))

    with Recorder(send) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with connected("https://milvus.example", timeout=60.0) as api, pytest.raises(BadResponseError):
            api.list_jobs(JobList())


def test_a_proxy_that_drips_ends_with_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def drip(connection: socket.socket, _: Any) -> None:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
            connection.sendall(bytes([byte]))
            if over.wait(0.02):
                return

    with Recorder(drip) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with connected("https://milvus.example", timeout=0.5) as api:
            started = time.monotonic()
            with pytest.raises(ApiError) as caught:
                api.list_jobs(JobList())
            took = time.monotonic() - started
        over.set()
    assert caught.value.kind is ErrorKind.TIMEOUT
    assert took < 1.5


def test_a_socks_proxy_is_never_passed_by() -> None:
    # Without PySocks, which the monitor does not bring, requests refuses; with it, its own connections have to stay.
    class SocksConnection(HTTPConnection):
        pass

    pool = HTTPConnectionPool("host")
    pool.ConnectionCls = SocksConnection
    bound_answers(pool)
    assert pool.ConnectionCls is SocksConnection


def test_a_socks_proxy_without_its_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with connected("http://milvus.example") as api, pytest.raises(ApiError, match="SOCKS"):
        api.list_jobs(JobList())
