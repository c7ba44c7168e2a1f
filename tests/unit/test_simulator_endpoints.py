from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from monitor.simulator import Lifecycle, SimulatedCluster, World
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer, add_jobs, set_status, wait_for_requests

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH = 1_795_000_000.0
KEY = {"Authorization": "Bearer key"}
V2 = "/v2/vectordb/jobs/import/"


@dataclass
class Clock:
    now: float = EPOCH

    def __call__(self) -> float:
        return self.now


@dataclass
class Api:
    world: World
    clock: Clock
    server: SimulatorServer

    def post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> requests.Response:
        return requests.post(self.server.url + path, json=body, headers=KEY if headers is None else headers, timeout=5)

    def get(self, path: str, headers: dict[str, str] | None = None, **given: Any) -> requests.Response:
        return requests.get(self.server.url + path, headers=KEY if headers is None else headers, timeout=5, **given)

    def add(self, cluster_id: str, generation: str) -> SimulatedCluster:
        return self.world.add_cluster(cluster_id, generation=generation, api_key="key")


@pytest.fixture(scope="module")
def server() -> Iterator[Api]:
    clock = Clock()
    world = World(clock=clock)
    with SimulatorServer(world) as server:
        yield Api(world, clock, server)


@pytest.fixture
def api(server: Api) -> Api:
    server.world.clusters.clear()
    server.clock.now = EPOCH
    return server


def test_zilliz_lists_newest_first_and_without_the_progress_of_unfinished_jobs(api: Api) -> None:
    cluster = api.add("in01-a", "zilliz")
    done = cluster.add_job(Lifecycle.frozen("completed", 100), collection="quick_setup")
    api.clock.now += 1
    going = cluster.add_job(Lifecycle.frozen("importing", 50), collection="medium_articles")
    api.clock.now += 1
    broken = cluster.add_job(Lifecycle.frozen("failed", 0, "import timeout"), collection="c")

    answer = api.post(V2 + "list", {"clusterId": "in01-a", "pageSize": 10, "currentPage": 1})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {
        "code": 0,
        "data": {
            "count": 3,
            "currentPage": 1,
            "pageSize": 10,
            "records": [
                {
                    "collectionName": "c",
                    "jobId": broken.id,
                    "progress": 0,
                    "state": "Failed",
                    "reason": "import timeout",
                },
                {"collectionName": "medium_articles", "jobId": going.id, "state": "Importing"},
                {"collectionName": "quick_setup", "jobId": done.id, "progress": 100, "state": "Completed"},
            ],
        },
    }


def test_zilliz_pages_and_counts_what_is_on_the_page(api: Api) -> None:
    add_jobs(api.add("in01-a", "zilliz"), 25, Lifecycle.frozen())
    pages = [
        api.post(V2 + "list", {"clusterId": "in01-a", "pageSize": "10", "currentPage": page}).json()["data"]
        for page in (1, 2, 3, 4)
    ]

    assert [page["count"] for page in pages] == [10, 10, 5, 0]
    assert len({record["jobId"] for page in pages for record in page["records"]}) == 25
    assert api.post(V2 + "list", {"clusterId": "in01-a"}).json()["data"]["count"] == 10


@pytest.mark.parametrize(("field", "value", "code"), [("pageSize", 0, 96008), ("pageSize", 101, 96008)])
@pytest.mark.parametrize("wrap", [int, str])
def test_zilliz_refuses_a_bad_page(api: Api, field: str, value: int, code: int, wrap: type) -> None:
    api.add("in01-a", "zilliz")

    assert api.post(V2 + "list", {"clusterId": "in01-a", field: wrap(value)}).json()["code"] == code
    assert api.post(V2 + "list", {"clusterId": "in01-a", "pageSize": "many"}).json()["code"] == 96008
    assert api.post(V2 + "list", {"clusterId": "in01-a", "currentPage": 0}).json()["code"] == 96009


def test_zilliz_filters_by_database_and_collection(api: Api) -> None:
    cluster = api.add("in01-a", "zilliz")
    one = cluster.add_job(database="default", collection="x")
    two = cluster.add_job(database="other", collection="y")

    def ids(**fields: str) -> list[str]:
        data = api.post(V2 + "list", {"clusterId": "in01-a", **fields}).json()["data"]
        return [record["jobId"] for record in data["records"]]

    assert ids(dbName="other") == [two.id]
    assert ids(collectionName="x") == [one.id]
    assert len(ids(dbName="", collectionName="")) == 2


