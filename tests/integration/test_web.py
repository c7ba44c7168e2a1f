"""The endpoints on a real socket, as Prometheus, probes and browsers use them."""

import gzip
import http.client
import socket
import time
from contextlib import ExitStack, closing, suppress

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from monitor.web import AddressError, bound_socket
from tests.prometheus import running_prometheus
from tests.served_app import ServedApp, WatchedClusters


@pytest.fixture
def monitor():
    return WatchedClusters("prod")


@pytest.fixture
def served(monitor):
    with ServedApp(monitor) as running:
        yield running


def connect(served):
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def test_metrics_are_answered_in_the_text_format(served):
    answer = served.get("/metrics")
    families = {family.name for family in text_string_to_metric_families(answer.text)}

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert families == {"milvus_import_job_state"}


def test_metrics_are_answered_in_openmetrics_to_who_asks_for_it(served):
    answer = served.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert answer.content.endswith(b"# EOF\n")


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br"])
def test_metrics_are_compressed_on_request(served, accepted):
    zipped = served.get("/metrics", headers={"Accept-Encoding": accepted}, stream=True)
    raw = zipped.raw.read(decode_content=False)

    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.headers["Vary"] == "Accept-Encoding"
    assert int(zipped.headers["Content-Length"]) == len(raw)
    assert b'milvus_import_job_state{job_id="7",milvus_cluster="prod"' in gzip.decompress(raw)
    assert len(raw) < len(gzip.decompress(raw)) / 5


@pytest.mark.parametrize("accepted", [None, "", "identity", "br"])
@pytest.mark.parametrize("path", ["/metrics", "/static/page.css", "/api/v1/openapi.json"])
def test_nothing_is_compressed_without_request(served, path, accepted):
    answer = served.get(path, headers={"Accept-Encoding": accepted})

    assert answer.status_code == 200
    assert len(answer.content) > 1024
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/"])
def test_head_is_answered_without_a_body(served, path):
    with connect(served) as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: " in head.lower()
    assert body == b""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/-/", 404),
        ("GET", "/metrics/../../etc/passwd", 404),
        ("GET", "/-/reload", 405),
        ("PUT", "/-/reload", 405),
        ("POST", "/metrics", 405),
        ("DELETE", "/", 405),
    ],
)
def test_what_is_not_there_or_not_allowed_is_refused(served, monitor, method, path, status):
    assert served.request(method, path).status_code == status
    assert monitor.reloads == 0


def test_healthy_follows_the_scheduler(served, monitor):
    well = served.get("/-/healthy")
    monitor.is_healthy = False
    ill = served.get("/-/healthy")

    assert (well.status_code, well.text) == (200, "healthy\n")
    assert (ill.status_code, ill.text) == (503, "the scheduler does not run\n")


def test_ready_follows_the_first_polls(served, monitor):
    monitor.is_ready = False
    early = served.get("/-/ready")
    monitor.is_ready = True
    late = served.get("/-/ready")

    assert (early.status_code, early.text) == (503, "some clusters have not been polled yet\n")
    assert (late.status_code, late.text) == (200, "ready\n")


def test_a_reload_says_what_came_of_it(served, monitor):
    taken = served.request("POST", "/-/reload")
    monitor.reload_problem = 'config.yml:3: unknown key "nmae"; did you mean "name"?'
    rejected = served.request("POST", "/-/reload")

    assert (taken.status_code, taken.text) == (200, "reloaded\n")
    assert rejected.status_code == 422
    assert rejected.text == f"reload failed; the previous config stays in effect:\n{monitor.reload_problem}\n"
    assert rejected.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert monitor.reloads == 2


def test_one_connection_serves_many_scrapes(served):
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)) as connection:
        connection.connect()
        first = connection.sock
        for _ in range(3):
            connection.request("GET", "/metrics")
            assert connection.getresponse().read().startswith(b"# HELP ")

        assert connection.sock is first


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/9\r\n\r\n"]
)
def test_garbage_gets_an_answer_or_nothing_and_disturbs_nobody(served, garbage):
    with connect(served) as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            answer = connection.recv(100)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")

    assert served.get("/-/healthy").status_code == 200


