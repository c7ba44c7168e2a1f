"""The pages, the API and the stream behind a reverse proxy that serves them below a path."""

import re
import socket
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urldefrag, urljoin

import pytest
import requests

from monitor.web.base_path import BasePath
from tests.browser import chromium, opened
from tests.nginx import running_nginx
from tests.served_app import ServedApp, WatchedClusters, record

FROM_DOCS = re.search(
    r"```nginx\n(.*?)```", (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8"), re.DOTALL
)
STRIPS = "location /tools/imports/ { proxy_pass http://127.0.0.1:19595/; proxy_set_header Host $http_host; %s }"
SAYS_SO = STRIPS % "proxy_set_header X-Forwarded-Prefix /tools/imports;"
KEEPS = "location /tools/imports/ { proxy_pass http://127.0.0.1:19595; proxy_set_header Host $http_host; }"


class Links(HTMLParser):
    """Every address that a page refers to."""

    def __init__(self, text):
        super().__init__()
        self.found = set()
        self.feed(text)

    def handle_starttag(self, _tag, attrs):
        self.found |= {value for name, value in attrs if name in {"href", "src", "action"}}


def crawl(start):
    """Every address below a page, with its response."""
    seen, waiting = {}, [start]
    while waiting:
        url = waiting.pop()
        if url in seen:
            continue
        seen[url] = requests.get(url, timeout=30, allow_redirects=False)
        if seen[url].headers.get("Content-Type", "").startswith("text/html"):
            waiting += [urldefrag(urljoin(url, link)).url for link in Links(seen[url].text).found]
    return seen


@pytest.fixture
def watched():
    clusters = WatchedClusters("eu", "us")
    clusters.poll("eu")
    running = [record(str(number), "books", progress=0.1) for number in range(60)]
    clusters.poll("eu", record("x", "films", "Failed", reason="no such file"), *running)
    clusters.fail("us", "cannot connect")
    return clusters


@pytest.fixture
def served(watched):
    with ServedApp(watched) as running:
        yield running


def behind(served, folder, locations):
    return running_nginx(folder, locations.replace("127.0.0.1:19595", f"127.0.0.1:{served.port}"))


@pytest.mark.parametrize(
    ("locations", "external_path"),
    [
        (SAYS_SO, ""),
        (STRIPS % "", "/tools/imports"),
        (KEEPS, "/tools/imports"),
        (STRIPS % "proxy_set_header X-Forwarded-Prefix /wrong;", "/tools/imports"),
    ],
    ids=["header", "external_url", "prefix kept", "external_url decides"],
)
def test_every_link_works_below_the_prefix_of_a_proxy(served, watched, tmp_path, locations, external_path):
    with behind(served, tmp_path, locations) as url:
        watched.external_url = external_path and url + external_path
        base = f"{url}/tools/imports/"
        seen = crawl(base)
        problem = requests.get(f"{base}no/such/page", timeout=30)
        linked = {urljoin(problem.url, link) for link in Links(problem.text).found}

        assert {address: answer.status_code for address, answer in seen.items() if answer.status_code != 200} == {}
        assert all(address.startswith(base) for address in seen)
        assert len(seen) > 60
        for path in ("job?", "collection?", "?cluster=", "?state=", "static/page.js", "metrics", "-/healthy"):
            assert any(address.startswith(base + path) for address in seen), path
        assert any("running_page=2" in address for address in seen)
        assert problem.status_code == 404
        assert base in linked
        assert all(address.startswith(base) for address in linked if not address.endswith("#main"))


@pytest.mark.parametrize("external", [False, True])
def test_the_api_describes_where_it_is_served(served, watched, tmp_path, external):
    with behind(served, tmp_path, SAYS_SO) as url:
        watched.external_url = f"{url}/tools/imports" if external else ""
        described = f"{url}/tools/imports/api/v1/openapi.json"
        document = requests.get(described, timeout=30).json()
        (server,) = document["servers"]
        clusters = urljoin(described, server["url"] + "/api/v1/clusters")

        assert server["url"] == "/tools/imports"
        assert len(requests.get(clusters, timeout=30).json()["clusters"]) == 2


def test_a_browser_gets_a_live_page_below_the_prefix(served, watched, tmp_path):
    with chromium() as browser, behind(served, tmp_path, SAYS_SO) as url, opened(browser, url) as page:
        page.goto("/tools/imports/?cluster=eu")
        page.locator("#live.on").wait_for()
        watched.poll("eu", record("new", "songs", "Failed", reason="quota exceeded"))
        page.locator("#attention .reason", has_text="quota exceeded").wait_for()
        page.get_by_label("Search").fill("songs")
        page.get_by_role("button", name="Show").click()
        page.wait_for_url("**/tools/imports/?q=songs**")
        page.locator("#attention a[href$='id=new']").click()
        page.wait_for_url("**/tools/imports/job?**")


def test_the_example_in_the_docs_works(served, watched, tmp_path):
    with behind(served, tmp_path, FROM_DOCS[1]) as url:
        watched.external_url = f"{url}/imports"
        seen = crawl(f"{url}/imports/")
        with requests.get(f"{url}/imports/api/v1/stream", timeout=30, stream=True) as stream:
            first = next(stream.iter_lines())

    assert {answer.status_code for answer in seen.values()} == {200}
    assert len(seen) > 60
    assert first == b"event: hello"


def test_the_pages_work_without_the_proxy_too(served, watched):
    watched.external_url = "https://ops.example/tools/imports"

    assert {served.get(path).status_code for path in ("/", "/metrics", "/static/page.css")} == {200}
    assert {answer.status_code for answer in crawl(f"{served.url}/").values()} == {200}


@pytest.mark.parametrize("prefix", ["/api", "/static", "/-", "/job", "/metrics", "/api/v1"])
def test_a_prefix_that_is_a_path_of_ours_hides_nothing(served, watched, prefix):
    watched.external_url = f"https://ops.example{prefix}"

    for path in ("/", "/metrics", "/static/page.css", "/-/healthy", "/api/v1/clusters"):
        assert served.get(path).status_code == 200


@pytest.mark.parametrize(
    "prefix",
    [
        '/"><script>alert(1)</script>',
        "/a'b",
        "//evil.example",
        "/a//evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\\evil.example",
        "/..",
        "/a/../b",
        "/.",
        "/a b",
        "/a?b",
        "/a#b",
        "/a%2f",
        "/a, /b",
        "/\u00e4".encode().decode("latin-1"),
        "imports",
        "/" + "a" * 256,
        "/a" * 10_000,
        "/" * 10_000,
    ],
)
def test_a_prefix_that_is_no_plain_path_is_ignored(served, prefix):
    answer = served.get("/", headers={"X-Forwarded-Prefix": prefix.encode("latin-1")})

    assert answer.status_code == 200
    assert answer.text == served.get("/").text


def test_a_prefix_that_is_sent_twice_is_ignored(served):
    request = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%bX-Forwarded-Prefix: /b\r\n\r\n"
    answers = []
    for first in (b"", b"X-Forwarded-Prefix: /a\r\n"):
        with socket.create_connection(("127.0.0.1", served.port), 30) as connection:
            connection.sendall(request % first)
            answers.append(connection.makefile("rb").read())

    assert b'href="/b/metrics"' in answers[0]
    assert b'href="/metrics"' in answers[1]


@pytest.mark.parametrize(
    ("address", "base"),
    [
        ("127.0.0.1", "/imports/"),
        ("::1", "/imports/"),
        ("10.1.2.3", "/imports/"),
        ("172.17.0.1", "/imports/"),
        ("192.168.1.1", "/imports/"),
        ("fd00::1", "/imports/"),
        ("fe80::1%eth0", "/imports/"),
        ("::ffff:10.0.0.1", "/imports/"),
        ("8.8.8.8", "/"),
        ("::ffff:8.8.8.8", "/"),
        ("2a00:1450::1", "/"),
        ("", "/"),
    ],
)
def test_only_a_proxy_at_an_internal_address_sets_the_prefix(address, base):
    seen = []

    async def app(scope, _receive, _send):
        seen.append(scope["state"]["base"])

    headers = [(b"x-forwarded-prefix", b"/imports/")]
    scope = {"type": "http", "path": "/", "headers": headers, "client": (address, 1) if address else None}
    with pytest.raises(StopIteration):
        BasePath(app, lambda: "")(scope, None, None).send(None)

    assert seen == [base]