def test_zilliz_knows_a_cluster_by_project_and_region(api: Api) -> None:
    cluster = api.add("in01-a", "zilliz")
    job = cluster.add_job()
    ask = {"clusterId": "", "projectId": cluster.project_id, "regionId": cluster.region_id}

    assert api.post(V2 + "list", ask).json()["data"]["records"][0]["jobId"] == job.id
    assert api.post(V2 + "describe", {**ask, "jobId": job.id}).json()["data"]["jobId"] == job.id


@pytest.mark.parametrize("path", ["describe", "getProgress"])
def test_zilliz_describes_a_job_like_the_documentation(api: Api, path: str) -> None:
    job = api.add("in01-a", "zilliz").add_job(
        Lifecycle.completing(60), collection="c", files=["a.json"], total_rows=1000
    )
    api.clock.now += 60

    assert api.post(V2 + path, {"clusterId": "in01-a", "jobId": job.id}).json() == {
        "code": 0,
        "data": {
            "jobId": job.id,
            "collectionName": "c",
            "fileName": "a.json",
            "fileSize": 540_000,
            "state": "Completed",
            "progress": 100,
            "completeTime": "2026-11-18T11:07:40Z",
            "reason": "",
            "importedRows": 1000,
            "totalRows": 1000,
            "details": [
                {
                    "fileName": "a.json",
                    "fileSize": 540_000,
                    "state": "Completed",
                    "progress": 100,
                    "completeTime": "2026-11-18T11:07:40Z",
                    "reason": "",
                    "importedRows": 1000,
                    "totalRows": 1000,
                }
            ],
        },
    }


def test_zilliz_refusals(api: Api) -> None:
    cluster = api.add("in01-a", "zilliz")
    wrong = api.post(V2 + "list", {"clusterId": "in01-a"}, headers={"Authorization": "Bearer other"})

    assert (wrong.status_code, wrong.json()["code"]) == (401, 80001)
    assert api.post(V2 + "list", {"clusterId": "in01-b"}).json()["code"] == 96025
    assert api.post(V2 + "describe", {"clusterId": "in01-a", "jobId": "job-x"}).json()["code"] == 96026
    assert api.post(V2 + "describe", {"clusterId": "in01-a"}).json()["code"] == 80000
    assert api.post(V2 + "get_progress", {"clusterId": "in01-a", "jobId": "x"}).status_code == 404
    bad = requests.post(api.server.url + V2 + "list", data=b"{not json", headers=KEY, timeout=5)
    assert bad.json()["code"] == 1801
    assert api.post(V2 + "list", []).json()["code"] == 1801
    assert cluster.requests["list"] == 1


def test_a_request_that_names_no_cluster_is_refused(api: Api) -> None:
    api.add("in01-a", "zilliz")

    assert api.post(V2 + "list", {}).json() == {"code": 80000, "message": "Incorrect parameter: clusterId"}
    assert api.get("/api/v1/import/tasks").text == "404 page not found"


def test_the_clusters_and_projects_of_a_key(api: Api) -> None:
    mine, suspended = api.add("in01-a", "zilliz"), api.add("in01-b", "zilliz")
    api.world.add_cluster("in01-c", api_key="another")
    api.add("own", "milvus")
    api.world.change_cluster(suspended.id, status="SUSPENDED")

    answer = api.get("/v2/clusters?pageSize=10&currentPage=1").json()
    assert answer["code"] == 0
    assert [(c["clusterId"], c["status"]) for c in answer["data"]["clusters"]] == [
        ("in01-a", "RUNNING"),
        ("in01-b", "SUSPENDED"),
    ]
    assert answer["data"]["clusters"][0]["connectAddress"] == f"{api.server.url}/clusters/in01-a"
    assert api.get("/v2/clusters?pageSize=1&currentPage=2").json()["data"]["clusters"][0]["clusterId"] == "in01-b"
    assert api.get("/v2/clusters?pageSize=1000").json()["code"] == 96008
    assert api.get("/v2/projects").json()["data"][0]["projectId"] == mine.project_id
    assert api.get("/v2/clusters", headers={"Authorization": "Bearer none"}).status_code == 401