def test_a_thousand_idle_connections_stop_no_scrape(served):
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(connect(served))
        for _ in range(3):
            assert served.get("/metrics").status_code == 200


def answered(connection):
    """Requests something over a connection, which stays open."""
    connection.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
    response = b""
    while not response.endswith(b"healthy\n") and (part := connection.recv(65536)):
        response += part
    return response.startswith(b"HTTP/1.1 200 ")


def test_one_connection_too_many_is_refused_as_it_arrives_and_open_ones_are_answered(monitor):
    with ServedApp(monitor, connections=5) as served, ExitStack() as stack:
        scraper = stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)))
        scraper.request("GET", "/metrics")
        scraper.getresponse().read()
        idle = [stack.enter_context(connect(served)) for _ in range(4)]
        assert all(answered(connection) for connection in idle)
        refused = stack.enter_context(connect(served)).makefile("rb").read()  # without sending anything
        scraper.request("GET", "/metrics")
        scraped = scraper.getresponse().status
        for connection in idle:
            connection.close()
        deadline = time.monotonic() + 10
        while (freed := status_of(served)) != 200 and time.monotonic() < deadline:
            pass

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert refused.endswith(b"too many connections\n")
    assert (scraped, freed) == (200, 200)


def status_of(served):
    try:
        return served.get("/-/healthy").status_code
    except requests.ConnectionError:
        return None


def test_one_address_cannot_use_up_all_connections(monitor):
    with ServedApp(monitor, host="0.0.0.0", connections=10, connections_per_address=3) as served, ExitStack() as stack:
        assert all(answered(stack.enter_context(connect(served))) for _ in range(3))
        refused = stack.enter_context(connect(served)).makefile("rb").read()
        elsewhere = ("127.0.0.2", 0)
        with socket.create_connection(("127.0.0.1", served.port), 10, source_address=elsewhere) as connection:
            connection.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            other = connection.makefile("rb").read()

    assert refused.startswith(b"HTTP/1.1 503 ")
    assert other.startswith(b"HTTP/1.1 200 ")


def test_a_new_connection_replaces_the_one_that_has_waited_longest_without_a_request(monitor):
    with ServedApp(monitor, connections=5) as served, ExitStack() as stack:
        used = stack.enter_context(connect(served))
        assert answered(used)
        silent, half, *idle = [stack.enter_context(connect(served)) for _ in range(4)]
        half.sendall(b"GET /metrics HTTP/1.1\r\nHos")
        new = stack.enter_context(connect(served))

        assert answered(new)
        assert silent.recv(1) == b""
        assert served.get("/-/healthy").status_code == 200  # in the place of the one that sent half a request
        assert half.recv(1) == b""
        assert answered(used)
        assert all(answered(connection) for connection in idle)


def test_idle_connections_of_one_address_replace_each_other_and_nobody_else(monitor):
    with ServedApp(monitor, host="0.0.0.0", connections=6, connections_per_address=3) as served, ExitStack() as stack:

        def connect_from(address):
            source = (address, 0)
            return stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 10, source_address=source))

        other = connect_from("127.0.0.2")
        flood = [connect_from("127.0.0.3") for _ in range(20)]

        assert answered(other)
        assert all(connection.recv(1) == b"" for connection in flood[:-3])
        assert all(answered(connection) for connection in flood[-3:])
        assert answered(connect_from("127.0.0.4"))


