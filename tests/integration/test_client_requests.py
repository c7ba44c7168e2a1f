"""What is sent, byte for byte, and which answers are understood, over real sockets."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.client import ApiError, ErrorKind, JobGoneError
from monitor.client.errors import ApiMissingError, BadResponseError, NotFoundError, UnauthorizedError
from monitor.jobs import JobList, JobState, normalize_state
from tests.clusters import connected
from tests.recorder import Answer, Recorder
from tests.unit.test_client_decoding import KIND_OF_CODE

SAMPLES = Path(__file__).parent.parent / "samples"
ZILLIZ = {"cluster_id": "in01-x", "api_key": "secret-key"}
V1 = {**ZILLIZ, "api": "v1"}
OLD = {"api": "milvus-2.3"}
EMPTY = {"code": 0, "data": {"records": []}}
NO_API = Answer(b"404 page not found", 404)


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def paged(*ids: str, size: int = 2) -> dict[str, Any]:
    records = [{"jobId": one, "state": "Importing"} for one in ids]
    return {"code": 0, "data": {"count": len(ids), "currentPage": 1, "pageSize": size, "records": records}}


# --- what is sent


def test_a_list_of_zilliz_cloud_is_asked_for_page_by_page() -> None:
    with Recorder(paged("1", "2"), paged("3")) as server, connected(server.url, page_size=2, **ZILLIZ) as api:
        assert list(api.list_jobs(JobList()).records) == ["1", "2", "3"]
    assert [request.target for request in server.requests] == ["POST /v2/vectordb/jobs/import/list"] * 2
    assert [request.json for request in server.requests] == [
        {"clusterId": "in01-x", "pageSize": 2, "currentPage": 1},
        {"clusterId": "in01-x", "pageSize": 2, "currentPage": 2},
    ]
    headers = server.requests[0].headers
    assert headers["authorization"] == b"Bearer secret-key"
    assert headers["content-type"] == b"application/json"
    assert headers["user-agent"].startswith(b"milvus-import-monitor/")
    assert "db-name" not in headers


@pytest.mark.parametrize("changes", [ZILLIZ, V1, OLD], ids=["v2", "v1", "milvus-2.3"])
def test_a_list_is_asked_for_with_the_same_bytes_at_every_poll(changes: dict[str, Any]) -> None:
    no_jobs = {"code": 0, "data": {"records": []}, "status": {}, "tasks": []}
    with Recorder(no_jobs) as server, connected(server.url, **changes) as api:
        for poll in range(1, 4):
            api.list_jobs(JobList())
            server.wait_for_requests(poll)
            if poll == 2:
                server.hang_up()
    assert len(server.requests) == 3
    assert len(set(server.requests)) == 1
    assert server.connections == 2


def test_a_project_and_its_region_stand_in_for_the_cluster() -> None:
    with Recorder(EMPTY) as server, connected(server.url, project_id="p", region_id="r") as api:
        api.list_jobs(JobList())
    assert server.requests[0].json == {"projectId": "p", "regionId": "r", "pageSize": 100, "currentPage": 1}
    assert "authorization" not in server.requests[0].headers


def test_on_zilliz_cloud_the_name_in_the_body_filters_by_database() -> None:
    answers = (paged("1"), paged("2"))
    with Recorder(*answers) as server, connected(server.url, databases=("default", "sales"), **ZILLIZ) as api:
        jobs = api.list_jobs(JobList()).records
    assert {job_id: job.database for job_id, job in jobs.items()} == {"1": "default", "2": "sales"}
    assert [request.json["dbName"] for request in server.requests] == ["default", "sales"]


def test_self_hosted_the_header_opens_the_database_and_no_job_is_said_to_be_in_it() -> None:
    both = {"code": 0, "data": {"records": [{"jobId": "1"}, {"jobId": "2"}]}}
    with Recorder(both) as server, connected(server.url, databases=("default", "sales")) as api:
        jobs = api.list_jobs(JobList()).records
    assert {job_id: job.database for job_id, job in jobs.items()} == {"1": "", "2": ""}
    assert [request.headers["db-name"] for request in server.requests] == [b"default", b"sales"]


def test_self_hosted_a_describe_goes_to_the_database_that_may_be_read() -> None:
    refused, known = (
        Answer({"code": 1401, "message": "no"}, 403),
        {"code": 0, "data": {"jobId": "7", "state": "Failed"}},
    )
    with Recorder(refused, known) as server, connected(server.url, databases=("default", "sales")) as api:
        assert normalize_state(api.describe("7").state) is JobState.FAILED
    assert [request.headers["db-name"] for request in server.requests] == [b"default", b"sales"]
    assert server.requests[1].json == {"jobId": "7"}


def test_a_describe_that_no_database_allows_is_unauthorized() -> None:
    with (
        Recorder(Answer({"code": 1401}, 403)) as server,
        connected(server.url, databases=("a", "b")) as api,
        pytest.raises(UnauthorizedError),
    ):
        api.describe("7")
    assert len(server.requests) == 2


def test_v1_asks_with_a_query() -> None:
    answers = (sample("zilliz-v1-list"), {"code": 200, "data": {"jobId": "a b", "readyPercentage": 40}})
    with Recorder(*answers) as server, connected(server.url, **V1) as api:
        jobs = api.list_jobs(JobList()).records
        assert api.describe("a b").progress == pytest.approx(40)
    assert {normalize_state(job.state) for job in jobs.values()} == {JobState.COMPLETED, JobState.IMPORTING}
    assert [request.target for request in server.requests] == [
        "GET /v1/vector/collections/import/list?clusterId=in01-x&pageSize=100&currentPage=1",
        "GET /v1/vector/collections/import/get?clusterId=in01-x&jobId=a+b",
    ]
    assert server.requests[0].body == b""


def test_milvus_2_3_asks_with_a_body_in_a_get() -> None:
    task = {"status": {}, "id": 470669361897275710, "state": 6}
    with Recorder(sample("milvus-2.3.5-tasks"), task) as server, connected(server.url, **OLD) as api:
        assert len(api.list_jobs(JobList()).records) == 2
        assert normalize_state(api.describe("470669361897275710").state) is JobState.COMPLETED
    assert [request.target for request in server.requests] == [
        "GET /api/v1/import/tasks",
        "GET /api/v1/import/state",
    ]
    assert [request.json for request in server.requests] == [
        {"collection_name": "", "limit": 0},
        {"task": 470669361897275710},
    ]


def test_a_url_may_have_a_path() -> None:
    with Recorder(EMPTY) as server, connected(f"{server.url}/behind/a/proxy") as api:
        api.list_jobs(JobList())
    assert server.requests[0].target == "POST /behind/a/proxy/v2/vectordb/jobs/import/list"


def test_a_password_or_a_database_that_is_not_ascii_is_sent_as_utf_8() -> None:
    # Go compares the bytes of the header with the password, which was set as UTF-8.
    with Recorder(EMPTY) as server, connected(server.url, api_key="root:Käse", databases=("データ",)) as api:
        api.list_jobs(JobList())
    assert server.requests[0].headers["authorization"] == "Bearer root:Käse".encode()
    assert server.requests[0].headers["db-name"] == "データ".encode()


def test_an_id_with_an_odd_sign_in_it_is_asked_for_as_it_is() -> None:
    with (
        Recorder({"code": 2100, "message": 'import job does not exist, jobID=7"}²: importing data failed'}) as server,
        connected(server.url) as api,
        pytest.raises(JobGoneError),
    ):
        api.describe('7"}²')
    assert server.requests[0].json == {"jobId": '7"}²'}


# --- which answers are understood


@pytest.mark.parametrize("code", [0, 200, "0", "200"])
@pytest.mark.parametrize(
    "data",
    [
        {"records": [{"jobId": "7", "state": "Failed"}]},
        {"tasks": [{"jobID": 7, "state": "ImportFailed"}]},
        [{"taskID": 7, "state": 1}],
        {"records": [None, {"id": "7", "state": "failed"}]},
    ],
)
def test_a_list_is_understood_in_every_shape(code: Any, data: Any) -> None:
    with Recorder({"code": code, "data": data}) as server, connected(server.url) as api:
        jobs = api.list_jobs(JobList()).records
    assert {job_id: normalize_state(job.state) for job_id, job in jobs.items()} == {"7": JobState.FAILED}


@pytest.mark.parametrize(
    ("name", "changes", "states"),
    [
        ("zilliz-v2-list", ZILLIZ, [JobState.COMPLETED, JobState.IMPORTING]),
        ("zilliz-v1-list", V1, [JobState.COMPLETED, JobState.IMPORTING]),
        ("milvus-2.6-list", {}, [JobState.FAILED, JobState.IMPORTING, JobState.UNCOMMITTED]),
        ("milvus-2.3.5-tasks", OLD, [JobState.COMPLETED, JobState.FAILED]),
        ("milvus-2.3.5-no-tasks", OLD, []),
    ],
)
def test_every_recorded_list_is_understood(name: str, changes: dict[str, Any], states: list[JobState]) -> None:
    with Recorder(sample(name)) as server, connected(server.url, **changes) as api:
        assert [normalize_state(job.state) for job in api.list_jobs(JobList()).records.values()] == states


@pytest.mark.parametrize(("code", "kind"), KIND_OF_CODE)
@pytest.mark.parametrize(
    ("changes", "body"),
    [
        (ZILLIZ, lambda code: {"code": code, "message": "what happened"}),
        (OLD, lambda code: {"status": {"error_code": 1, "code": code, "reason": "what happened"}}),
    ],
    ids=["v2", "milvus-2.3"],
)
def test_an_error_code_is_the_kind_the_table_says(code: int, kind: ErrorKind, changes: Any, body: Any) -> None:
    with Recorder(body(code)) as server, connected(server.url, **changes) as api, pytest.raises(ApiError) as caught:
        api.list_jobs(JobList())
    assert (caught.value.kind, caught.value.code) == (kind, code)
    assert str(caught.value) == f"what happened (code {code})"


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, {"code": 2100, "message": "import job does not exist, jobID=7: importing data failed"}),
        ({}, {"code": 2100, "message": "import job does not exist, jobID=7, dbID=1: importing data failed"}),
        ({}, {"code": 2101, "message": "import job does not exist, jobID=7"}),
        ({}, {"code": 0, "data": {"jobId": "7", "state": "Failed", "reason": "import job does not exist, jobID=7"}}),
        (ZILLIZ, {"code": 96026, "message": "The import job does not exist. jobId: 7"}),
        (V1, {"code": "96026", "message": ""}),
        (OLD, {"status": {"code": 1000, "reason": "key not found[key=by-dev/meta/importtask/7]"}}),
        (OLD, {"status": {"error_code": 1, "reason": "import task id doesn't exist"}}),
        (OLD, {"status": {"code": 2100, "error_code": 1, "reason": "import job does not exist, jobID=7: failed"}}),
    ],
)
def test_a_job_is_gone_when_the_server_says_so(changes: dict[str, Any], body: Any) -> None:
    with Recorder(body) as server, connected(server.url, **changes) as api, pytest.raises(JobGoneError):
        api.describe("7")


@pytest.mark.parametrize(
    ("changes", "body"),
    [
        ({}, {"code": 2100, "message": "file does not exist: importing data failed"}),
        ({}, {"code": 2100, "message": "importing data failed: the object job.parquet does not exist"}),
        ({}, {"code": 2100, "message": "importing data failed: bucket job-data does not exist"}),
        ({}, {"code": 2100, "message": "importing data failed: file jobs/7 does not exist"}),
        ({}, {"code": 2100, "message": "collection of job books does not exist"}),
        ({}, {"code": 2100, "message": "the database of import job 7 does not exist"}),
        ({}, {"code": 2100, "message": "import job does not exist"}),
        ({}, {"code": 2100, "message": "import job does not exist, jobID=999: importing data failed"}),
        ({}, {"code": 2100, "message": "import job does not exist, jobID=77: importing data failed"}),
        ({}, {"code": 0, "data": {"jobId": "8", "state": "Failed", "reason": "import job does not exist, jobID=7"}}),
        ({}, {"code": 100, "message": "collection does not exist"}),
        (ZILLIZ, {"code": 96025, "message": "The cluster does not exist"}),
        (V1, {"code": 80000, "message": "Incorrect parameter: jobId"}),
        (OLD, {"status": {"code": 1000, "reason": "key not found[key=by-dev/meta/collection/7]"}}),
        (OLD, {"status": {"code": 1000, "reason": "key not found[key=by-dev/meta/importtask/77]"}}),
        (OLD, {"status": {"code": 100, "reason": "importtask"}}),
        ({}, {"code": 0, "data": {"jobId": "8"}}),
        ({}, {"code": 0, "data": None}),
        ({}, {"code": 0}),
        (V1, {"code": 200, "data": {"jobId": "8"}}),
        (OLD, {"status": {}, "id": 8, "state": 6}),
        (OLD, {"status": {}}),
    ],
)
def test_nothing_else_makes_a_job_gone(changes: dict[str, Any], body: Any) -> None:
    with Recorder(body) as server, connected(server.url, **changes) as api, pytest.raises(ApiError) as caught:
        api.describe("7")
    assert not isinstance(caught.value, JobGoneError)


@pytest.mark.parametrize("job_id", ["job-01fa", "²", "٣", "-7", "9" * 20, ""])
def test_milvus_2_3_is_not_asked_for_what_cannot_be_its_id(job_id: str) -> None:
    with (
        Recorder() as server,
        connected(server.url, **OLD) as api,
        pytest.raises(BadResponseError, match="a task's id is a number"),
    ):
        api.describe(job_id)
    assert server.requests == []


def test_milvus_2_3_whose_tasks_are_no_list_is_not_believed() -> None:
    with (
        Recorder({"status": {}, "tasks": "none"}) as server,
        connected(server.url, **OLD) as api,
        pytest.raises(BadResponseError, match="tasks are no list"),
    ):
        api.list_jobs(JobList())


def test_tasks_without_ids_are_those_of_a_newer_server_and_say_what_to_use() -> None:
    tasks = [{"status": {}, "state": 2, "infos": [{"key": "progress_percent", "value": "70"}]}, {"id": 0, "state": 6}]
    with (
        Recorder({"status": {}, "tasks": tasks}) as server,
        connected(server.url, **OLD) as api,
        pytest.raises(BadResponseError, match=r"none of the 2 records.*use `api: v2` and port 19530"),
    ):
        api.list_jobs(JobList())


def test_a_listed_job_that_does_not_exist_is_not_listed() -> None:
    lost = {"jobId": "7", "state": "Failed", "progress": 0, "reason": "import job does not exist, jobID=7"}
    other = {"jobId": "8", "state": "Failed", "reason": "import job does not exist, jobID=7"}
    for records, listed in ([lost, other], ["8"]), ([lost], []):
        with Recorder({"code": 0, "data": {"records": records}}) as server, connected(server.url) as api:
            assert list(api.list_jobs(JobList()).records) == listed


def test_reasons_of_files_are_told_where_the_job_has_none() -> None:
    data = {"jobId": "7", "state": "Failed", "reason": "", "details": [{"reason": "bad row 5"}]}
    with Recorder({"code": 0, "data": data}) as server, connected(server.url) as api:
        assert api.describe("7").reason == "bad row 5"


# --- older spellings of describe


@pytest.mark.parametrize(("missing", "spelling"), [(0, "describe"), (1, "getProgress"), (2, "get_progress")])
def test_an_older_spelling_of_describe_is_found_and_remembered(missing: int, spelling: str) -> None:
    found = {"code": 0, "data": {"jobId": "7", "state": "Failed"}}
    with Recorder(*[NO_API] * missing, found) as server, connected(server.url) as api:
        assert [api.describe("7").state for _ in range(3)] == ["Failed"] * 3
    asked = [request.target.rpartition("/")[2] for request in server.requests]
    assert asked == ["describe", "getProgress", "get_progress"][: missing + 1] + [spelling] * 2


def test_a_gateway_without_its_server_for_a_moment_does_not_cost_describe_for_ever() -> None:
    found = {"code": 0, "data": {"jobId": "7", "state": "Failed"}}
    with Recorder(NO_API) as server, connected(server.url) as api:
        for _ in range(2):
            with pytest.raises(ApiMissingError):
                api.describe("7")
        server.answers(found)
        assert normalize_state(api.describe("7").state) is JobState.FAILED
    assert server.requests[-1].target.endswith("/describe")


def test_a_server_that_was_upgraded_is_asked_in_the_new_spelling() -> None:
    found = {"code": 0, "data": {"jobId": "7", "state": "Failed"}}
    with Recorder(NO_API, found, NO_API, found) as server, connected(server.url) as api:
        for _ in range(2):
            assert normalize_state(api.describe("7").state) is JobState.FAILED
    asked = [request.target.rpartition("/")[2] for request in server.requests]
    assert asked == ["describe", "getProgress", "getProgress", "describe"]


# --- messages


def test_a_server_without_this_api_is_told_what_to_try() -> None:
    with Recorder(NO_API) as server, connected(server.url) as api, pytest.raises(NotFoundError) as caught:
        api.list_jobs(JobList())
    assert "`api: milvus-2.3`" in str(caught.value)
    assert "http://HOST:9091" in str(caught.value)


@pytest.mark.parametrize(
    "echo",
    [
        lambda key: {"code": 1800, "message": f"no such user or key: {key}"},
        lambda key: Answer(f"invalid token {key}".encode(), 401),
        lambda key: Answer(f"<html>{key}".encode()),
        lambda key: Answer(b"", 302, {"Location": f"https://other.example/?token={key}"}),
        lambda key: Answer(raw=f"{key}\r\n\r\n".encode()),
    ],
)
@pytest.mark.parametrize("key", ["0123456789abcdef", "root:hunter22"])
def test_a_key_that_the_server_repeats_is_not_in_the_message(echo: Any, key: str) -> None:
    with (
        Recorder(echo(key)) as server,
        connected(server.url, api_key=key) as api,
        pytest.raises(ApiError, match=r"\*\*\*") as caught,
    ):
        api.list_jobs(JobList())
    assert key not in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_speaks_no_http_is_a_bad_response_and_asked_once() -> None:
    with (
        Recorder(Answer(raw=b"SSH-2.0-OpenSSH_9.6\r\n")) as server,
        connected(server.url) as api,
        pytest.raises(BadResponseError, match=r"the response is not HTTP.*SSH-2\.0"),
    ):
        api.list_jobs(JobList())
    assert len(server.requests) == 1


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 64 + ".example"])
def test_a_host_that_does_not_exist_is_a_connection_that_fails(host: str) -> None:
    with connected(f"http://{host}:19530", timeout=2.0) as api, pytest.raises(ApiError) as caught:
        api.list_jobs(JobList())
    assert caught.value.kind is ErrorKind.CONNECTION
    assert host in str(caught.value)


def test_the_requests_of_every_attempt_are_counted() -> None:
    with Recorder(Answer(b"", 503), EMPTY) as server, connected(server.url) as api:
        api.list_jobs(JobList())
    assert api.session.usage.requests == {"list": 2}
    assert json.loads(server.requests[0].body) == json.loads(server.requests[1].body)


def test_a_key_that_the_server_lists_is_masked_and_the_change_after_it_is_seen() -> None:
    def answer(name: str) -> dict[str, Any]:
        return {"code": 0, "data": {"records": [{"jobId": "1", "collectionName": name, "state": "Importing"}]}}

    names, listing = ["k-secret", r"\u006b-secret", "other"], JobList()
    answers = [json.dumps(answer(name)).replace("\\\\", "\\").encode() for name in names]
    with Recorder(*answers) as server, connected(server.url, api_key="k-secret") as api:
        shown = [(listing := api.list_jobs(listing)).records["1"].collection for _ in names]
    assert shown == ["********", "********", "other"]
