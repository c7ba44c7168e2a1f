"""TLS: nothing is believed that is not proven, unless somebody wrote that it should be."""

import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitor.client import ApiError, ErrorKind, Network, connect
from monitor.client.errors import TlsError
from monitor.client.response import PIECES_LIMIT
from monitor.config import Tls
from monitor.jobs import JobList
from monitor.simulator import World
from tests.clusters import cluster, connected
from tests.fakes.simulator import SimulatorServer
from tests.recorder import Answer, Recorder

JOB_1, JOB_2 = ({"code": 0, "data": {"records": [{"jobId": job}]}} for job in "12")
EMPTY = {"code": 0, "data": {"records": []}}
VARIABLES = [
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    *(f"{name}_{end}" for name in ("http", "https", "all", "no") for end in ("proxy",)),
]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for 127.0.0.1, and its key."""

    file: Path
    key: Path

    def server(self, trusts: "Certificate | None" = None) -> ssl.SSLContext:
        """How a server shows it; with `trusts`, only to clients that show that one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        if trusts is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(trusts.file)
            # In 1.3 a client learns only after its request that it was refused, and a reset may come before the reason.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def certificate(folder: Path, name: str, host: str = "IP:127.0.0.1", days: int = 30) -> Certificate:
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", made.key, "-out", made.file, "-days", str(days), "-subj", f"/CN={name}"]
    subprocess.run([*command, "-addext", f"subjectAltName={host}"], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def own(folder: Path) -> Certificate:
    return certificate(folder, "server")


@pytest.fixture(scope="module")
def client(folder: Path) -> Certificate:
    return certificate(folder, "client")


@pytest.fixture
def server(own: Certificate) -> Iterator[Recorder]:
    with Recorder(EMPTY, tls=own.server()) as running:
        yield running


def refused(url: str, tls: Tls | None = None, **changes: Any) -> ApiError:
    with connected(url, tls=tls or Tls(), api_key="secret-key", **changes) as api, pytest.raises(ApiError) as caught:
        api.list_jobs(JobList())
    assert "secret-key" not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


def test_a_certificate_that_nobody_vouches_for_is_refused_and_no_key_is_sent(server: Recorder) -> None:
    error = refused(server.url)
    assert error.kind is ErrorKind.TLS
    assert str(error).endswith("the certificate is not trusted: self-signed certificate")
    assert server.requests == []
    assert server.connections == 1


def test_https_towards_a_port_without_tls_is_said_in_words() -> None:
    with SimulatorServer(World()) as plain:
        error = refused(plain.url.replace("http://", "https://"))
    assert error.kind is ErrorKind.TLS
    assert str(error).endswith(": the port does not speak TLS: is it http://?")


@pytest.mark.parametrize("size", [100, 30_000, 100_000], ids=["small", "two records", "many records"])
@pytest.mark.parametrize("behind", [b"", b"x", Answer(EMPTY).on_the_wire()], ids=["nothing", "a byte", "an answer"])
def test_what_comes_behind_an_answer_within_tls_is_not_read_as_the_next_one(
    own: Certificate, size: int, behind: bytes
) -> None:
    def serve(connection: socket.socket, incoming: Any) -> None:
        connection.sendall(first.on_the_wire() + behind)
        connection.settimeout(0.2)
        with suppress(OSError):
            again.append(bool(incoming.readline()))

    again: list[bool] = []
    first = Answer({"code": 0, "data": {"records": [{"jobId": "1", "other": "x" * size}]}})
    last = {"code": 0, "data": {"records": [{"jobId": "2"}]}}
    with Recorder(serve, last, tls=own.server()) as server, connected(server.url, tls=Tls(ca_file=own.file)) as api:
        assert list(api.list_jobs(JobList()).records) == ["1"]
        if behind:
            assert list(api.list_jobs(JobList()).records) == ["2"]
            assert again in ([], [False])
            assert server.connections == 2


def test_a_certificate_is_taken_with_its_ca_file_and_its_connection_is_kept(server: Recorder, own: Certificate) -> None:
    with connected(server.url, tls=Tls(ca_file=own.file)) as api:
        for _ in range(5):
            assert api.list_jobs(JobList()).records == {}
    assert server.connections == 1


def test_behind_a_proxy_that_opens_tls_its_certificate_authority_is_trusted_by_the_environment(
    own: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a company: the proxy answers in the name of the cluster, with a certificate of its own authority."""
    reached: list[bytes] = []

    def intercept(connection: socket.socket, _: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with suppress(OSError), own.server().wrap_socket(connection, server_side=True) as inside:
            reached.append(inside.recv(65536).split(b"\r\n")[0])
            inside.sendall(Answer(EMPTY).on_the_wire())

    with Recorder(intercept) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = refused("https://127.0.0.1:1", timeout=5)
        monkeypatch.setenv("SSL_CERT_FILE", str(own.file))
        with connected("https://127.0.0.1:1") as api:
            assert api.list_jobs(JobList()).records == {}

    assert error.kind is ErrorKind.TLS
    assert {request.target for request in proxy.requests} == {"CONNECT 127.0.0.1:1"}
    assert reached == [b"POST /v2/vectordb/jobs/import/list HTTP/1.1"]


def test_a_ca_file_counts_more_than_the_environment(
    server: Recorder, own: Certificate, client: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(client.file))
    with connected(server.url, tls=Tls(ca_file=own.file)) as api:
        assert api.list_jobs(JobList()).records == {}


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_bundle_of_the_environment_is_trusted(
    server: Recorder, own: Certificate, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(own.file))
    with connected(server.url) as api:
        assert api.list_jobs(JobList()).records == {}


def test_a_folder_of_the_environment_is_trusted(
    server: Recorder, own: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.pem").write_bytes(own.file.read_bytes())
    subprocess.run(["openssl", "rehash", tmp_path], check=True)
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with connected(server.url) as api:
        assert api.list_jobs(JobList()).records == {}


def test_a_bundle_of_requests_counts_more_than_a_file_of_openssl(
    server: Recorder, own: Certificate, client: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(client.file))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own.file))
    with connected(server.url) as api:
        assert api.list_jobs(JobList()).records == {}


def test_a_file_of_the_environment_that_is_missing_is_named(
    server: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    error = refused(server.url)
    assert error.kind is ErrorKind.TLS
    assert "missing.pem" in str(error)


@pytest.mark.parametrize("bundle", [False, True])
def test_without_verification_any_certificate_is_taken(
    server: Recorder, client: Certificate, monkeypatch: pytest.MonkeyPatch, bundle: bool
) -> None:
    if bundle:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(client.file))
    with connected(server.url, tls=Tls(insecure_skip_verify=True)) as api:
        assert api.list_jobs(JobList()).records == {}


def test_one_clusters_leniency_is_not_anothers(server: Recorder) -> None:
    with closing(Network()) as network:
        connect(cluster(server.url, tls=Tls(insecure_skip_verify=True)), network).list_jobs(JobList())
        with pytest.raises(TlsError):
            connect(cluster(server.url), network).list_jobs(JobList())


def test_a_certificate_for_another_host_is_refused(folder: Path) -> None:
    other = certificate(folder, "other", "DNS:milvus.example")
    with Recorder(EMPTY, tls=other.server()) as server:
        error = refused(server.url, Tls(ca_file=other.file))
    assert error.kind is ErrorKind.TLS
    assert "127.0.0.1" in str(error)


def test_a_client_certificate_is_shown(own: Certificate, client: Certificate, folder: Path) -> None:
    both = folder / "both.pem"
    both.write_text(client.file.read_text() + client.key.read_text())
    with Recorder(EMPTY, tls=own.server(trusts=client)) as server:
        for tls in (
            Tls(ca_file=own.file, cert_file=client.file, key_file=client.key),
            Tls(ca_file=own.file, cert_file=both),
        ):
            with connected(server.url, tls=tls) as api:
                assert api.list_jobs(JobList()).records == {}


def test_files_that_were_replaced_are_read_for_the_next_connection(
    own: Certificate, client: Certificate, tmp_path: Path
) -> None:
    files = {name: tmp_path / name for name in ("ca_file", "cert_file", "key_file")}
    with Recorder(EMPTY, tls=own.server(trusts=client)) as server, connected(server.url, tls=Tls(**files)) as api:
        for trusted, shown in ((client, client), (own, own), (own, client)):
            for name, source in (("ca_file", trusted.file), ("cert_file", shown.file), ("key_file", shown.key)):
                files[name].write_bytes(source.read_bytes())
            if (trusted, shown) == (own, client):
                assert api.list_jobs(JobList()).records == {}
            else:
                with pytest.raises(TlsError):
                    api.list_jobs(JobList())


def test_a_server_that_wants_a_client_certificate_gets_none(own: Certificate, client: Certificate) -> None:
    with Recorder(EMPTY, tls=own.server(trusts=client)) as server:
        assert refused(server.url, Tls(ca_file=own.file)).kind is ErrorKind.TLS
        assert server.requests == []


@pytest.mark.parametrize("swap", ["ca_file", "key_file"])
def test_a_file_that_is_no_certificate_is_told(server: Recorder, own: Certificate, folder: Path, swap: str) -> None:
    bad = folder / "bad.pem"
    bad.write_text("no certificate")
    files = {"ca_file": own.file, "cert_file": own.file, "key_file": own.key} | {swap: bad}
    assert refused(server.url, Tls(**files)).kind is ErrorKind.TLS


@pytest.mark.parametrize("missing", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_was_removed_meanwhile_is_named(
    server: Recorder, own: Certificate, folder: Path, missing: str
) -> None:
    files = {"ca_file": own.file, "cert_file": own.file, "key_file": own.key} | {missing: folder / "gone.pem"}
    assert "gone.pem" in str(refused(server.url, Tls(**files)))


def test_a_server_without_tls_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        serving = threading.Thread(target=serve)
        serving.start()
        error = refused(f"https://127.0.0.1:{listening.getsockname()[1]}")
        serving.join()
    assert error.kind is ErrorKind.TLS


def test_a_slow_handshake_and_a_slow_answer_end_with_one_timeout_together(own: Certificate) -> None:
    context = own.server()

    class SlowContext:
        def wrap_socket(self, connection: socket.socket, **_: Any) -> ssl.SSLSocket:
            time.sleep(0.6)  # the slowness is what is tested
            return context.wrap_socket(connection, server_side=True)

    def silence(connection: ssl.SSLSocket, _: Any) -> None:
        select.select([connection], [], [], 10.0)

    with Recorder(silence, tls=SlowContext()) as server:  # type: ignore[arg-type]
        started = time.monotonic()
        error = refused(server.url, Tls(ca_file=own.file), timeout=1.0)
        took = time.monotonic() - started
    assert error.kind is ErrorKind.TIMEOUT
    assert took < 1.4


def test_a_drip_through_tls_ends_with_the_timeout(own: Certificate) -> None:
    def drip(connection: ssl.SSLSocket, _: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b" ")
            if select.select([connection], [], [], 0.02)[0]:
                return

    with Recorder(drip, tls=own.server()) as server:
        started = time.monotonic()
        error = refused(server.url, Tls(ca_file=own.file), timeout=0.5)
    assert error.kind is ErrorKind.TIMEOUT
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize("behind", [b"", Answer(JOB_2).on_the_wire()], ids=["nothing", "an answer"])
def test_what_comes_behind_an_answer_within_tls_within_tls_is_not_read_as_the_next_one(
    own: Certificate, behind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a proxy that speaks TLS itself: several records of the server may come in one of the proxy's."""
    sent = threading.Event()

    def relay(client: socket.socket, beyond: socket.socket) -> None:
        data = b"x"
        while data:
            from_client = client in select.select([client, beyond], [], [], 10.0)[0]
            if not from_client and server.requests:
                assert sent.wait(10.0)
            source, target = (client, beyond) if from_client else (beyond, client)
            data = source.recv(65536)
            target.sendall(data)

    def serve(connection: ssl.SSLSocket, incoming: Any) -> None:
        connection.sendall(Answer(JOB_1).on_the_wire())
        if behind:
            connection.sendall(behind)
        sent.set()
        if incoming.readline():
            connection.sendall(Answer(JOB_1).on_the_wire())
            incoming.read()

    def tunnel(connection: ssl.SSLSocket, _: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port)) as beyond:
            relay(connection, beyond)

    with Recorder(serve, tls=own.server()) as server, Recorder(tunnel, tls=own.server()) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with connected(server.url, tls=Tls(ca_file=own.file)) as api:
            for _ in range(2):
                assert list(api.list_jobs(JobList()).records) == ["1"]
        assert server.connections == (2 if behind else 1)


def test_a_body_in_countless_records_ends_with_their_limit(own: Certificate) -> None:
    def flood(connection: ssl.SSLSocket, _: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with suppress(OSError):
            for _ in range(2 * PIECES_LIMIT):
                connection.sendall(b"xy")

    with Recorder(flood, tls=own.server()) as server:
        error = refused(server.url, Tls(ca_file=own.file), timeout=60.0)
    assert error.kind is ErrorKind.BAD_RESPONSE
    assert f"more than {PIECES_LIMIT} pieces" in str(error)


def test_a_tunnel_through_a_proxy_is_opened_again_however_old_the_first_one_is(
    own: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Recorder(EMPTY, tls=own.server()) as server:

        def tunnel(connection: socket.socket, _: Any) -> None:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            with socket.create_connection(("127.0.0.1", server.port)) as beyond:
                ends = {connection: beyond, beyond: connection}
                while True:
                    for ready in select.select(list(ends), [], [], 10.0)[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        ends[ready].sendall(data)

        with Recorder(tunnel) as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            with connected(server.url, tls=Tls(ca_file=own.file), timeout=0.3) as api:
                for _ in range(3):
                    assert api.list_jobs(JobList()).records == {}
                    proxy.hang_up()
                    time.sleep(0.35)  # longer than the timeout: what is tested is the age of the first tunnel
            assert proxy.connections == 3
    assert len(server.requests) == 3
