from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import pytest
import requests

from monitor.simulator import Lifecycle, SimulatedCluster, Trouble, World
from monitor.simulator.control import make
from monitor.simulator.troubles import TROUBLES
from tests.fakes.simulator import SimulatorServer, wait_for_requests

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
        return self.world.clusters[generation]

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
    served.world.clusters.clear()
    for generation in GENERATIONS:
        cluster = served.world.add_cluster(generation, generation=generation)
        cluster.add_job(Lifecycle.frozen("importing", 50), collection="events")
    return served


def ids(generation: str, body: Any) -> list[Any]:
    if generation == "milvus-2.3":
        return [task["id"] for task in body.get("tasks", [])]
    return [record["jobId"] for record in body["data"]["tasks" if generation == "v1" else "records"]]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_trouble_lasts_as_often_as_it_was_asked_for(api: Api, generation: str) -> None:
    cluster = api.cluster(generation)
    cluster.trouble(Trouble.http(429, retry_after=5), times=2)
    cluster.trouble(Trouble.http(503), times=1)

    answers = [api.list(generation) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 503, 200]
    assert answers[0].headers["retry-after"] == "5"


def test_a_trouble_can_concern_one_endpoint_and_ends_with_recover(api: Api) -> None:
    cluster = api.cluster("milvus")
    cluster.trouble(Trouble.http(500), endpoint="list")
    cluster.trouble(Trouble.http(403), endpoint="describe")
    assert (api.list("milvus").status_code, api.describe("milvus", "1").status_code) == (500, 403)

    cluster.recover()
    assert api.list("milvus").status_code == 200
    assert api.describe("milvus", "1").json()["code"] == 2100


def test_trouble_can_last_for_a_time() -> None:
    now = 1000.0
    cluster = World(clock=lambda: now).add_cluster("c")
    cluster.trouble(Trouble.hang(), seconds=10)

    now = 1009.9
    assert cluster.record_request("list") is not None
    now = 1010.1
    assert cluster.record_request("list") is None


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
    cluster.trouble(Trouble.code(1100, "bad", status=400), times=1)

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
                "error_code": 1,
                "reason": "service not ready[standalone=0]: Abnormal",
                "code": 1,
                "detail": "service not ready[standalone=0]: Abnormal",
            }
        }
    else:
        assert answer.json() == {"code": 1, "message": "service not ready[standalone=0]: Abnormal"}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_list_can_be_empty_and_wrong(api: Api, generation: str) -> None:
    cluster = api.cluster(generation)
    ((job, _),) = cluster.jobs()
    cluster.trouble(Trouble.false_empty())
    answer = api.list(generation)

    assert (answer.status_code, ids(generation, answer.json())) == (200, [])
    assert job.id in api.describe(generation, job.id).text


def test_a_hanging_request_is_taken_and_never_answered(api: Api) -> None:
    cluster = api.cluster("milvus")
    cluster.trouble(Trouble.hang(), endpoint="list")
    with api.raw() as connection:
        assert wait_for_requests(cluster, "list", 1)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
    assert api.describe("milvus", "1").json()["code"] == 2100


def test_a_slow_response_is_correct(api: Api) -> None:
    api.cluster("milvus").trouble(Trouble.slow(0.2), times=1)
    begin = time.monotonic()

    assert ids("milvus", api.list("milvus").json()) != []
    assert time.monotonic() - begin >= 0.2


def test_any_body_can_be_sent(api: Api) -> None:
    api.cluster("zilliz").trouble(Trouble.body('{"code":"200","data":[]}', status=202), times=1)
    api.cluster("zilliz").trouble(Trouble.body(b"\x00", content_type="image/png"), times=1)
    first, second = api.list("zilliz"), api.list("zilliz")

    assert (first.status_code, first.text) == (202, '{"code":"200","data":[]}')
    assert (second.content, second.headers["content-type"]) == (b"\x00", "image/png")


@pytest.mark.parametrize("kind", TROUBLES)
def test_every_trouble_can_be_made_by_name(kind: str) -> None:
    required: dict[str, dict[str, Any]] = {"http": {"status": 500}, "body": {"body": "x"}}

    assert make("trouble", TROUBLES, kind, required.get(kind, {})).kind == kind


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("rain", {}, "^no trouble named 'rain'; there are http, code"),
        ("http", {}, "^trouble 'http': missing a required argument: 'status'; parameters: status, retry_after=null"),
        ("hang", {"for": 3}, "^trouble 'hang': got an unexpected keyword argument 'for'; parameters: none$"),
    ],
)
def test_a_wrong_trouble_is_refused_with_what_there_is(kind: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("trouble", TROUBLES, kind, arguments)


def test_of_two_troubles_the_first_stays_until_it_ends_or_is_removed(api: Api) -> None:
    cluster = api.cluster("milvus")
    cluster.trouble(Trouble.http(503))
    cluster.trouble(Trouble.http(500))
    first = [api.list("milvus").status_code for _ in range(2)]
    cluster.recover()

    assert (first, api.list("milvus").status_code) == ([503, 503], 200)
