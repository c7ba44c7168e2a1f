"""The endpoints on a real socket, as Prometheus, probes and browsers use them."""

import asyncio
import gzip
import http.client
import socket
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from monitor.fleet import Fleet
from monitor.jobs import Job, JobState, Observation, StallLimits, diff
from monitor.metrics import ClusterMetrics, Exposition, OwnMetrics
from monitor.web import AddressError, Server, bound_socket, create_app
from monitor.web import server as server_module
from tests.clusters import cluster
from tests.prometheus import running_prometheus

NOW = 1_750_000_000.0
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Monitored:
    """A daemon of which a test says how it is."""

    def __init__(self):
        self.own = OwnMetrics()
        self.exposition = Exposition(self.own.registry)
        self.is_healthy = self.is_ready = True
        self.problem = None
        self.reloads = 0
        self.fleet = Fleet(lambda _: None, lambda _: ())
        self.fleet.watch([cluster("http://milvus", name="prod")])
        metrics = ClusterMetrics(cluster("http://milvus", name="prod"), ["timeout"])
        jobs = {str(number): Job(str(number), "books", JobState.IMPORTING, progress=0.5) for number in range(100)}
        found = diff(None, Observation(jobs), NOW, StallLimits())
        metrics.polled(found, now=NOW, duration=0.1, bad_records=0)
        self.exposition.show([metrics])

    def scrape(self, accept, now):
        return self.exposition.scrape(accept, now)

    def healthy(self):
        return self.is_healthy

    def ready(self):
        return self.is_ready

    async def reload(self):
        self.reloads += 1
        return self.problem

    def history(self, wanted, limit, cursor):
        raise NotImplementedError

    def files(self, cluster, job_id):
        raise NotImplementedError


class Served:
    """A server in a thread of its own."""

    def __init__(self, monitored, host="127.0.0.1"):
        self.sock = bound_socket(host, 0)
        self.port = self.sock.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.server = Server(create_app(monitored, clock=lambda: NOW))
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve(sockets=[self.sock])))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()

    def get(self, path, **arguments):
        return self.ask("GET", path, **arguments)

    def ask(self, method, path, **arguments):
        return requests.request(method, self.url + path, timeout=10, **arguments)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@pytest.fixture
def monitored():
    return Monitored()


@pytest.fixture
def served(monitored):
    with Served(monitored) as running:
        yield running


def test_metrics_are_answered_in_the_text_format(served):
    answer = served.get("/metrics")
    families = {family.name for family in text_string_to_metric_families(answer.text)}

    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {"milvus_import_job_state", "milvus_import_build_info", "process_cpu_seconds"} <= families


def test_metrics_are_answered_in_openmetrics_to_who_asks_for_it(served):
    answer = served.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})

    assert answer.headers["Content-Type"] == OPENMETRICS
    assert answer.content.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accepted",
    [
        "gzip",
        "gzip, deflate, br",
        "gzip;q=1.0, identity;q=0.5",
        "GZip; Q=0.5",
        "x-gzip",
        "*",
        "*;q=0, gzip",
        "identity;q=0, *;q=0.1",
    ],
)
def test_metrics_are_compressed_for_who_accepts_it(served, accepted):
    zipped = served.get("/metrics", headers={"Accept-Encoding": accepted}, stream=True)
    raw = zipped.raw.read(decode_content=False)

    assert zipped.headers["Content-Encoding"] == "gzip"
    assert zipped.headers["Vary"] == "Accept-Encoding"
    assert int(zipped.headers["Content-Length"]) == len(raw)
    assert b'milvus_import_job_state{milvus_cluster="prod"' in gzip.decompress(raw)
    assert len(raw) < len(gzip.decompress(raw)) / 5


@pytest.mark.parametrize(
    "accepted",
    [
        None,
        "",
        "identity",
        "br",
        "gzip;q=0",
        "gzip;q=0.000, br",
        "gzip;q=0, *",
        "*;q=0",
        "identity, *;q=0",
        "gzip;q=0.5, identity",
        "gzip;q=0.5, *;q=0.6",
        "gzip;q=much",
        "gzipped",
    ],
)
@pytest.mark.parametrize("path", ["/metrics", "/static/page.css", "/api/v1/openapi.json"])
def test_nothing_is_compressed_for_anybody_who_does_not_accept_it(served, path, accepted):
    answer = served.get(path, headers={"Accept-Encoding": accepted})

    assert answer.status_code == 200
    assert len(answer.content) > 1024
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("first", "second", "zipped"), [("br", "gzip", True), ("gzip", "gzip;q=0", True), ("br", "*;q=0", False)]
)
def test_what_is_accepted_may_be_said_in_several_headers(served, first, second, zipped):
    lines = ["GET /metrics HTTP/1.1", "Host: x", f"Accept-Encoding: {first}", f"Accept-Encoding: {second}"]
    with served.connect() as connection:
        connection.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        head = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")[0]

    assert head.startswith(b"HTTP/1.1 200 OK")
    assert (b"content-encoding: gzip" in head.lower()) is zipped


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/"])
def test_head_is_answered_without_a_body(served, path):
    with served.connect() as connection:
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
def test_what_is_not_there_or_not_allowed_is_refused(served, monitored, method, path, status):
    assert served.ask(method, path).status_code == status
    assert monitored.reloads == 0