def test_milvus_lists_all_jobs_of_all_databases_in_any_order(api: Api) -> None:
    cluster = api.add("own", "milvus")
    jobs = [cluster.add_job(Lifecycle.frozen("importing", n), database=("default", "other")[n % 2]) for n in range(30)]
    broken = cluster.add_job(Lifecycle.frozen("failed", 0, "import timeout"), collection="events")

    def records() -> list[dict[str, Any]]:
        ask = {"dbName": "other", "pageSize": 5, "currentPage": 2, "projectId": ""}
        answer = api.post("/clusters/own" + V2 + "list", ask).json()
        assert answer.keys() == {"code", "data"}
        assert answer["data"].keys() == {"records"}
        return list(answer["data"]["records"])

    first, second = records(), records()
    assert {record["jobId"] for record in first} == {job.id for job in (*jobs, broken)}
    assert sorted(first, key=str) == sorted(second, key=str)
    assert first != second
    by_id = {record["jobId"]: record for record in first}
    assert by_id[jobs[7].id] == {
        "jobId": jobs[7].id,
        "collectionName": "events",
        "state": "Importing",
        "progress": 7,
    }
    assert by_id[broken.id]["reason"] == "import timeout"


@pytest.mark.parametrize("path", ["describe", "get_progress"])
def test_milvus_describes_a_job(api: Api, path: str) -> None:
    job = api.add("own", "milvus").add_job(Lifecycle.frozen("importing", 60), total_rows=1000, files=["p.parquet"])

    data = api.post("/clusters/own" + V2 + path, {"jobId": job.id, "dbName": "nonsense"}).json()["data"]
    assert data == {
        "jobId": job.id,
        "createTime": "2026-11-18T11:06:40Z",
        "collectionName": "events",
        "completeTime": "",
        "state": "Importing",
        "reason": "",
        "progress": 60,
        "importedRows": 500,
        "totalRows": 1000,
        "fileSize": 540_000,
        "details": [
            {
                "fileName": "[p.parquet]",
                "fileSize": 540_000,
                "progress": 60,
                "completeTime": "",
                "state": "InProgress",
                "reason": "",
                "importedRows": 500,
                "totalRows": 1000,
            }
        ],
    }


def test_milvus_says_why_a_job_failed(api: Api) -> None:
    job = api.add("own", "milvus").add_job(Lifecycle.frozen("failed", 0, "import timeout"), files=1)
    data = api.post("/clusters/own" + V2 + "describe", {"jobId": job.id}).json()["data"]

    assert (data["reason"], data["details"][0]["reason"], data["importedRows"]) == ("import timeout",) * 2 + (0,)


def test_milvus_filters_by_database_only_with_a_collection(api: Api) -> None:
    cluster = api.add("own", "milvus")
    one = cluster.add_job(database="default", collection="docs")
    two = cluster.add_job(database="other", collection="docs")
    base = "/clusters/own" + V2 + "list"

    def ids(database: str = "", **fields: str) -> set[str]:
        answer = api.post(base, fields, headers={**KEY, "DB-Name": database} if database else KEY)
        return {record["jobId"] for record in answer.json()["data"]["records"]}

    assert ids(dbName="other") == ids("other") == ids() == {one.id, two.id}
    assert ids(collectionName="docs") == {one.id}
    assert ids(collectionName="docs", dbName="other") == ids("other", collectionName="docs") == {two.id}
    assert ids("default", collectionName="docs", dbName="other") == {two.id}
    assert api.post(base, {"collectionName": "docs", "dbName": "third"}).json()["code"] == 100


def test_milvus_refusals(api: Api) -> None:
    api.add("own", "milvus")
    base = "/clusters/own" + V2

    gone = api.post(base + "describe", {"jobId": "449000000000000009"})
    assert (gone.status_code, gone.json()) == (
        200,
        {"code": 2100, "message": "import job does not exist, jobID=449000000000000009: importing data failed"},
    )
    wrong = api.post(base + "list", {}, headers={"Authorization": "Bearer x"})
    assert (wrong.status_code, wrong.json()) == (401, {"code": 1800, "message": "user hasn't authenticated"})
    assert api.post(base + "list", {"collectionName": "nope"}).json()["code"] == 100
    assert api.post(base + "describe", {}).json()["code"] == 1802
    assert api.post(base + "list", {}, headers={**KEY, "DB-Name": "nope"}).json()["code"] == 800
    assert api.post(base + "describe", {"jobId": "1"}, headers={**KEY, "DB-Name": "default"}).json()["code"] == 2100
    assert api.post(base + "getProgress", {"jobId": "1"}).status_code == 404
    assert api.post("/clusters/none" + V2 + "list", {}).text == "404 page not found"
    assert api.get(base + "list").status_code == 404


