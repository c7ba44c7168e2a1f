"""Basic auth, TLS and limits on real sockets, against curl, Prometheus and hostile clients."""

import asyncio
import errno
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import bcrypt
import pytest
import requests
from starlette.responses import PlainTextResponse

from monitor.config import WebConfig, parse
from monitor.web import AddressError, WebLimits, bound_socket, is_loopback
from monitor.web.protocol import certificate_names
from tests.daemon import finished, started, write_config
from tests.prometheus import running_prometheus
from tests.quick_checks import PREFIX
from tests.served_app import ServedApp, WatchedClusters
from tests.venvs import missing

COST = 8
PASSWORD = "open sesame"
CLUSTER = "clusters: [{name: a, url: 'http://a:19530'}]\n"
RIGHT = ("prometheus", PASSWORD)
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


def hashed(password: str = PASSWORD, cost: int = COST) -> str:
    # The salt is always the same: the names of some tests have the hash in them.
    return bcrypt.hashpw(password.encode(), f"$2b${cost:02}$N9qo8uLOickgx2ZMRZoMye".encode()).decode()


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def certificate(folder: Path, name: str, issuer: str | None = None) -> None:
    """Make name.crt and name.key for localhost, signed by itself or by another one of the folder."""
    signed = ["-CA", folder / f"{issuer}.crt", "-CAkey", folder / f"{issuer}.key"] if issuer else []
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt", "-subj", f"/CN={name}"),
        *("-addext", f"subjectAltName=DNS:localhost,IP:127.0.0.1,DNS:{name}.example", *signed),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for name in ("tls", "renewed", "clients"):
        certificate(folder, name)
    certificate(folder, "client", issuer="clients")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "web"))


class Monitor(WatchedClusters):
    """A daemon without clusters."""

    body = b"up 1\n"

    def scrape(self, _accept, _now):
        return self.body, "text/plain"


class Served(ServedApp):
    """Its server."""

    def __init__(self, web=None, app=None, **limits):
        self.monitor = Monitor()
        super().__init__(self.monitor, web or WebConfig(), app=app, **limits)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def sent(self, *parts):
        """Send bytes and return everything that is answered until the end."""
        with self.connect() as connection:
            with suppress(BrokenPipeError, ConnectionResetError):
                for part in parts:
                    connection.sendall(part)
            return everything(connection)


def everything(connection):
    found = b""
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def web_config(folder, text):
    (folder / "web.yml").write_text(text)
    return parse(f"web_config: web.yml\n{CLUSTER}", source="c", directory=folder, environ={}).web


def tls(name="tls", more=""):
    return f"tls_server_config:\n  cert_file: {name}.crt\n  key_file: {name}.key\n{more}\n"


def users(**passwords):
    return "basic_auth_users: " + json.dumps(passwords or {"prometheus": hashed()}) + "\n"


MUTUAL = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt\n"


