"""The account API of a key, as the simulator, the documentation and broken servers answer."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pydantic import SecretStr

from monitor.client import ApiError, ErrorKind, Network
from monitor.client.account import RECORD_LIMIT, Account, AccountApi, CloudCluster, Project
from monitor.client.import_api import PAGE_LIMIT
from monitor.client.session import ATTEMPTS
from monitor.simulator import Trouble, World
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer
from tests.recorder import Answer, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "key-0123456789abcdef"


class Simulated(NamedTuple):
    world: World
    url: str


@pytest.fixture
def simulated() -> Iterator[Simulated]:
    world = World()
    with SimulatorServer(world) as server:
        yield Simulated(world, server.url)


def ask(url: str, call: Callable[[AccountApi], Any], **settings: Any) -> Any:
    """What a call returns on connections of its own; a failed request is sent again at once."""
    account = Account(**{"url": url, "api_key": SecretStr(KEY), "timeout": 5.0, "requests_per_second": 1e4} | settings)
    with closing(Network(backoff=0.0)) as network:
        return call(AccountApi(account, network))


def list_clusters(url: str, **settings: Any) -> tuple[CloudCluster, ...]:
    clusters: tuple[CloudCluster, ...] = ask(url, AccountApi.list_clusters, **settings)
    return clusters


def refused(url: str, call: Callable[[AccountApi], Any] = AccountApi.list_clusters, **settings: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        ask(url, call, **settings)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
    return caught.value


def page(*ids: Any, **paging: Any) -> dict[str, Any]:
    return {"code": 0, "data": {**paging, "clusters": [{"clusterId": cluster_id} for cluster_id in ids]}}


def ids(clusters: tuple[CloudCluster, ...]) -> list[str]:
    return [cluster.id for cluster in clusters]


def test_a_list_of_250_clusters_is_three_pages_with_the_key_and_nothing_else(simulated: Simulated) -> None:
    for number in range(250):
        simulated.world.add_cluster(f"in01-{number:03}", api_key=KEY)
    simulated.world.add_cluster("in01-other", api_key="other")

    assert ids(list_clusters(simulated.url)) == [f"in01-{number:03}" for number in range(250)]
    assert simulated.world.account.requests == {"clusters": 3}


def test_the_requests_are_those_of_the_documentation() -> None:
    with Recorder({"code": 0, "data": []}) as server:
        for call in (AccountApi.list_clusters, AccountApi.list_projects, AccountApi.list_regions):
            assert ask(server.url, call) == ()
        assert ask(server.url, lambda api: api.list_on_demand_clusters("proj-a b", "aws-us-east-1")) == ()

    assert [request.target for request in server.requests] == [
        "GET /v2/clusters?pageSize=100&currentPage=1",
        "GET /v2/projects",
        "GET /v2/regions",
        "GET /v2/clusters/onDemandClusters?projectId=proj-a+b&regionId=aws-us-east-1",
    ]
    assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}".encode()}


def test_a_cluster_has_its_name_project_region_plan_and_status(simulated: Simulated) -> None:
    cluster = simulated.world.add_cluster("in01-a", name="search", region_id="gcp-us-west1", plan="Enterprise")
    simulated.world.change_cluster("in01-a", status="SUSPENDED")

    (found,) = list_clusters(simulated.url)

    assert found == CloudCluster("in01-a", "search", cluster.project_id, "gcp-us-west1", "Enterprise", "SUSPENDED")


def test_projects_regions_and_on_demand_clusters(simulated: Simulated) -> None:
    cluster = simulated.world.add_cluster("in07-a", project="lake", on_demand=True)
    project = Project(cluster.project_id, "lake", "Standard", ("aws-us-west-2",))

    assert ask(simulated.url, AccountApi.list_projects) == (project,)
    assert "aws-eu-central-1" in ask(simulated.url, AccountApi.list_regions)
    (found,) = ask(simulated.url, lambda api: api.list_on_demand_clusters(cluster.project_id, "aws-us-west-2"))
    assert found.id == "in07-a"
    assert list_clusters(simulated.url) == ()


@pytest.mark.parametrize(
    ("answers", "expected", "requests"),
    [
        ([{"code": 0, "data": [{"clusterId": "a"}, {"clusterId": "b"}]}], "ab", 1),
        ([page("a", pageSize=1, currentPage=1), page("b", pageSize=1), page(pageSize=1)], "ab", 3),
        ([page("a", "b", pageSize="2"), page("b", "c", pageSize="2"), page(pageSize="2")], "abc", 3),
        ([page("a", "b", pageSize=2), page("a", "b", pageSize=2)], "ab", 2),
        ([page("a", "b", count=3), page("c", count=3)], "abc", 2),
        ([page("a", "b", count=9), page(count=9)], "ab", 2),
        ([page("a", count=1, pageSize=100)], "a", 1),
        ([{"code": "200", "data": {"count": 0}}], "", 1),
        ([{"code": 0, "data": {"count": "0", "clusters": None}}], "", 1),
    ],
    ids=[
        *("an_array", "full_pages", "an_id_twice", "the_same_page_for_ever", "count_is_a_total"),
        *("count_is_wrong", "count_is_that_of_the_page", "no_clusters", "null"),
    ],
)
def test_the_end_of_the_list(answers: list[Any], expected: str, requests: int) -> None:
    with Recorder(*answers) as server:
        assert "".join(ids(list_clusters(server.url))) == expected
        assert len(server.requests) == requests


def test_a_full_array_without_paging_fields_is_not_taken_for_the_whole_list() -> None:
    pages = [[{"clusterId": f"{number}"} for number in numbers] for numbers in (range(100), range(100, 130))]
    with Recorder(*({"code": 0, "data": listed} for listed in pages)) as server:
        assert len(list_clusters(server.url)) == 130


def test_of_an_id_that_comes_twice_the_later_record_counts() -> None:
    records = [{"clusterId": "a", "status": status} for status in ("RUNNING", "SUSPENDED")]
    with Recorder({"code": 0, "data": {"clusters": records}}) as server:
        assert list_clusters(server.url) == (CloudCluster("a", status="SUSPENDED"),)


def test_fields_of_odd_types_are_empty() -> None:
    record = {"clusterId": "a", "clusterName": 7, "projectId": [], "regionId": None, "plan": {}, "status": 3}
    with Recorder({"code": 0, "data": [record]}) as server:
        assert list_clusters(server.url) == (CloudCluster("a", status="3"),)


def test_names_are_bounded_and_printable() -> None:
    with Recorder({"code": 0, "data": [{"clusterId": "a", "clusterName": "\x1b[2K\n" + "n" * 9999}]}) as server:
        (cluster,) = list_clusters(server.url)
    assert cluster.name.isprintable()
    assert len(cluster.name) <= 256


@pytest.mark.parametrize("record", [{}, {"clusterId": ""}, {"clusterId": 5}, {"clusterId": "é"}, {"clusterId": "a b"}])
def test_a_record_without_a_usable_id_makes_the_list_an_error(record: Any) -> None:
    with Recorder({"code": 0, "data": [{"clusterId": "a"}, record]}) as server:
        error = refused(server.url)
    assert error.kind is ErrorKind.BAD_RESPONSE
    assert "the list is not complete: 1 of 2 clusters cannot be read" in str(error)


@pytest.mark.parametrize("record", [None, "text", {"projectName": "x"}, {"projectId": "p", "regionIds": "x"}])
def test_a_project_that_cannot_be_read_makes_the_list_an_error(record: Any) -> None:
    with Recorder({"code": 0, "data": [{"projectId": "a"}, record]}) as server:
        assert "1 of 2 projects cannot be read" in str(refused(server.url, AccountApi.list_projects))


@pytest.mark.parametrize(
    ("trouble", "kind", "message", "requests"),
    [
        (Trouble.http(401), ErrorKind.UNAUTHORIZED, "The token is illegal (HTTP 401, code 80001)", 1),
        (Trouble.code(21119, "The apikey is illegal."), ErrorKind.UNAUTHORIZED, "illegal. (code 21119)", 1),
        (Trouble.http(404), ErrorKind.NOT_FOUND, "there is no account API at this address", 1),
        (Trouble.http(429), ErrorKind.THROTTLED, "Too many requests", ATTEMPTS),
        (Trouble.http(503), ErrorKind.TRANSIENT, "HTTP 503", ATTEMPTS),
        (Trouble.partial(page=1), ErrorKind.TRANSIENT, "HTTP 503", ATTEMPTS),
        (hostile.reset(), ErrorKind.CONNECTION, "", ATTEMPTS),
        (hostile.html(), ErrorKind.BAD_RESPONSE, "is not JSON", 1),
        (hostile.truncated(), ErrorKind.BAD_RESPONSE, "is not JSON", 1),
        (hostile.huge(), ErrorKind.BAD_RESPONSE, "larger than 16 MiB", 1),
        (hostile.huge(announced=False), ErrorKind.BAD_RESPONSE, "larger than 16 MiB", 1),
        (hostile.gzip_bomb(), ErrorKind.BAD_RESPONSE, "larger than 16 MiB", 1),
        (Trouble.body(b"[" * 200_000), ErrorKind.BAD_RESPONSE, "is not JSON", 1),
        (Trouble.body("[]"), ErrorKind.BAD_RESPONSE, "is this the address of the account API of Zilliz Cloud?", 1),
        (Trouble.body("{}"), ErrorKind.BAD_RESPONSE, "is this the address of the account API of Zilliz Cloud?", 1),
        (Trouble.body('{"code":0}'), ErrorKind.BAD_RESPONSE, "no list of clusters in its data", 1),
        (Trouble.body('{"code":0,"data":{}}'), ErrorKind.BAD_RESPONSE, "no list of clusters in its data", 1),
        (Trouble.body('{"code":0,"data":{"clusters":{}}}'), ErrorKind.BAD_RESPONSE, "no list of clusters", 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Trouble) else None,
)
def test_a_trouble_is_an_error_of_its_kind(
    simulated: Simulated, trouble: Trouble, kind: ErrorKind, message: str, requests: int
) -> None:
    simulated.world.add_cluster("in01-a")
    simulated.world.account.trouble(trouble)

    error = refused(simulated.url, timeout=60.0)  # the simulator takes its time to make a gigabyte

    assert (error.kind, message in str(error)) == (kind, True), str(error)
    assert simulated.world.account.requests["clusters"] == requests


@pytest.mark.parametrize("trouble", [Trouble.hang(), hostile.drip()], ids=lambda trouble: trouble.kind)
def test_an_answer_that_does_not_come_is_a_timeout(simulated: Simulated, trouble: Trouble) -> None:
    simulated.world.account.trouble(trouble)
    assert refused(simulated.url, timeout=0.3).kind is ErrorKind.TIMEOUT


def test_a_refusal_that_repeats_the_key_does_not_show_it() -> None:
    with Recorder(Answer({"code": 80001, "message": f"bad key {KEY}"}, status=401)) as server:
        error = refused(server.url)
    assert "bad key ********" in str(error)


def test_a_temporary_error_is_waited_out(simulated: Simulated) -> None:
    simulated.world.add_cluster("in01-a")
    simulated.world.account.trouble(Trouble.http(503), times=ATTEMPTS - 1)

    assert ids(list_clusters(simulated.url)) == ["in01-a"]


def test_a_list_that_never_ends_is_an_error_within_bounds() -> None:
    def full(numbers: range) -> Answer:
        return Answer(json.dumps({"code": 0, "data": [{"clusterId": f"{number}"} for number in numbers]}).encode())

    pages = [full(range(start, start + 100)) for start in range(0, 2 * RECORD_LIMIT, 100)]
    with Recorder(*pages) as server:
        assert f"more than {RECORD_LIMIT} clusters" in str(refused(server.url, timeout=30.0))
        assert len(server.requests) == RECORD_LIMIT / 100 + 1


def test_pages_of_one_cluster_are_an_error_within_bounds() -> None:
    with Recorder(*(page(f"{number}", pageSize=1) for number in range(PAGE_LIMIT + 1))) as server:
        assert f"more than {PAGE_LIMIT} pages" in str(refused(server.url, timeout=30.0))
        assert len(server.requests) == PAGE_LIMIT


def test_a_list_of_too_many_records_is_an_error() -> None:
    with Recorder({"code": 0, "data": [{}] * (RECORD_LIMIT + 1)}) as server:
        assert "more than 20000 projects" in str(refused(server.url, AccountApi.list_projects))


def test_each_endpoint_has_a_rate_of_its_own() -> None:
    with Recorder({"code": 0, "data": []}) as server, closing(Network()) as network:
        account = Account(url=server.url, api_key=SecretStr(KEY), timeout=1.0, requests_per_second=0.1)
        api = AccountApi(account, network)
        for call in (api.list_clusters, api.list_projects, api.list_regions):
            assert call() == ()
        with pytest.raises(ApiError, match="our own limit of 0"):
            api.list_clusters()
    assert api.session.usage.requests == {"clusters": 1, "projects": 1, "regions": 1}
