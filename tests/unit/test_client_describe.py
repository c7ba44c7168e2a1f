"""One job's own answer, in the words of each generation."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.client import v2
from monitor.client.errors import (
    ApiError,
    BadRecordError,
    BadResponseError,
    ErrorKind,
    JobGoneError,
    TransientError,
    UnauthorizedError,
)
from monitor.client.milvus23 import checked, record_of_task
from monitor.client.records import says_gone
from monitor.jobs import REASON_LIMIT, JobRecord
from tests.clusters import connected
from tests.recorder import Answer, Recorder

SAMPLES = Path(__file__).parent.parent / "samples"


def described(data: Any, job_id: str) -> JobRecord:
    return v2.described({"code": 0, "data": data}, job_id)[0]


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_bytes())


def test_a_describe_of_zilliz_cloud_is_read_in_full() -> None:
    data = sample("zilliz-v2-describe")["data"]
    assert described(data, "448761313698322011") == JobRecord(
        job_id="448761313698322011",
        collection="medium_articles",
        state="Completed",
        progress=100,
        total_rows=100_000,
        complete_time="2024-04-01T06:17:55Z",
    )


def test_a_describe_without_an_id_is_about_the_job_that_was_asked_for() -> None:
    assert described({"state": "Failed"}, "7").job_id == "7"


def test_a_describe_may_come_as_an_array_of_one() -> None:
    assert described([{"jobId": 7, "state": "Failed"}], "7").state == "Failed"


@pytest.mark.parametrize("key", ["jobId", "jobID", "taskID", "id"])
def test_a_describe_of_another_job_is_no_answer(key: str) -> None:
    with pytest.raises(BadResponseError, match="about another job"):
        described({key: "8", "state": "Failed"}, "7")


@pytest.mark.parametrize("data", [None, [], "text", 5, [1], [{}, {}]])
def test_a_describe_without_a_job_is_no_answer(data: Any) -> None:
    with pytest.raises(BadResponseError, match="no job in its data"):
        described(data, "7")


@pytest.mark.parametrize("job_id", [[], {}, True, "x" * 1000, "a\nb"])
def test_a_describe_with_an_id_that_is_none_is_no_answer(job_id: Any) -> None:
    with pytest.raises(BadResponseError, match="a record's job id"):
        described({"jobId": job_id}, "7")


def test_the_reasons_of_files_stand_in_for_a_missing_one() -> None:
    files = [{"reason": "b"}, {"reason": ""}, {"reason": "a"}, {"reason": "b"}, {"errorMessage": "c"}, {}]
    assert described({"state": "Failed", "details": files}, "7").reason == "b; a; c"


def test_a_reason_of_its_own_comes_before_those_of_files() -> None:
    assert described({"reason": "quota", "details": [{"reason": "a"}]}, "7").reason == "quota"


def test_the_reasons_of_files_are_five_at_most_and_bounded_together() -> None:
    few = described({"details": [{"reason": str(number)} for number in range(100)]}, "7")
    long = described({"details": [{"reason": str(number) * 5000} for number in range(5)]}, "7")
    assert few.reason == "0; 1; 2; 3; 4"
    assert len(long.reason) <= REASON_LIMIT


@pytest.mark.parametrize(
    "details", ["none", 5, True, {}, {"a": 1}, [1, None, "x"], [{"jobId": []}], [{"jobId": "x" * 999}], [{"id": 9}]]
)
def test_details_of_another_type_cost_only_themselves(details: Any) -> None:
    assert described({"state": "Failed", "reason": "", "details": details}, "7").state == "Failed"


@pytest.mark.parametrize(
    ("message", "gone"),
    [
        ("import job does not exist, jobID=7", True),
        ("import job does not exist, jobID=7: importing data failed", True),
        ("import job does not exist, jobID=7, dbID=1: importing data failed", True),
        ("failed (import job does not exist, jobID=7)", True),
        ("import job does not exist, jobID=77", False),
        ("import job does not exist, jobID=7-8", False),
        ("import job does not exist", False),
        ("job 7 does not exist", False),
        ("bucket job-7 does not exist: importing data failed", False),
    ],
)
def test_only_the_sentence_with_the_id_says_that_a_job_does_not_exist(message: str, gone: bool) -> None:
    assert says_gone(message, "7") is gone
    if gone:
        with pytest.raises(JobGoneError):
            v2.described({"code": 2100, "message": message}, "7")
        with pytest.raises(JobGoneError):
            described({"state": "Failed", "reason": message}, "7")


@pytest.mark.parametrize(
    ("data", "progress"),
    [
        ({"readyPercentage": 40}, 40),
        ({"readyPercentage": "40"}, 40),
        ({"readyPercentage": 100}, 100),
        ({"readyPercentage": 0.4}, 40),
        ({"readyPercentage": 0}, 0.0),
        ({"readyPercentage": 1, "completeTime": "2024-04-01T06:17:55Z"}, 100),
        ({"readyPercentage": 1, "completeTime": None}, None),
        ({"readyPercentage": 1}, None),
        ({"readyPercentage": -1}, None),
        ({"readyPercentage": None}, None),
        ({"readyPercentage": "soon"}, None),
        ({}, None),
        ({"progress": 30, "readyPercentage": 90}, 30),
    ],
)
def test_a_ready_percentage_is_a_percentage_or_a_share(data: dict[str, Any], progress: float | None) -> None:
    ours = described(data, "7").progress
    assert ours == (progress if progress is None else pytest.approx(progress))


def test_tasks_recorded_from_a_real_server_are_read_in_full() -> None:
    tasks = checked(sample("milvus-2.3.5-tasks"))["tasks"]
    assert [record_of_task(task) for task in tasks] == [
        JobRecord(
            job_id="470669361897275710",
            collection="books",
            state="6",
            progress=100,
            imported_rows=50_000,
            create_time="1795461189",
        ),
        JobRecord(
            job_id="470669361897275712",
            collection="books",
            state="1",
            progress=0,
            reason="failed to get file size of '/nope.json', error:stat /nope.json: no such file or directory: "
            "importing data failed",
            create_time="1795461189",
        ),
    ]


def test_a_task_without_a_state_is_pending_because_go_leaves_out_zeros() -> None:
    assert record_of_task({"id": 7}) == JobRecord("7", "0", progress=0)


@pytest.mark.parametrize("infos", [None, "x", 5, {}, [1, None], [{}], [{"key": []}], [{"key": "collection"}]])
def test_infos_of_another_type_cost_only_themselves(infos: Any) -> None:
    assert record_of_task({"id": 7, "state": 1, "infos": infos}) == JobRecord("7", "1")


@pytest.mark.parametrize("task", [None, [], "text", 5, {}, {"id": []}, {"id": None}, {"id": 0}])
def test_a_task_without_a_usable_id_is_norecord_of_task(task: Any) -> None:
    with pytest.raises(BadRecordError):
        record_of_task(task)


def test_a_server_that_is_not_ready_is_transient() -> None:
    with pytest.raises(TransientError, match=r"^service not ready\[standalone=0\]: Abnormal \(code 1\)$"):
        checked(sample("milvus-2.3.5-not-ready"))


def test_a_missing_collection_is_not_found() -> None:
    with pytest.raises(ApiError, match="collection not found") as caught:
        checked(sample("milvus-2.3.5-collection-not-found"))
    assert (caught.value.kind, caught.value.code) == (ErrorKind.NOT_FOUND, 100)


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        ({"code": 65535, "reason": "bad"}, ErrorKind.OTHER, "bad (code 65535)"),
        ({"code": 65535, "retriable": True}, ErrorKind.TRANSIENT, "the server gives no reason (code 65535)"),
        ({"code": 65535, "retriable": "yes"}, ErrorKind.OTHER, "the server gives no reason (code 65535)"),
        ({"error_code": 56, "reason": "old"}, ErrorKind.OTHER, "old (code 56)"),
        ({"code": 0, "error_code": "1"}, ErrorKind.TRANSIENT, "the server gives no reason (code 1)"),
    ],
)
def test_a_status_with_a_code_is_an_error(status: dict[str, Any], kind: ErrorKind, message: str) -> None:
    with pytest.raises(ApiError) as caught:
        checked({"status": status})
    assert (caught.value.kind, str(caught.value)) == (kind, message)


@pytest.mark.parametrize("status", [{}, {"code": 0}, {"error_code": "0", "reason": ""}])
def test_a_status_without_a_code_is_fine(status: dict[str, Any]) -> None:
    assert checked({"status": status}) == {"status": status}


@pytest.mark.parametrize("payload", [None, [], "text", {}, {"status": "fine"}, {"status": None}, {"code": 0}])
def test_an_answer_without_a_status_names_the_management_port(payload: Any) -> None:
    with pytest.raises(BadResponseError, match="management port"):
        checked(payload)


def test_a_proxy_that_answers_in_place_of_the_management_port_is_understood() -> None:
    with pytest.raises(ApiError, match="hasn't authenticated") as caught:
        checked(sample("milvus-2.6-unauthenticated"))
    assert caught.value.kind is ErrorKind.UNAUTHORIZED


HERE = Answer({"code": 0, "data": {"jobId": "7", "state": "Importing", "progress": 5}})
GONE = Answer({"code": 2100, "message": "import job does not exist, jobID=7"})
REFUSED = Answer(b"no", 401)


def test_a_job_is_gone_only_when_no_database_has_it() -> None:
    with Recorder(GONE, HERE, GONE, GONE, GONE, REFUSED) as server, connected(server.url, databases=("a", "b")) as api:
        assert api.describe("7").progress == 5
        with pytest.raises(JobGoneError):
            api.describe("7")
        with pytest.raises(UnauthorizedError):
            api.describe("7")
