from __future__ import annotations

import contextlib
import gzip
import json
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests

from monitor.simulator import Life, SimulatedCluster, SimulatorServer, Trouble, World
from monitor.simulator.lies import HOSTILE
from monitor.simulator.trouble import TROUBLES

if TYPE_CHECKING:
    from collections.abc import Iterator

GENERATIONS = ("zilliz", "milvus", "v1", "milvus-2.3")
PATHS = {
    "zilliz": "/v2/vectordb/jobs/import/",
    "milvus": "/clusters/milvus/v2/vectordb/jobs/import/",
    "v1": "/v1/vector/collections/import/",
    "milvus-2.3": "/clusters/milvus-2.3/api/v1/import/",
}


class Api(NamedTuple):
    world: World
    server: SimulatorServer

    def cluster(self, generation: str) -> SimulatedCluster:
        return self.world.cluster(generation)

    def list(self, generation: str, **given: Any) -> requests.Response:
        return self._ask(generation, "tasks" if generation == "milvus-2.3" else "list", {}, **given)

    def describe(self, generation: str, job_id: str, **given: Any) -> requests.Response:
        endpoint = {"v1": "get", "milvus-2.3": "state"}.get(generation, "describe")
        return self._ask(generation, endpoint, {"jobId": job_id, "task": job_id}, **given)

    def _ask(self, generation: str, endpoint: str, fields: dict[str, Any], **given: Any) -> requests.Response:
        url, fields = f"{self.server.url}{PATHS[generation]}{endpoint}", {"clusterId": generation, **fields}
        given.setdefault("timeout", 5)
        if generation == "v1":
            return requests.get(url, params=fields, **given)
        if generation == "milvus-2.3":
            return requests.get(url, json=fields, **given)
        return requests.post(url, json=fields, **given)

    def raw(self) -> socket.socket:
        """Returns a connection on which the list of the Milvus cluster was asked for."""
        where = urlsplit(self.server.url)
        connection = socket.create_connection((where.hostname, where.port), timeout=5)
        head = f"POST {PATHS['milvus']}list HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n"
        connection.sendall(head.encode() + b"{}")
        return connection


@pytest.fixture(scope="module")
def served() -> Iterator[Api]:
    world = World()
    with SimulatorServer(world) as server:
        yield Api(world, server)


@pytest.fixture
def api(served: Api) -> Api:
    served.world.recover()
    served.world.clusters.clear()
    for generation in GENERATIONS:
        cluster = served.world.add_cluster(generation, generation=generation)  # type: ignore[arg-type]
        cluster.add_job(Life.frozen("importing", 50), collection="events")
    return served


def ids(generation: str, body: Any) -> list[Any]:
    if generation == "milvus-2.3":
        return [task["id"] for task in body.get("tasks", [])]
    return [record["jobId"] for record in body["data"]["tasks" if generation == "v1" else "records"]]


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(1 << 16):
        data += part
    return data


@pytest.mark.parametrize("generation", GENERATIONS)
def test_trouble_lasts_as_often_as_it_was_asked_for(api: Api, generation: str) -> None:
    cluster = api.cluster(generation)
    cluster.trouble(Trouble.http(429, retry_after=5), times=2)
    cluster.trouble(Trouble.http(503), times=1)

    answers = [api.list(generation) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 503, 200]
    assert answers[0].headers["retry-after"] == "5"


def test_trouble_can_be_of_one_endpoint_and_ends_with_recover(api: Api) -> None:
    cluster = api.cluster("milvus")
    cluster.trouble(Trouble.http(500), endpoint="list")
    cluster.trouble(Trouble.http(403), endpoint="describe")
    assert (api.list("milvus").status_code, api.describe("milvus", "1").status_code) == (500, 403)

    cluster.recover("list")
    assert (api.list("milvus").status_code, api.describe("milvus", "1").status_code) == (200, 403)
    cluster.recover()
    assert api.describe("milvus", "1").json()["code"] == 2100