def test_milvus_takes_a_user_and_password_both_ways(api: Api) -> None:
    api.world.add_cluster("own", generation="milvus", api_key="root:Milvus")
    url = f"{api.server.url}/clusters/own{V2}list"

    assert requests.post(url, json={}, auth=("root", "Milvus"), timeout=5).json()["code"] == 0
    assert requests.post(url, json={}, headers={"Authorization": "Bearer root:Milvus"}, timeout=5).json()["code"] == 0
    assert requests.post(url, json={}, auth=("root", "wrong"), timeout=5).status_code == 401


def test_the_databases_of_a_cluster(api: Api) -> None:
    cluster = api.add("own", "milvus")
    cluster.add_job(database="sales")
    api.add("in01-a", "zilliz")

    path = "/v2/vectordb/databases/list"
    assert api.post("/clusters/own" + path, {}).json() == {"code": 0, "data": ["default", "sales"]}
    assert api.post("/clusters/in01-a" + path, {}).json() == {"code": 0, "data": ["default"]}


def test_v1_lists_tasks(api: Api) -> None:
    cluster = api.add("in01-v1", "v1")
    jobs = {
        state: cluster.add_job(Lifecycle.frozen(state, 50), collection=state)
        for state in ("pending", "importing", "uncommitted", "completed", "failed")
    }
    path = "/v1/vector/collections/import/list?clusterId=in01-v1&pageSize=5&currentPage=1"

    answer = api.get(path).json()
    assert answer["code"] == 200
    assert {key: answer["data"][key] for key in ("count", "currentPage", "pageSize")} == {
        "count": 5,
        "currentPage": 1,
        "pageSize": 5,
    }
    assert {task["collectionName"]: (task["jobId"], task["state"]) for task in answer["data"]["tasks"]} == {
        "pending": (jobs["pending"].id, "ImportPending"),
        "importing": (jobs["importing"].id, "ImportRunning"),
        "uncommitted": (jobs["uncommitted"].id, "ImportRunning"),
        "completed": (jobs["completed"].id, "ImportCompleted"),
        "failed": (jobs["failed"].id, "ImportFailed"),
    }
    cluster.trouble(hostile.paging_as_text())
    assert api.get(path).json()["data"]["pageSize"] == "5"


def test_v1_describes_a_job_without_its_state(api: Api) -> None:
    cluster = api.add("in01-v1", "v1")
    job = cluster.add_job(Lifecycle.frozen("completed", 100), collection="c", files=["folder/1/"], total_rows=10)
    path = f"/v1/vector/collections/import/get?clusterId=in01-v1&jobId={job.id}"

    assert api.get(path).json() == {
        "code": 200,
        "data": {
            "collectionName": "c",
            "fileName": "folder/1/",
            "fileSize": 5400,
            "readyPercentage": 1,
            "completeTime": "2026-11-18T11:06:40Z",
            "errorMessage": None,
            "jobId": job.id,
            "details": [
                {
                    "fileName": "folder/1/",
                    "fileSize": 5400,
                    "readyPercentage": 1,
                    "completeTime": "2026-11-18T11:06:40Z",
                    "errorMessage": None,
                }
            ],
        },
    }
    set_status(job, state="importing", progress=55, now=EPOCH)
    assert api.get(path).json()["data"]["readyPercentage"] == 0.55


def test_v1_refusals(api: Api) -> None:
    api.add("in01-v1", "v1")
    api.add("in01-a", "zilliz")
    base = "/v1/vector/collections/import/"

    assert api.get(base + "list?clusterId=in01-v1&pageSize=200").json()["code"] == 80003
    assert api.get(base + "list?clusterId=in01-v1&currentPage=0").json()["code"] == 80004
    assert api.get(base + "get?clusterId=in01-v1").json()["code"] == 80000
    assert api.get(base + "get?clusterId=in01-v1&jobId=x").json()["code"] == 96026
    assert api.get(base + "list?clusterId=none").json()["code"] == 96025
    assert api.get(base + "list?clusterId=in01-v1", headers={}).status_code == 401
    assert api.get(base + "list?clusterId=in01-a").status_code == 404
    assert api.get(base + "nothing?clusterId=in01-v1").status_code == 404
    assert api.post(V2 + "list", {"clusterId": "in01-v1"}).status_code == 404


