"""One job's own answer, in the words of each generation."""

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.api.errors import (
    ApiError,
    BadResponseError,
    ErrorKind,
    JobGoneError,
    OtherError,
    TransientError,
    UnauthorizedError,
)
from monitor.api.milvus23 import _checked, _job
from monitor.api.records import REASON_LIMIT, BadRecordError
from monitor.api.v1 import _in_v2_words
from monitor.api.v2 import V2Api, described, says_gone
from monitor.jobs import Job, JobState
from tests.clusters import cluster

SAMPLES = Path(__file__).parent.parent / "samples"


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_bytes())


def test_a_describe_of_zilliz_cloud_is_read_in_full() -> None:
    data = sample("zilliz-v2-describe")["data"]
    assert described(data, "448761313698322011") == Job(
        job_id="448761313698322011",
        collection="medium_articles",
        state=JobState.COMPLETED,
        progress=1.0,
        total_rows=100_000,
        completed_at=1711952275.0,
    )


def test_a_describe_without_an_id_is_about_the_job_that_was_asked_for() -> None:
    assert described({"state": "Failed"}, "7").job_id == "7"


def test_a_describe_may_come_as_an_array_of_one() -> None:
    assert described([{"jobId": 7, "state": "Failed"}], "7").state is JobState.FAILED


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
    with pytest.raises(BadResponseError, match="no job"):
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
    assert described({"state": "Failed", "reason": "", "details": details}, "7").state is JobState.FAILED


@pytest.mark.parametrize(
    ("code", "message", "gone"),
    [
        (2100, "import job does not exist, jobID=7: importing data failed", True),
        (2101, "Import job does not exist", True),
        (2100, "job 7 does not exist", True),
        (96026, "whatever it says", True),
        (2100, "importing data failed", False),
        (2100, "bucket does not exist: importing data failed", False),
        (2100, "job failed: file does not exist", False),
        (100, "import job does not exist", False),
        (65535, "import job does not exist", False),
        (None, "import job does not exist", False),
    ],
)
def test_only_the_servers_word_about_the_job_itself_makes_it_gone(code: int | None, message: str, gone: bool) -> None:
    assert says_gone(OtherError(message, code=code)) is gone


@pytest.mark.parametrize(
    ("data", "progress"),
    [
        ({"readyPercentage": 40}, 0.4),
        ({"readyPercentage": "40"}, 0.4),
        ({"readyPercentage": 100}, 1.0),
        ({"readyPercentage": 0.4}, 0.4),
        ({"readyPercentage": 0}, 0.0),
        ({"readyPercentage": 1, "completeTime": "2024-04-01T06:17:55Z"}, 1.0),
        ({"readyPercentage": 1, "completeTime": None}, None),
        ({"readyPercentage": 1}, None),
        ({"readyPercentage": -1}, None),
        ({"readyPercentage": None}, None),
        ({"readyPercentage": "soon"}, None),
        ({}, None),
        ({"progress": 30, "readyPercentage": 90}, 0.3),
    ],
)
def test_a_ready_percentage_is_a_percentage_or_a_share(data: dict[str, Any], progress: float | None) -> None:
    ours = described(_in_v2_words(data), "7").progress
    assert ours == (progress if progress is None else pytest.approx(progress))


def test_a_v1_answer_that_is_no_object_is_left_to_whoever_reads_it() -> None:
    assert _in_v2_words([1]) == [1]


def test_tasks_recorded_from_a_real_server_are_read_in_full() -> None:
    tasks = _checked(sample("milvus-2.3.5-tasks"))["tasks"]
    assert [_job(task) for task in tasks] == [
        Job(
            job_id="470669361897275710",
            collection="books",
            state=JobState.COMPLETED,
            progress=1.0,
            imported_rows=50_000,
            created_at=1795461189.0,
        ),
        Job(
            job_id="470669361897275712",
            collection="books",
            state=JobState.FAILED,
            progress=0.0,
            reason="failed to get file size of '/nope.json', error:stat /nope.json: no such file or directory: "
            "importing data failed",
            created_at=1795461189.0,
        ),
    ]


def test_a_task_without_a_state_is_pending_because_go_leaves_out_zeros() -> None:
    assert _job({"id": 7}) == Job(job_id="7", collection="", state=JobState.PENDING, progress=0.0)


@pytest.mark.parametrize("infos", [None, "x", 5, {}, [1, None], [{}], [{"key": []}], [{"key": "collection"}]])
def test_infos_of_another_type_cost_only_themselves(infos: Any) -> None:
    assert _job({"id": 7, "state": 1, "infos": infos}) == Job(job_id="7", collection="", state=JobState.FAILED)


@pytest.mark.parametrize("task", [None, [], "text", 5, {}, {"id": []}, {"id": None}])
def test_a_task_without_a_usable_id_is_no_job(task: Any) -> None:
    with pytest.raises(BadRecordError):
        _job(task)


def test_a_server_that_is_not_ready_is_transient() -> None:
    with pytest.raises(TransientError, match=r"^service not ready\[standalone=0\]: Abnormal \(code 1\)$"):
        _checked(sample("milvus-2.3.5-not-ready"))


def test_a_missing_collection_is_not_found() -> None:
    with pytest.raises(ApiError, match="collection not found") as caught:
        _checked(sample("milvus-2.3.5-collection-not-found"))
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
        _checked({"status": status})
    assert (caught.value.kind, str(caught.value)) == (kind, message)


@pytest.mark.parametrize("status", [{}, {"code": 0}, {"error_code": "0", "reason": ""}])
def test_a_status_without_a_code_is_fine(status: dict[str, Any]) -> None:
    assert _checked({"status": status}) == {"status": status}


@pytest.mark.parametrize("payload", [None, [], "text", {}, {"status": "fine"}, {"status": None}, {"code": 0}])
def test_an_answer_without_a_status_names_the_management_port(payload: Any) -> None:
    with pytest.raises(BadResponseError, match="management port"):
        _checked(payload)


def test_a_proxy_that_answers_in_place_of_the_management_port_is_understood() -> None:
    with pytest.raises(ApiError, match="hasn't authenticated") as caught:
        _checked(sample("milvus-2.6-unauthenticated"))
    assert caught.value.kind is ErrorKind.UNAUTHORIZED


class Answers:
    """A session that has one answer or error for each database."""

    def __init__(self, **by_database: Any) -> None:
        self._by_database = by_database

    def call(self, *_: Any, headers: dict[str, str], check: Any, **__: Any) -> Any:
        answer = self._by_database[headers["DB-Name"]]
        if isinstance(answer, Exception):
            raise answer
        return check(answer)


GONE = OtherError("import job does not exist, jobID=7", code=2100)
HERE = {"code": 0, "data": {"jobId": "7", "state": "Importing", "progress": 5}}


def test_a_job_is_gone_only_when_no_database_has_it() -> None:
    settings = cluster("http://milvus", databases=("a", "b"))

    assert V2Api(settings, Answers(a=GONE, b=HERE)).describe("7").progress == 0.05
    with pytest.raises(JobGoneError):
        V2Api(settings, Answers(a=GONE, b=GONE)).describe("7")
    with pytest.raises(UnauthorizedError):
        V2Api(settings, Answers(a=GONE, b=UnauthorizedError("no"))).describe("7")