def test_trouble_can_last_for_a_time() -> None:
    now = 1000.0
    world = World(clock=lambda: now)
    cluster = world.add_cluster("c")
    cluster.trouble(Trouble.hang(), seconds=10)

    assert cluster.script.next("list", 1009.9) is not None
    assert cluster.script.next("list", 1010.1) is None
    assert not cluster.script


def test_the_trouble_of_one_cluster_is_not_that_of_another(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.http(500))

    assert api.list("milvus").status_code == 500
    assert api.list("zilliz").status_code == 200


@pytest.mark.parametrize(
    ("status", "zilliz", "milvus"),
    [(401, 80001, 1800), (403, 65535, 65535), (408, 10001, 10001), (429, 429, 429), (500, 500, 500)],
)
def test_a_status_comes_with_the_body_of_its_server(api: Api, status: int, zilliz: int, milvus: int) -> None:
    for generation, code in (("zilliz", zilliz), ("milvus", milvus)):
        api.cluster(generation).trouble(Trouble.http(status))
        answer = api.list(generation)
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_other_statuses_come_from_a_proxy_or_as_told(api: Api) -> None:
    cluster = api.cluster("milvus")
    cluster.trouble(Trouble.http(503), times=1)
    cluster.trouble(Trouble.http(404), times=1)
    cluster.trouble(Trouble.http(400, code=1100, message="bad"), times=1)

    assert api.list("milvus").text.startswith("upstream connect error")
    assert api.list("milvus").text == "404 page not found"
    assert api.list("milvus").json() == {"code": 1100, "message": "bad"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_error_can_hide_in_a_200(api: Api, generation: str) -> None:
    api.cluster(generation).trouble(Trouble.code(1, "service not ready[standalone=0]: Abnormal"))
    answer = api.list(generation)

    assert answer.status_code == 200
    if generation == "milvus-2.3":
        assert answer.json() == {
            "status": {
                "error_code": 56,
                "reason": "service not ready[standalone=0]: Abnormal",
                "code": 1,
                "retriable": True,
                "detail": "service not ready[standalone=0]: Abnormal",
            }
        }
    else:
        assert answer.json() == {"code": 1, "message": "service not ready[standalone=0]: Abnormal"}


def test_a_describe_error_leaves_the_list_alone(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.describe_error())

    assert api.list("milvus").json()["code"] == 0
    assert api.describe("milvus", "1").json()["code"] == 2


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_list_can_be_empty_and_wrong(api: Api, generation: str) -> None:
    cluster = api.cluster(generation)
    ((job, _),) = cluster.listing(cluster.now()).rows
    cluster.trouble(Trouble.false_empty())
    answer = api.list(generation)

    assert (answer.status_code, ids(generation, answer.json())) == (200, [])
    assert job.id in api.describe(generation, job.id).text


def test_a_hanging_request_is_taken_and_never_answered(api: Api) -> None:
    cluster = api.cluster("milvus")
    cluster.trouble(Trouble.hang(), endpoint="list")
    with api.raw() as connection:
        assert cluster.wait_for_requests("list", 1)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert api.describe("milvus", "1").json()["code"] == 2100


def test_a_slow_answer_comes_byte_by_byte(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.slow_drip(0.001), times=1)
    with api.raw() as connection:
        head, _, body = read_all(connection).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(body)["code"] == 0


def test_even_the_headers_can_drip(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.slow_drip(0.05, headers=True), times=1)
    begin = time.monotonic()
    with api.raw() as connection:
        assert [connection.recv(100) for _ in range(4)] == [b"H", b"T", b"T", b"P"]
    assert time.monotonic() - begin >= 0.1


def test_a_connection_can_be_reset_in_mid_body(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.reset(), times=1)
    with api.raw() as connection:
        data = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(1 << 16):
                data += part
            pytest.fail("the connection was closed, not reset")

    head, _, body = data.partition(b"\r\n\r\n")
    promised = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(body) == promised // 2


@pytest.mark.parametrize("promise", [False, True])
def test_json_can_end_too_early(api: Api, promise: bool) -> None:
    api.cluster("milvus").trouble(Trouble.truncated(promise=promise), times=1)
    if promise:
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
            api.list("milvus")
    else:
        answer = api.list("milvus")
        assert answer.status_code == 200
        with pytest.raises(ValueError, match=r"JSON|Expecting|Unterminated"):
            answer.json()


def test_a_web_page_with_status_200(api: Api) -> None:
    api.cluster("zilliz").trouble(Trouble.html())
    answer = api.list("zilliz")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<form" in answer.text


@pytest.mark.parametrize("generation", GENERATIONS)
def test_records_of_wrong_types_come_beside_good_ones(api: Api, generation: str) -> None:
    api.cluster(generation).trouble(Trouble.wrong_types())
    body = api.list(generation).json()
    records = body["tasks"] if generation == "milvus-2.3" else next(v for v in body["data"].values() if type(v) is list)

    assert len(records) == 8
    assert "events" in json.dumps(records[-1])
    assert api.describe(generation, "1").json() != {}


@pytest.mark.parametrize("generation", ["milvus", "milvus-2.3"])
def test_more_can_be_of_the_wrong_type(api: Api, generation: str) -> None:
    told = []
    for where in ("top", "data", "code"):
        api.cluster(generation).trouble(Trouble.wrong_types(where), times=1)
        told.append(api.list(generation).json())

    assert told == [
        [1, 2, 3],
        {"code": 0, "data": "none"} if generation == "milvus" else {"status": {}, "tasks": "none"},
        {"code": [0], "data": {"records": []}} if generation == "milvus" else {"status": "fine", "tasks": []},
    ]


@pytest.mark.parametrize("announced", [True, False])
def test_a_huge_body_is_made_while_it_is_sent(api: Api, announced: bool) -> None:
    api.cluster("milvus").trouble(Trouble.huge(30_000_000, announced=announced), times=1)
    answer = api.list("milvus", stream=True)
    assert ("content-length" in answer.headers) == announced

    assert sum(len(part) for part in answer.iter_content(1 << 20)) == 30_000_000


def test_who_leaves_a_gigabyte_half_way_does_no_harm(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.huge(1 << 30), times=1)
    with api.raw() as connection:
        assert len(connection.recv(1 << 16)) > 0

    assert api.list("milvus").json()["code"] == 0


def test_a_gzip_bomb_unpacks_to_a_thousand_times_its_size(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.gzip_bomb(50_000_001), times=1)
    answer = api.list("milvus", stream=True)
    packed = answer.raw.read(decode_content=False)
    body = gzip.decompress(packed)

    assert answer.headers["content-encoding"] == "gzip"
    assert len(packed) < 100_000
    assert len(body) == 50_000_001
    assert json.loads(body)["code"] == 0


@pytest.mark.parametrize("generation", GENERATIONS)
def test_every_page_can_bring_new_jobs(api: Api, generation: str) -> None:
    api.cluster(generation).trouble(Trouble.endless_pages())
    pages = [ids(generation, api.list(generation).json()) for _ in range(5)]

    assert len({job_id for page in pages for job_id in page}) == sum(len(page) for page in pages) >= 50


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_list_can_have_very_many_jobs(api: Api, generation: str) -> None:
    api.cluster(generation).trouble(Trouble.million_jobs(12_345), times=1)
    body = api.list(generation).json()

    assert len(set(ids(generation, body))) == 12_345


@pytest.mark.parametrize("generation", ["milvus", "milvus-2.3"])
def test_progress_can_be_told_too_low(api: Api, generation: str) -> None:
    cluster = api.cluster(generation)
    ((job, _),) = cluster.listing(cluster.now()).rows
    cluster.trouble(Trouble.progress_back(by=80), times=2)

    assert "-30" in api.list(generation).text
    assert "-30" in api.describe(generation, job.id).text
    assert "-30" not in api.list(generation).text
    cluster.trouble(Trouble.progress_back())
    job.set(state="completed")
    assert "100" in api.list(generation).text


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_id_can_be_a_megabyte_long(api: Api, generation: str) -> None:
    api.cluster(generation).trouble(Trouble.long_id())
    found = ids(generation, api.list(generation).json())

    assert sorted(len(str(job_id)) > 1_000_000 for job_id in found) == [False, True]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_names_can_hold_what_breaks_logs_and_metrics(api: Api, generation: str) -> None:
    api.cluster(generation).trouble(Trouble.control_characters())
    body = json.dumps(api.list(generation).json())

    assert all(json.dumps(text)[1:-1] in body for text in HOSTILE)
    assert "events" in body


def test_a_redirect_to_another_host(api: Api) -> None:
    api.cluster("zilliz").trouble(Trouble.redirect("http://evil.example/steal"))
    answer = api.list("zilliz", allow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (302, "http://evil.example/steal")


def test_the_true_answer_under_another_content_type(api: Api) -> None:
    api.cluster("zilliz").trouble(Trouble.content_type("text/plain; charset=latin-1"))
    answer = api.list("zilliz")

    assert answer.headers["content-type"] == "text/plain; charset=latin-1"
    assert answer.json()["code"] == 0


@pytest.mark.parametrize("generation", GENERATIONS)
def test_an_answer_that_is_no_utf_8(api: Api, generation: str) -> None:
    api.cluster(generation).trouble(Trouble.not_utf8())

    with pytest.raises(UnicodeDecodeError):
        api.list(generation).content.decode()


def test_any_body_at_all(api: Api) -> None:
    api.cluster("zilliz").trouble(Trouble.body('{"code":"200","data":[]}', status=202), times=1)
    api.cluster("zilliz").trouble(Trouble.body(b"\x00", content_type="image/png"), times=1)
    first, second = api.list("zilliz"), api.list("zilliz")

    assert (first.status_code, first.text) == (202, '{"code":"200","data":[]}')
    assert (second.content, second.headers["content-type"]) == (b"\x00", "image/png")


def test_the_control_plane_has_troubles_of_its_own(api: Api) -> None:
    url = f"{api.server.url}/v2/clusters"
    api.world.trouble(Trouble.http(503), endpoint="clusters", times=1)
    for trouble in (
        Trouble.endless_pages(),
        Trouble.false_empty(),
        Trouble.progress_back(),
        Trouble.million_jobs(),
        Trouble.long_id(),
        Trouble.control_characters(),
    ):
        api.world.trouble(trouble, endpoint="clusters", times=1)

    assert [requests.get(url, timeout=5).status_code for _ in range(8)] == [503] + [200] * 7
    api.world.trouble(Trouble.wrong_types())
    assert requests.get(url, timeout=5).json()["data"] != []


@pytest.mark.parametrize("kind", TROUBLES)
def test_every_trouble_can_be_asked_for_by_name(kind: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "http": {"status": 500},
        "redirect": {"location": "http://x"},
        "body": {"body": "x"},
    }

    assert Trouble.of(kind, needed.get(kind, {})).kind in {kind, "code"}
    with pytest.raises(ValueError, match=f"trouble '{kind}' .*takes no 'nonsense'; it takes "):
        Trouble.of(kind, {"nonsense": 1})


def test_an_unknown_trouble_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match="no trouble named 'rain'; there are http, code"):
        Trouble.of("rain")


def test_a_trouble_says_in_words_which_argument_is_missing() -> None:
    with pytest.raises(ValueError, match=r"^trouble 'redirect' needs location; it takes location, status=302$"):
        Trouble.of("redirect")
    with pytest.raises(ValueError, match=r"^trouble 'hang' takes no 'for'; it takes nothing$"):
        Trouble.of("hang", {"for": 3})


def test_of_two_troubles_the_first_stays_until_it_is_through_or_dropped(api: Api) -> None:
    cluster = api.cluster("milvus")
    cluster.trouble(Trouble.http(503))
    cluster.trouble(Trouble.http(500))
    first = [api.list("milvus").status_code for _ in range(2)]
    cluster.recover()

    assert (first, api.list("milvus").status_code) == ([503, 503], 200)