def test_a_new_connection_replaces_the_one_of_its_address_that_has_been_idle_longest(monitor):
    limits = {"connections_per_address": 3, "replaced_after": 0.0, "heartbeat": 0.01}
    with ServedApp(monitor, host="0.0.0.0", **limits) as served, ExitStack() as stack:
        stream = stack.enter_context(connect(served))
        stream.sendall(b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        assert stream.recv(15).startswith(b"HTTP/1.1 200 ")
        longest_idle, idle = (stack.enter_context(connect(served)) for _ in range(2))
        assert answered(longest_idle)
        assert answered(idle)
        new = stack.enter_context(connect(served))

        assert answered(new)
        assert longest_idle.recv(1) == b""
        assert answered(idle)
        assert all(stream.recv(65536) for _ in range(5))  # it goes on


def test_who_has_most_connections_makes_room_and_keeps_nobody_else_out(monitor):
    limits = {"connections": 6, "connections_per_address": 5, "replaced_after": 0.0}
    with ServedApp(monitor, host="0.0.0.0", **limits) as served, ExitStack() as stack:

        def connect_from(address):
            source = (address, 0)
            return stack.enter_context(socket.create_connection(("127.0.0.1", served.port), 10, source_address=source))

        scraper = connect_from("127.0.0.2")
        assert answered(scraper)
        flood = [connect_from("127.0.0.3") for _ in range(5)]
        assert all(answered(connection) for connection in flood)
        newcomer = connect_from("127.0.0.4")

        assert answered(newcomer)
        assert flood[0].recv(1) == b""
        flood.append(connect_from("127.0.0.3"))
        assert answered(flood[-1])
        assert flood[1].recv(1) == b""
        assert answered(scraper)
        assert answered(newcomer)


@pytest.mark.parametrize("path", ["/-/healthy", "/metrics", "/"])
def test_thousands_of_idle_connections_stop_no_new_connection(monitor, path):
    with ServedApp(monitor) as served, ExitStack() as stack:
        used = stack.enter_context(connect(served))
        assert answered(used)
        for _ in range(2100):
            stack.enter_context(connect(served))

        assert served.get(path).status_code == 200
        assert answered(used)


def test_connections_that_send_no_request_are_closed(monitor):
    with (
        ServedApp(monitor, keep_alive=1) as served,
        connect(served) as silent,
        connect(served) as slow,
        connect(served) as asked,
    ):
        slow.sendall(b"GET /metrics HT")
        asked.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = asked.recv(65536)

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert silent.recv(1) == b""
        assert slow.recv(1) == b""
        while asked.recv(65536):
            pass


def test_it_stops_though_connections_are_open(monitor):
    with ServedApp(monitor) as served:
        idle = connect(served)
        half = connect(served)
        half.sendall(b"GET /metrics HTTP/1.1\r\nHos")
    for connection in (idle, half):
        connection.close()

    with pytest.raises(requests.ConnectionError):
        served.get("/metrics")


def test_a_port_in_use_is_one_clear_sentence():
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = "Address already in use; set another address with `listen` or --listen"
        with pytest.raises(AddressError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: {said}$"):
            bound_socket("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("no-such-host.invalid", "cannot listen on no-such-host.invalid:80: "),
        ("192.0.2.1", "cannot listen on 192.0.2.1:80: Cannot assign requested address"),
        ("a..b", "cannot listen on a..b:80: it is not a host name"),
        ("x" * 70 + ".example", f"cannot listen on {'x' * 70}.example:80: "),
        ("2001:db8::1", "cannot listen on [2001:db8::1]:80: "),
    ],
)
def test_an_address_that_is_not_ours_is_one_clear_sentence(host, problem):
    with pytest.raises(AddressError) as raised:
        bound_socket(host, 80)

    assert str(raised.value).startswith(problem)
    assert "\n" not in str(raised.value)


def test_a_part_of_a_response_does_not_wait_until_the_one_before_has_arrived():
    with (
        bound_socket("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_listens_on_ipv6(monitor):
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    probe.close()
    with ServedApp(monitor, host="::1") as served:
        assert served.get("/-/healthy").status_code == 200


def test_a_real_prometheus_takes_the_scrape(served, tmp_path):
    target = {"job_name": "monitor", "static_configs": [{"targets": [f"127.0.0.1:{served.port}"]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [target]}
    with running_prometheus(tmp_path, config) as prometheus:
        prometheus.wait_for('up{job="monitor"} == 1')
        state = prometheus.query('milvus_import_job_state{job_id="7"}')

    assert [series["metric"]["state"] for series in state] == ["importing"]