def curl(*arguments):
    """Return the exit code of curl and the status it got."""
    program = shutil.which("curl") or missing("curl is not installed")
    command = [program, "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "20", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, done.stdout


def test_curl_comes_in_over_tls_with_the_right_password_only(folder):
    with Served(web_config(folder, tls() + users())) as served:
        ca = ("--cacert", folder / "tls.crt")
        url = served.url + "/metrics"

        assert curl(*ca, "-u", f"prometheus:{PASSWORD}", url) == (0, "200")
        assert curl(*ca, "-u", "prometheus:wrong", url) == (0, "401")
        assert curl(*ca, "-u", f"nobody:{PASSWORD}", url) == (0, "401")
        assert curl(*ca, url) == (0, "401")
        assert curl(*ca, "--http2", "-u", f"prometheus:{PASSWORD}", url) == (0, "200")
        assert curl(*ca, "--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0", url)[0] == 35
        assert curl(url)[0] == 60  # nobody vouches for the certificate
        assert curl(f"http://localhost:{served.port}/metrics")[0] in {52, 56}


def test_old_versions_are_spoken_to_who_insists(folder):
    with Served(web_config(folder, tls(more="  min_version: TLS10"))) as served:
        old = ("--tlsv1.0", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")

        assert curl("--cacert", folder / "tls.crt", *old, served.url) == (0, "200")


def test_curl_needs_a_client_certificate_where_one_is_required(folder):
    with Served(web_config(folder, tls(more=MUTUAL))) as served:
        ca = ("--cacert", folder / "tls.crt")
        code, status = curl(*ca, served.url)

        assert (code != 0, status) == (True, "000")
        assert curl(*ca, "--cert", folder / "tls.crt", "--key", folder / "tls.key", served.url)[1] == "000"
        assert curl(*ca, "--cert", folder / "client.crt", "--key", folder / "client.key", served.url) == (0, "200")


@pytest.mark.parametrize(("name", "status"), [("client.example", "200"), ("127.0.0.1", "200"), ("other", "000")])
def test_a_client_certificate_needs_an_allowed_name(folder, name, status):
    more = f"{MUTUAL}  client_allowed_sans: [{name}]\n"
    with Served(web_config(folder, tls(more=more))) as served:
        own = ("--cert", folder / "client.crt", "--key", folder / "client.key")

        assert curl("--cacert", folder / "tls.crt", *own, served.url)[1] == status


def test_names_of_a_certificate():
    names = (("DNS", "a.b"), ("IP Address", "0:0:0:0:0:0:0:1\n"), ("URI", "spiffe://x"), ("IP Address", "<invalid>"))

    assert certificate_names({"subjectAltName": names}) == {"a.b", "::1", "spiffe://x", "<invalid>"}
    assert certificate_names(None) == frozenset()


def test_a_real_prometheus_scrapes_over_tls_with_a_password(folder, tmp_path):
    with Served(web_config(folder, tls() + users())) as served:
        target = {
            "job_name": "monitor",
            "scheme": "https",
            "tls_config": {"ca_file": str(folder / "tls.crt")},
            "basic_auth": {"username": "prometheus", "password": PASSWORD},
            "static_configs": [{"targets": [f"localhost:{served.port}"]}],
        }
        config = {"global": {"scrape_interval": "1s"}, "scrape_configs": [target]}
        with running_prometheus(tmp_path, config) as prometheus:
            assert prometheus.wait_for('up{job="monitor"} == 1')


@pytest.mark.parametrize("path", ["/metrics", "/-/healthy", "/-/ready", "/", "/nothing"])
def test_nothing_is_told_without_a_password(folder, path):
    with Served(web_config(folder, users())) as served:
        answer = served.get(path=path)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="milvus-import-monitor", charset="UTF-8"'
    assert answer.text == "a user name and a password are required\n"


@pytest.mark.parametrize(
    "header", ["", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic /////zo=", "Bearer x", "basic " + "A" * 8000]
)
def test_a_header_that_is_no_credential_is_refused_without_a_check(folder, monkeypatch, header):
    monkeypatch.setattr(bcrypt, "checkpw", None)
    with Served(web_config(folder, users())) as served:
        assert served.get(headers={"Authorization": header}).status_code == 401


def test_a_reload_needs_the_password(folder):
    with Served(web_config(folder, users())) as served:
        refused = served.request("POST", "/-/reload").status_code
        taken = served.request("POST", "/-/reload", auth=RIGHT).status_code

        assert (refused, taken, served.monitor.reloads) == (401, 200, 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://seen.outside"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "http://localhost:PORT"}, 200),
        ({}, 200),
    ],
)
def test_no_page_of_another_site_reloads(headers, status):
    with Served() as served:
        own = {name: value.replace("PORT", str(served.port)) for name, value in headers.items()}

        assert served.request("POST", "/-/reload", headers=own).status_code == status
        assert served.monitor.reloads == (status == 200)
        assert served.request("GET", "/metrics", headers=own).status_code == 200


def test_the_cost_of_bcrypt_is_paid_once_for_a_credential(folder, monkeypatch):
    calls = counted(monkeypatch)
    with Served(web_config(folder, users())) as served, ThreadPoolExecutor(10) as pool:
        together = list(pool.map(lambda _: served.get(auth=RIGHT).status_code, range(10)))
        later = [served.get(auth=RIGHT).status_code for _ in range(20)]

    assert set(together + later) == {200}
    assert len(calls) == 1


def counted(monkeypatch):
    calls = []
    check = bcrypt.checkpw

    def checkpw(password, hashed_password):
        calls.append(hashed_password)
        return check(password, hashed_password)

    monkeypatch.setattr(bcrypt, "checkpw", checkpw)
    return calls


def test_the_time_of_a_check_does_not_show_whether_a_user_exists(folder, monkeypatch):
    calls = counted(monkeypatch)
    both = users(prometheus=hashed(cost=4), admin=hashed(cost=6))
    with Served(web_config(folder, both)) as served:
        for _ in range(2):
            for name in ("prometheus", "admin", *(f"user-{number}" for number in range(20))):
                assert served.get(auth=(name, "wrong")).status_code == 401
    costs = [call[4:6] for call in calls]

    assert costs[:2] == [b"04", b"06"]
    assert set(costs[2:22]) == {b"04", b"06"}  # unknown names have either cost,
    assert costs[:22] == costs[22:]  # and always the same


@pytest.mark.parametrize("password", ["p" * 100, "", "ü:ö", "a\0b"])
def test_passwords_of_every_kind(folder, password):
    hash_ = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
    with Served(web_config(folder, users(ann=hash_))) as served:
        assert served.get(auth=("ann", password.encode())).status_code == 200
        assert served.get(auth=("ann", b"x" + password.encode())).status_code == 401


def test_a_flood_of_wrong_passwords_stops_no_scrape(folder):
    with Served(web_config(folder, users(prometheus=hashed(cost=12)))) as served, ThreadPoolExecutor(40) as pool:
        assert served.get(auth=RIGHT).status_code == 200
        stop = threading.Event()

        def flood(number):
            statuses = set()
            attempt = 0
            while not stop.is_set():
                attempt += 1
                statuses.add(served.get(auth=("prometheus", f"{number}-{attempt}")).status_code)
            return statuses

        floods = [pool.submit(flood, number) for number in range(40)]
        times = []
        for _ in range(30):
            begun = time.monotonic()
            assert served.get(auth=RIGHT).status_code == 200
            times.append(time.monotonic() - begun)
        stop.set()
        answers = set().union(*(one.result() for one in floods))

    assert max(times) < 2, times
    assert answers <= {401, 503}
    assert 503 in answers


def test_one_password_too_many_is_refused_with_a_time_to_try_again(folder):
    with Served(web_config(folder, users()), waiting_passwords_per_address=0) as served:
        answer = served.get(auth=RIGHT)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_the_headers_are_on_every_answer(folder):
    headers = "http_server_config: {headers: {X-Frame-Options: deny, Content-Security-Policy: default-src x}}\n"
    with Served(web_config(folder, users() + headers), connections=20) as served:
        answers = [served.get(), served.get(auth=RIGHT), served.get("/x", auth=RIGHT)]
        page = served.get("/", auth=RIGHT)
        broken = served.sent(b"\x00\r\n\r\n")
        with ExitStack() as stack:
            for _ in range(20):
                used = stack.enter_context(served.connect())
                used.sendall(GET + b"\r\n")
                assert used.recv(1)
            full = served.sent()

    assert [answer.status_code for answer in answers] == [401, 200, 404]
    assert {answer.headers["X-Frame-Options"] for answer in answers} == {"deny"}
    assert broken.startswith(b"HTTP/1.1 400 ")
    assert full.startswith(b"HTTP/1.1 503 ")
    assert b"x-frame-options: deny\r\n" in broken
    assert b"x-frame-options: deny\r\n" in full
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")  # its own


def test_a_reload_takes_users_certificate_and_tls_without_a_restart(folder):
    with Served(web_config(folder, users())) as served:
        session = requests.Session()
        assert session.get(served.url, auth=RIGHT, timeout=20).status_code == 200
        served.apply_web_config(web_config(folder, users(prometheus=hashed("changed"))))
        assert served.get(auth=RIGHT).status_code == 401
        assert served.get(auth=("prometheus", "changed")).status_code == 200
        served.apply_web_config(web_config(folder, tls()))
        first = served.get(verify=folder / "tls.crt").status_code
        served.apply_web_config(web_config(folder, tls("renewed")))
        with pytest.raises(requests.exceptions.SSLError):
            served.get(verify=folder / "tls.crt")
        second = served.get(verify=folder / "renewed.crt").status_code
        served.apply_web_config(web_config(folder, tls("renewed", MUTUAL)))
        with pytest.raises(requests.RequestException):
            served.get(verify=folder / "renewed.crt")
        served.apply_web_config(WebConfig())
        last = served.get().status_code
        session.close()

    assert (first, second, last) == (200, 200, 200)


def test_a_reload_ends_what_was_open_when_something_changed_and_only_then(folder):
    web = web_config(folder, users())
    with Served(web) as served, served.connect() as idle:
        served.apply_web_config(web)
        idle.sendall(GET + b"\r\n")
        answer = b""
        while not answer.endswith(b"required\n"):
            answer += idle.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        served.apply_web_config(WebConfig())
        assert everything(idle) == b""


def test_when_it_cannot_listen_again_the_previous_config_stays(folder, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with Served(web_config(folder, users())) as served:
        monkeypatch.setattr(served.loop, "create_server", fail)
        with pytest.raises(AddressError, match=r"^cannot listen with the new web config: Too many open files$"):
            served.apply_web_config(WebConfig(fingerprint="other"))

        assert served.get().status_code == 401
        assert served.get(auth=RIGHT).status_code == 200


def test_a_config_that_is_applied_before_the_start_counts(folder):
    served = Served(web_config(folder, users()))
    asyncio.run(served.server.apply_web_config(WebConfig(fingerprint="other")))
    with served:
        assert served.get().status_code == 200


def test_nobody_is_turned_away_while_the_config_changes(folder):
    webs = [web_config(folder, text) for text in (users(), tls(), tls("renewed"))]
    with Served(webs[0]) as served:
        stop = threading.Event()
        refused = []

        def connect():
            while not stop.is_set():
                try:
                    served.connect().close()
                except ConnectionRefusedError as error:
                    refused.append(error)

        thread = threading.Thread(target=connect)
        thread.start()
        for number in range(30):
            served.apply_web_config(webs[number % 3])
        stop.set()
        thread.join()

    assert not refused


@pytest.mark.parametrize(
    "parts",
    [
        [GET + b"X: " + b"x" * 33_000 + b"\r\n\r\n"],
        [GET + b"".join(b"X-%d: x\r\n" % number for number in range(5000)) + b"\r\n"],
        [b"GET /" + b"x" * 33_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"],
        [GET + b"X: ", *[b"x" * 60_000] * 20],
        [b"GET /", *[b"x" * 60_000] * 20],
    ],
)
def test_a_head_beyond_its_bound_is_refused(parts):
    with Served() as served:
        answer = served.sent(*parts)

        assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""  # a reset can overtake the answer
        assert served.get().status_code == 200


def test_a_head_within_its_bound_is_taken():
    with Served() as served:
        assert served.get(headers={f"X-{number}": "x" * 1000 for number in range(30)}).status_code == 200


@pytest.mark.parametrize(
    "parts",
    [
        [b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n"],
        [b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n"],
    ],
)
def test_a_body_that_says_it_is_beyond_its_bound_is_refused(parts):
    with Served() as served:
        assert served.sent(*parts)[:13] in {b"HTTP/1.1 413 ", b"HTTP/1.1 400 "}
        assert served.monitor.reloads == 0


def test_a_body_of_unknown_length_is_cut_at_its_bound():
    received = []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            received.append(len(message.get("body", b"")))
            if not message.get("more_body"):
                break
        await PlainTextResponse("all of it\n")(scope, receive, send)

    with Served(app=app) as served:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = served.sent(head, *[b"2710\r\n" + b"x" * 10_000 + b"\r\n"] * 100)
        small = served.request("POST", "/", data=b"x" * 60_000)

    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""
    assert small.text == "all of it\n"
    assert max(received) <= WebLimits().body_bytes


def test_a_body_that_comes_after_its_head_is_not_counted_as_a_head():
    head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
    with Served() as served, socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
        client.sendall(head)
        time.sleep(0.2)  # so that the head is a piece of its own
        client.sendall(b"x" * 60_000)
        answer = client.makefile("rb").readline()

    assert answer.startswith(b"HTTP/1.1 404 ")


def test_a_client_that_does_not_read_is_disconnected():
    with Served(write_timeout=0.5) as served:
        served.monitor.body = b"x" * 50_000_000
        with served.connect() as slow:
            slow.sendall(GET + b"\r\n")
            gone(served, 0)
            with suppress(ConnectionResetError):
                assert len(everything(slow)) < 50_000_000
        with served.connect() as last:
            last.sendall(GET + b"Connection: close\r\n\r\n")
            gone(served, 0)


def gone(served, left, timeout=15.0):
    """Wait until a connection was made, and then until so many are left."""
    connections = served.server.server_state.connections
    deadline = time.monotonic() + timeout
    while len(connections) <= left and time.monotonic() < deadline:
        time.sleep(0.01)
    while len(connections) > left and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(connections) == left


def test_a_client_that_sends_a_byte_now_and_then_is_disconnected():
    with Served(keep_alive=1) as served:
        for begin, drop in (
            (GET, b"X"),
            (GET + b"\r\n", b"\r\n"),
            (b"POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b"x"),
        ):
            with served.connect() as connection:
                connection.sendall(begin)
                begun = time.monotonic()
                with suppress(BrokenPipeError, ConnectionResetError):
                    while time.monotonic() - begun < 10:
                        connection.sendall(drop)
                        time.sleep(0.1)
                assert time.monotonic() - begun < 8, begin


def test_a_thousand_idle_tls_connections_stop_no_scrape(folder):
    trusted = ssl.create_default_context(cafile=folder / "tls.crt")
    with Served(web_config(folder, tls() + users())) as served, ExitStack() as stack:
        for number in range(1000):
            connection = stack.enter_context(served.connect())
            if number % 2:  # the others never begin their handshake
                stack.enter_context(trusted.wrap_socket(connection, server_hostname="localhost"))
        times = []
        for _ in range(5):
            begun = time.monotonic()
            assert served.get(auth=RIGHT, verify=folder / "tls.crt").status_code == 200
            times.append(time.monotonic() - begun)

    assert max(times) < 5, times


@pytest.mark.parametrize(
    ("address", "near"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("fe80::1%1", False)],
)
def test_what_is_loopback(address, near):
    assert is_loopback(address) is near


def test_the_daemon_rereads_its_web_config_and_says_what_is_wrong_with_it(folder):
    with bound_socket("127.0.0.1", 0) as nothing:
        cluster = f"{{name: a, url: 'http://127.0.0.1:{nothing.getsockname()[1]}'}}"
        (folder / "web.yml").write_text(tls() + users())
        config = write_config(folder, cluster, web_config="web.yml")
        arguments = {"verify": folder / "tls.crt", "auth": RIGHT}
        with started("run", "-c", config) as daemon:
            assert daemon.url.startswith("https://127.0.0.1:")
            assert daemon.get("/metrics", **arguments).status_code == 200
            (folder / "web.yml").write_text("basic_auth_user: {}")
            rejected = requests.post(daemon.url + "/-/reload", timeout=10, **arguments)
            (folder / "web.yml").write_text(tls("renewed") + users(ann=hashed("other")))
            taken = requests.post(daemon.url + "/-/reload", timeout=10, **arguments)
            later = daemon.get("/metrics", verify=folder / "renewed.crt", auth=("ann", "other"))
            assert daemon.lines("listening_without_auth") == []

    assert (rejected.status_code, taken.status_code, later.status_code) == (422, 200, 200)
    assert f'{folder}/web.yml:1: basic_auth_user: unknown key; did you mean "basic_auth_users"?' in rejected.text


def test_renewed_certificates_are_used_without_a_reload(folder, tmp_path):
    def renew(name):
        for end in ("crt", "key"):
            (tmp_path / f"own.{end}.new").write_bytes((folder / f"{name}.{end}").read_bytes())
            (tmp_path / f"own.{end}.new").rename(tmp_path / f"own.{end}")

    renew("tls")
    web = (tls() + users()).replace("tls.crt", "own.crt").replace("tls.key", "own.key")
    (tmp_path / "web.yml").write_text(web)
    config = write_config(tmp_path, "{name: a, url: 'http://127.0.0.1:9'}", web_config="web.yml")
    with started("run", "-c", config, prefix=PREFIX) as daemon:
        assert daemon.get("/metrics", verify=folder / "tls.crt", auth=RIGHT).status_code == 200
        (tmp_path / "own.key").rename(tmp_path / "gone.key")
        unreadable = daemon.wait_for("certificates_unreadable")
        assert daemon.get("/metrics", verify=folder / "tls.crt", auth=RIGHT).status_code == 200
        renew("renewed")
        daemon.wait_for("certificates_reloaded")
        assert daemon.get("/metrics", verify=folder / "renewed.crt", auth=RIGHT).status_code == 200
        reloads = daemon.lines("config_reloaded")

    assert "own.key does not exist" in unreadable["message"]
    assert reloads == []


@pytest.mark.parametrize(("listen", "web", "times"), [("0.0.0.0:0", "", 1), ("0.0.0.0:0", users(), 0)])
def test_listening_for_everyone_without_a_password_is_said_once(tmp_path, listen, web, times):
    (tmp_path / "web.yml").write_text(web or "http_server_config: {}")
    config = write_config(tmp_path, "{name: a, url: 'http://127.0.0.1:9'}", listen=listen, web_config="web.yml")
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_unreachable")
        lines = daemon.lines("listening_without_auth")

    assert [line["level"] for line in lines] == ["warning"] * times


def test_check_config_looks_at_the_web_config_too(folder):
    (folder / "web.yml").write_text(tls("none"))
    config = write_config(folder, "{name: a, url: 'http://127.0.0.1:9'}", web_config="web.yml")
    done = finished("check-config", "-c", config)

    assert done.returncode == 2
    assert f"{folder}/web.yml:2: tls_server_config.cert_file: {folder}/none.crt does not exist\n" in done.stderr


def test_a_health_check_comes_in_with_a_password(folder):
    (folder / "password").write_text(PASSWORD + "\n")
    with Served(web_config(folder, tls() + users())) as served:
        own = ("healthcheck", "--url", served.url, "--username", "prometheus", "--password-file", folder / "password")
        trusted = finished(*own, "--ca-file", folder / "tls.crt")
        anybody = finished(*own, "--insecure")
        stranger = finished("healthcheck", "--url", served.url, "--insecure")
        doubtful = finished(*own)
        (folder / "password").write_text("another")
        mistaken = finished(*own, "--insecure")
        without_tls = finished("healthcheck", "--url", served.url.replace("https", "http"))

    assert (trusted.returncode, trusted.stdout) == (0, "ready\n"), trusted.stderr
    assert (anybody.returncode, anybody.stderr) == (0, "")
    assert (stranger.returncode, stranger.stderr) == (
        1,
        (
            f"error: {served.url}: a user name and a password are required; "
            "give --username and --password-file (HTTP 401)\n"
        ),
    )
    assert (mistaken.returncode, mistaken.stderr) == (
        1,
        f"error: {served.url}: a user name and a password are required; user name or password is wrong (HTTP 401)\n",
    )
    assert doubtful.returncode == 1
    assert doubtful.stderr == (
        f"error: {served.url}: no response: the certificate is not trusted: self-signed certificate; "
        "give its certificate with --ca-file, or use --insecure\n"
    )
    assert without_tls.returncode == 1
    assert ": no response: " in without_tls.stderr
    assert "https" in without_tls.stderr


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--username", "a"], "--username: needs --password-file as well"),
        (["--password-file", __file__], "--password-file: needs --username as well"),
        (["--ca-file", __file__, "--insecure"], "--ca-file: cannot be combined with --insecure; remove one of them"),
        (["--username", "a", "--password-file", "/none"], "--password-file: file '/none' does not exist"),
        (["--ca-file", "/none"], "--ca-file: file '/none' does not exist"),
        (["--url", "http://a:b@c"], "--url: must not contain credentials (@); use --username and --password-file"),
    ],
)
def test_a_health_check_says_what_is_wrong_with_its_options(options, problem):
    done = finished("healthcheck", *options)

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {problem}")
    assert done.stderr.count("\n") == 1
