"""The account API of the simulator, and what can be scripted about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from monitor.simulator import Lifecycle, World
from tests.fakes.simulator import SimulatorServer

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = {"Authorization": "Bearer key"}


@dataclass
class Api:
    world: World
    url: str
    now: float = 1_795_000_000.0

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers or KEY, timeout=5)

    def listed(self, path: str = "/v2/clusters") -> list[str]:
        return [cluster["clusterId"] for cluster in self.get(path).json()["data"]["clusters"]]

    def control(self, method: str, path: str, body: Any = None) -> requests.Response:
        return requests.request(method, f"{self.url}/simulator{path}", json=body, timeout=5)


@pytest.fixture
def api() -> Iterator[Api]:
    world = World(clock=lambda: api.now)
    with SimulatorServer(world) as server:
        api = Api(world, server.url)
        yield api


def test_clusters_come_in_pages_in_the_fields_of_the_documentation(api: Api) -> None:
    for number in range(5):
        api.world.add_cluster(f"in01-{number}", name=f"search-{number}", project="search", role="SECONDARY")
    for generation in ("milvus", "milvus-2.3", "v1"):
        api.world.add_cluster(generation, generation=generation)

    page = api.get("/v2/clusters?pageSize=2&currentPage=3").json()["data"]

    assert (page["count"], page["currentPage"], page["pageSize"]) == (5, 3, 2)
    (last,) = page["clusters"]
    assert last.pop("createTime").startswith("2026-")
    assert last == {
        "clusterId": "in01-4",
        "clusterName": "search-4",
        "description": "",
        "regionId": "aws-us-west-2",
        "plan": "Standard",
        "cuType": "Performance-optimized",
        "cuSize": 1,
        "status": "RUNNING",
        "connectAddress": f"{api.url}/clusters/in01-4",
        "privateLinkAddress": "",
        "projectId": api.world.clusters["in01-4"].project_id,
        "globalClusterMeta": {"role": "SECONDARY"},
    }
    assert api.get("/v2/clusters?pageSize=1000").json()["code"] == 96008


def test_projects_have_the_regions_of_their_clusters(api: Api) -> None:
    api.world.add_cluster("in01-a", project="search")
    api.world.add_cluster("in01-b", project="search", region_id="gcp-us-west1")
    api.world.add_cluster("in01-c", project="ads", plan="Enterprise")

    projects = {project["projectName"]: project for project in api.get("/v2/projects").json()["data"]}

    assert projects["search"]["regionIds"] == ["aws-us-west-2", "gcp-us-west1"]
    assert [(name, project["instanceCount"]) for name, project in projects.items()] == [("search", 2), ("ads", 1)]
    assert projects["ads"]["plan"] == "Enterprise"


def test_regions_can_be_those_of_one_provider(api: Api) -> None:
    regions = api.get("/v2/regions").json()["data"]

    assert {"cloudId": "azure", "regionId": "az-eastus", "domain": api.url.removeprefix("http://")} in regions
    assert [r["regionId"] for r in api.get("/v2/regions?cloudId=gcp").json()["data"]] == ["gcp-us-west1"]


def test_on_demand_clusters_are_listed_by_project_and_region_and_so_are_their_jobs(api: Api) -> None:
    cluster = api.world.add_cluster("in07-a", project="lake", region_id="aws-us-east-1", on_demand=True)
    job = cluster.add_job(Lifecycle.frozen())
    api.world.add_cluster("in01-a", project="lake", region_id="aws-us-east-1")
    pair = {"projectId": cluster.project_id, "regionId": "aws-us-east-1"}
    path = f"/v2/clusters/onDemandClusters?projectId={cluster.project_id}&regionId="

    found = api.get(f"{path}aws-us-east-1").json()["data"]

    assert (found["count"], [each["clusterId"] for each in found["onDemandClusters"]]) == (1, ["in07-a"])
    assert api.get(f"{path}aws-us-west-2").json()["data"] == {"count": 0, "onDemandClusters": []}
    assert api.get("/v2/clusters/onDemandClusters").json()["code"] == 80000
    assert api.listed() == ["in01-a"]
    jobs = requests.post(f"{api.url}/v2/vectordb/jobs/import/list", json=pair, headers=KEY, timeout=5).json()
    assert [record["jobId"] for record in jobs["data"]["records"]] == [job.id]


@pytest.mark.parametrize("path", ["/v2/clusters", "/v2/projects", "/v2/regions"])
def test_a_key_is_needed_and_has_to_be_valid_for_a_cluster(api: Api, path: str) -> None:
    api.world.add_cluster("in01-a", api_key="key")

    assert api.get(path).status_code == 200
    assert api.get(path, Authorization="Bearer another").json()["code"] == 80001
    assert api.get(path, Accept="application/json").status_code == 401


def test_databases_are_listed_at_the_address_of_a_cluster(api: Api) -> None:
    api.world.add_cluster("in01-a").add_job(database="tenant")
    (cluster,) = api.get("/v2/clusters").json()["data"]["clusters"]

    answer = requests.post(
        f"{cluster['connectAddress']}/v2/vectordb/databases/list", json={}, headers=KEY, timeout=5
    ).json()

    assert answer == {"code": 0, "data": ["default", "tenant"]}


def test_clusters_are_added_renamed_suspended_and_deleted_over_http(api: Api) -> None:
    added = api.control("POST", "/clusters", {"id": "in01-a", "name": "search", "project": "p", "api_key": "key"})
    assert (added.status_code, added.json()["cloud"]["name"]) == (201, "search")

    changed = api.control("PATCH", "/clusters/in01-a", {"name": "renamed", "status": "SUSPENDED"})
    assert changed.json()["cloud"]["status"] == "SUSPENDED"
    (cluster,) = api.get("/v2/clusters").json()["data"]["clusters"]
    assert (cluster["clusterName"], cluster["status"]) == ("renamed", "SUSPENDED")

    assert api.control("DELETE", "/clusters/in01-a").json() == {"deleted": "in01-a"}
    assert api.listed() == []
    assert api.control("DELETE", "/clusters/in01-a").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/clusters", {}),
        ("POST", "/clusters", {"id": "in01-a"}),
        ("POST", "/clusters", {"id": "x", "generation": "v9"}),
        ("POST", "/clusters", {"id": "x", "retention": "long"}),
        ("POST", "/clusters", {"id": "x", "colour": "red"}),
        ("PATCH", "/clusters/in01-a", {"status": 5}),
        ("PATCH", "/clusters/in01-a", {"id": "in01-b"}),
        ("PUT", "/quota", {"requests_per_second": "many"}),
        ("POST", "/account/trouble", {"kind": "false_empty"}),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(api: Api, method: str, path: str, body: Any) -> None:
    api.world.add_cluster("in01-a")

    refused = api.control(method, path, body)

    assert (refused.status_code, bool(refused.json()["error"])) == (400, True)
    assert api.listed() == ["in01-a"]


def test_the_list_can_be_empty_partial_or_an_error(api: Api) -> None:
    for number in range(3):
        api.world.add_cluster(f"in01-{number}")

    assert api.control("POST", "/account/trouble", {"kind": "empty", "times": 1}).json() == {"trouble": "empty"}
    assert api.get("/v2/projects").json()["data"] != []
    assert api.listed() == []
    assert len(api.listed()) == 3

    api.control("POST", "/account/trouble", {"kind": "partial", "page": 2})
    assert api.listed("/v2/clusters?pageSize=2") == ["in01-0", "in01-1"]
    assert api.get("/v2/clusters?pageSize=2&currentPage=2").status_code == 503

    api.control("DELETE", "/account/trouble")
    api.control("POST", "/account/trouble", {"kind": "http", "status": 401, "endpoint": "projects"})
    assert api.get("/v2/projects").json()["code"] == 80001
    assert len(api.listed()) == 3


def test_the_quota_is_that_of_each_key_and_endpoint(api: Api) -> None:
    cluster = api.world.add_cluster("in01-a")
    api.control("PUT", "/quota", {"requests_per_second": 2})

    assert [api.get("/v2/clusters").status_code for _ in range(3)] == [200, 200, 429]
    assert api.get("/v2/projects").status_code == 200
    assert api.get("/v2/clusters", Authorization="Bearer other").status_code == 200
    lists = [
        requests.post(
            f"{api.url}/v2/vectordb/jobs/import/list", json={"clusterId": "in01-a"}, headers=KEY, timeout=5
        ).status_code
        for _ in range(3)
    ]
    assert (lists, cluster.requests["list"]) == ([200, 200, 429], 2)

    api.now += 1
    assert api.get("/v2/clusters").status_code == 200
    assert api.control("PUT", "/quota", {}).json() == {"requests_per_second": None}
    assert {api.get("/v2/clusters").status_code for _ in range(5)} == {200}