def test_milvus_2_3_lists_tasks_as_recorded(api: Api) -> None:
    cluster = api.add("own", "milvus-2.3")
    done = cluster.add_job(
        Lifecycle.frozen("completed", 100), collection="books", files=["/data/a.json"], total_rows=50_000
    )
    api.clock.now += 1
    reason = "failed to get file size of '/nope.json', error:stat /nope.json: no such file or directory"
    broken = cluster.add_job(Lifecycle.frozen("failed", 0, reason), collection="books", files=["/nope.json"])

    answer = api.get("/clusters/own/api/v1/import/tasks", json={"collection_name": "", "limit": 0}).json()

    assert answer == {
        "status": {},
        "tasks": [
            {
                "status": {},
                "state": 1,
                "infos": [
                    {"key": "files", "value": "/nope.json"},
                    {"key": "collection", "value": "books"},
                    {"key": "partition", "value": "_default"},
                    {"key": "failed_reason", "value": reason},
                    {"key": "progress_percent", "value": "0"},
                ],
                "id": int(broken.id),
                "create_ts": int(EPOCH) + 1,
            },
            {
                "status": {},
                "state": 6,
                "row_count": 50_000,
                "infos": [
                    {"key": "files", "value": "/data/a.json"},
                    {"key": "collection", "value": "books"},
                    {"key": "partition", "value": "_default"},
                    {"key": "failed_reason"},
                    {"key": "progress_percent", "value": "100"},
                ],
                "id": int(done.id),
                "create_ts": int(EPOCH),
            },
        ],
    }


def test_milvus_2_3_writes_no_zeros(api: Api) -> None:
    cluster = api.add("own", "milvus-2.3")
    job = cluster.add_job(Lifecycle.frozen("pending", 0))
    task = api.get("/clusters/own/api/v1/import/state", json={"task": int(job.id)}).json()

    assert "state" not in task
    assert "row_count" not in task
    assert task["id"] == int(job.id)
    for progress, state in ((50, 2), (90, 5)):
        set_status(job, state="importing", progress=progress, now=EPOCH)
        assert api.get("/clusters/own/api/v1/import/state", json={"task": int(job.id)}).json()["state"] == state


def test_milvus_2_3_without_tasks_and_other_answers(api: Api) -> None:
    cluster = api.add("own", "milvus-2.3")
    tasks = "/clusters/own/api/v1/import/tasks"

    assert api.get(tasks, headers={}).json() == {"status": {}}
    add_jobs(cluster, 5, Lifecycle.frozen())
    assert len(api.get(tasks).json()["tasks"]) == 5
    assert api.get(tasks, json={"collection_name": "nope", "limit": 0}).json() == {"status": {}}
    unknown = "key not found[key=by-dev/meta/importtask/7]"
    assert api.get("/clusters/own/api/v1/import/state", json={"task": 7}).json() == {
        "status": {"error_code": 1, "reason": unknown, "code": 1000, "detail": unknown}
    }
    v2 = api.post("/clusters/own" + V2 + "list", {})
    assert (v2.status_code, v2.text, v2.headers["content-type"]) == (404, "404 page not found", "text/plain")
    assert api.get("/clusters/own/api/v1/import/nothing").status_code == 404


def test_every_generated_job_can_be_described(api: Api) -> None:
    api.add("own", "milvus").populate(10)
    records = api.post("/clusters/own" + V2 + "list", {}).json()["data"]["records"]
    described = [api.post("/clusters/own" + V2 + "describe", {"jobId": r["jobId"]}).json()["data"] for r in records]

    def common(answers: list[dict[str, Any]]) -> list[tuple[str, ...]]:
        return [tuple(str(a[key]) for key in ("jobId", "collectionName", "state", "progress")) for a in answers]

    assert len(records) == 10
    assert common(described) == common(records)


def test_requests_are_counted_and_can_be_awaited(api: Api) -> None:
    cluster = api.add("own", "milvus")
    api.post("/clusters/own" + V2 + "list", {})
    api.post("/clusters/own" + V2 + "describe", {"jobId": "1"})

    assert wait_for_requests(cluster, "list", 1)
    assert not wait_for_requests(cluster, "list", 2, timeout=0.01)
    assert cluster.requests == {"list": 1, "describe": 1}


def test_a_request_of_two_megabytes_is_refused(api: Api) -> None:
    api.add("own", "milvus")

    assert api.post("/clusters/own" + V2 + "list", {"x": "y" * (2 << 20)}).status_code == 413
