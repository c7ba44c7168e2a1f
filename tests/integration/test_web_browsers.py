"""A page of another site whose name was rebound to the monitor's address, in browsers; and everybody else."""

import socket
from pathlib import Path

import pytest
import requests

from monitor.config import parse
from monitor.web.browsers import HostNames
from tests.browser import chromium
from tests.daemon import started, write_config
from tests.served_app import ServedApp, WatchedClusters

PATHS = ("/", "/metrics", "/api/v1/clusters", "/api/v1/stream", "/-/healthy")
FIREFOX = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept-Language": "en-US,en;q=0.5",
}
READ = """async ([path, method, headers]) => {
    const response = await fetch(path, {method, headers, referrerPolicy: "no-referrer", credentials: "omit"});
    return response.status;
}"""


@pytest.fixture
def watched():
    return WatchedClusters("eu")


@pytest.fixture
def served(watched):
    with ServedApp(watched, host_names=lambda: ("listen.example", "Ops.example")) as running:
        yield running


def status(served, host, path="/", method="GET", **headers):
    url = f"http://127.0.0.1:{served.port}{path}"
    with requests.request(method, url, headers={"Host": host, **headers}, timeout=30, stream=True) as response:
        return response.status_code


def test_a_rebound_name_in_a_real_browser_reads_nothing_and_reloads_nothing(served, watched):
    rebound = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with chromium(rebound, "--no-proxy-server") as browser, browser.new_context() as context:
        page = context.new_page()
        opened = page.goto(f"http://evil.example:{served.port}/")
        disguise = {"User-Agent": "Prometheus", "Accept-Language": ""}
        requested = [("/-/reload", "POST"), *((path, "GET") for path in PATHS)]
        answers = [page.evaluate(READ, [path, method, disguise]) for path, method in requested]

        assert opened.status == 403
        assert "external_url" in opened.text()
        assert answers == [403] * 6
        assert watched.reloads == 0

        assert page.goto(served.url).status == 200
        assert page.evaluate(READ, ["/-/reload", "POST", {}]) == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "headers",
    [
        FIREFOX,
        {"Accept-Language": ""},
        {"Referer": "http://evil.example/"},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Cookie": "a=b"},
    ],
    ids="+".join,
)
def test_no_browser_reads_anything_under_an_unknown_name(served, path, headers):
    assert status(served, "evil.example:19595", path, **headers) == 403


@pytest.mark.parametrize("headers", [{}, FIREFOX, {"Origin": "http://evil.example:19595"}], ids=len)
def test_nobody_reloads_under_an_unknown_name(served, watched, headers):
    assert status(served, "evil.example:19595", "/-/reload", "POST", **headers) == 403
    assert watched.reloads == 0


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("host", ["monitor.prod.example:19595", "monitor.monitoring:19595", "evil.example", ""])
def test_programs_use_any_name(served, path, host):
    assert status(served, host, path) == 200


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:19595",
        "10.1.2.3",
        "[::1]:19595",
        "localhost",
        "LOCALHOST:19595",
        "pages.localhost:1",
        "milvus-import-monitor:19595",
        "milvus-import-monitor.monitoring.svc:19595",
        "milvus-import-monitor.monitoring.svc.cluster.local:19595",
        "monitor.local",
        "monitor.corp.internal",
        "listen.example:19595",
        "ops.example",
        "OPS.EXAMPLE.:443",
        socket.gethostname(),
    ],
)
def test_browsers_use_the_names_of_the_monitor(served, watched, host):
    assert status(served, host, **FIREFOX) == 200
    assert status(served, host, "/-/reload", "POST", **FIREFOX, Origin=f"http://{host}") == 200
    assert watched.reloads == 1


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:19595",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "ops.example.evil.example",
        "evilops.example",
        "evil.example#localhost",
        "localhost@evil.example",
        "evil.example/localhost",
        "evil.example:80:80",
        "[::1",
        "[::1].evil.example",
        "...",
        "evil.example,localhost",
        "local",
        "a" * 300 + ".local",
        "1.2.3.4.5",
        "-" * 10_000 + ".",
        "." * 10_000,
    ],
)
def test_what_is_no_name_of_the_monitor(host):
    names = HostNames(lambda: ("ops.example", ""))

    assert names.includes(host) is (host == "local")


def test_with_authentication_any_name_is_known(watched, tmp_path):
    (tmp_path / "web.yml").write_text(
        "basic_auth_users: {a: $2b$04$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy}"
    )
    text = "web_config: web.yml\nclusters: [{name: a, url: 'http://a'}]\n"
    web = parse(text, source="c", directory=Path(tmp_path), environ={}).web
    with ServedApp(watched, web) as served:
        assert status(served, "ops.example", **FIREFOX) == 401


def test_the_daemon_knows_the_name_of_external_url_and_follows_a_reload(tmp_path):
    cluster = "{name: a, url: 'http://127.0.0.1:9'}"
    config = write_config(tmp_path, cluster, external_url="https://ops.example:8443/imports/")
    with started("run", "-c", config) as daemon:
        name = {"Host": "ops.example:8443", **FIREFOX}
        other = {"Host": "new.example", **FIREFOX}
        before = [daemon.get("/", headers=headers).status_code for headers in (name, other)]
        link = 'href="/imports/metrics"' in daemon.get("/", headers=name).text
        write_config(tmp_path, cluster, external_url="https://new.example/")
        assert requests.post(f"{daemon.url}/-/reload", timeout=30).status_code == 200
        after = [daemon.get("/", headers=headers).status_code for headers in (name, other)]
        root = 'href="/metrics"' in daemon.get("/", headers=other).text

    assert (before, after) == ([200, 403], [403, 200])
    assert link
    assert root