def test_healthy_follows_the_scheduler(served, monitored):
    well = served.get("/-/healthy")
    monitored.is_healthy = False
    ill = served.get("/-/healthy")

    assert (well.status_code, well.text) == (200, "healthy\n")
    assert (ill.status_code, ill.text) == (503, "the scheduler stands still\n")


def test_ready_follows_the_first_polls(served, monitored):
    monitored.is_ready = False
    early = served.get("/-/ready")
    monitored.is_ready = True
    late = served.get("/-/ready")

    assert (early.status_code, early.text) == (503, "some clusters have not been polled yet\n")
    assert (late.status_code, late.text) == (200, "ready\n")


def test_a_reload_says_what_came_of_it(served, monitored):
    taken = served.ask("POST", "/-/reload")
    monitored.problem = 'config.yml:3: unknown key "nmae"; did you mean "name"?'
    rejected = served.ask("POST", "/-/reload")

    assert (taken.status_code, taken.text) == (200, "reloaded\n")
    assert rejected.status_code == 422
    assert rejected.text == f"the config was rejected, the old one stays:\n{monitored.problem}\n"
    assert rejected.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert monitored.reloads == 2


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
    with served.connect() as connection:
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            answer = connection.recv(100)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")

    assert served.get("/-/healthy").status_code == 200


def test_a_thousand_idle_connections_stop_no_scrape(served):
    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(served.connect())
        for _ in range(3):
            assert served.get("/metrics").status_code == 200


def test_beyond_its_bound_of_connections_it_says_so_and_recovers(monkeypatch, monitored):
    monkeypatch.setattr(server_module, "CONNECTIONS", 5)
    with Served(monitored) as served:
        with ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(served.connect())
            full = served.get("/-/healthy").status_code
        deadline = time.monotonic() + 10
        while (freed := served.get("/-/healthy").status_code) != 200 and time.monotonic() < deadline:
            pass

    assert (full, freed) == (503, 200)


def test_connections_that_never_ask_are_closed_so_that_they_cannot_fill_the_bound(monkeypatch, monitored):
    monkeypatch.setattr(server_module, "KEEP_ALIVE", 1)
    with Served(monitored) as served, served.connect() as silent, served.connect() as slow, served.connect() as asked:
        slow.sendall(b"GET /metrics HT")
        asked.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = asked.recv(65536)

        assert answer.startswith(b"HTTP/1.1 200 ")
        assert silent.recv(1) == b""
        assert slow.recv(1) == b""
        while asked.recv(65536):
            pass


def test_it_stops_though_connections_are_open(monitored):
    with Served(monitored) as served:
        idle = served.connect()
        half = served.connect()
        half.sendall(b"GET /metrics HTTP/1.1\r\nHos")
    for connection in (idle, half):
        connection.close()

    with pytest.raises(requests.ConnectionError):
        served.get("/metrics")


def test_a_port_in_use_is_one_clear_sentence():
    with bound_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        said = "Address already in use; `listen` in the config file, or --listen, says where"
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


def test_it_listens_on_ipv6(monitored):
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    probe.close()
    with Served(monitored, "::1") as served:
        assert served.get("/-/healthy").status_code == 200


def test_a_real_prometheus_takes_the_scrape(served, tmp_path):
    target = {"job_name": "monitor", "static_configs": [{"targets": [f"127.0.0.1:{served.port}"]}]}
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [target]}
    with running_prometheus(tmp_path, config) as prometheus:
        prometheus.wait_for('up{job="monitor"} == 1')
        state = prometheus.query('milvus_import_job_state{job_id="7"}')
        counter = prometheus.query("milvus_import_polls_total")

    assert [series["metric"]["state"] for series in state] == ["importing"]
    assert [series["value"][1] for series in counter] == ["1"]
