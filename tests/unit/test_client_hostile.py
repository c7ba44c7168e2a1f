"""Whatever bytes and whatever JSON a server sends: an ``ApiError`` or bounded, printable jobs, and nothing else."""

import json
import unicodedata
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitor.client.decoding import Body, envelope
from monitor.client.errors import MESSAGE_LIMIT, ApiError
from monitor.client.milvus23 import checked, record_of_task
from monitor.client.pagination import ListReader, Page, decode_page, page_of
from monitor.client.v2 import described
from monitor.jobs import ID_LIMIT, NAME_LIMIT, REASON_LIMIT, JobList, JobRecord
from tests.unit.test_client_decoding import refused

# A machine with something else to do is slow, not wrong.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

FIELDS = [
    "jobId",
    "jobID",
    "taskID",
    "id",
    "collectionName",
    "dbName",
    "state",
    "progress",
    "reason",
    "errorMessage",
    "importedRows",
    "totalRows",
    "createTime",
    "completeTime",
    "details",
    "readyPercentage",
    "infos",
    "key",
    "value",
    "create_ts",
    "row_count",
    "records",
    "tasks",
    "pageSize",
    "currentPage",
    "code",
    "error_code",
    "data",
    "message",
    "status",
    "retriable",
]
WORDS = ("Failed", "Importing", "100%", "-1", "2024-04-01T06:17:55Z", "9999-12-31T23:59:59-23:59", "collection", "7")

text = st.one_of(st.text(st.characters(codec=None)), st.sampled_from(WORDS), st.text("ab\n\x00\ud800", max_size=600))
leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 10),
    st.sampled_from([10**130, -(10**130), 2**63, 253_402_300_800]),
    st.floats(),
    text,
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    known = st.dictionaries(st.sampled_from(FIELDS), inner, max_size=8)
    return st.one_of(st.lists(inner, max_size=4), known, st.dictionaries(text, inner, max_size=2))


anything = st.recursive(leaf, containers, max_leaves=25)
record = st.dictionaries(st.sampled_from(FIELDS), anything, max_size=12)
answer = st.one_of(
    anything,
    st.fixed_dictionaries({"code": st.sampled_from([0, 200, "0", 1, 65535])}, optional={"data": anything}),
    st.fixed_dictionaries({"code": st.just(0), "data": st.lists(record, max_size=3)}),
    st.fixed_dictionaries({"code": st.just(0), "data": record}),
    st.fixed_dictionaries({"status": st.one_of(record, st.just({}))}, optional={"tasks": st.lists(record, max_size=3)}),
)


def check(job: JobRecord) -> None:
    """Fail unless a job can be shown, stored and logged as it is."""
    assert 1 <= len(job.job_id) <= ID_LIMIT
    assert job.job_id.isprintable()
    for label in (job.collection, job.database, job.state, job.create_time, job.complete_time):
        assert len(label) <= NAME_LIMIT
        assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in label)
    assert len(job.reason) <= REASON_LIMIT
    for shown in (job.job_id, job.collection, job.database, job.state, job.reason):
        shown.encode()
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in job.reason if char not in "\t\n")
    assert job.progress is None or 0 <= job.progress <= 100
    for number in (job.imported_rows, job.total_rows):
        assert number is None or 0 <= number <= 2**63


def check_error(error: ApiError) -> None:
    """Fail unless an error is one bounded line without secrets of a terminal in it."""
    assert str(error)
    assert len(str(error)) <= MESSAGE_LIMIT
    assert not any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in str(error))
    str(error).encode()


@unhurried
@given(answer)
@example({"code": 0, "data": {"records": [{"jobId": "1", "collectionName": "\ud800"}]}})
@example({"code": "9" * 5000})
def test_any_json_as_a_list_is_jobs_or_an_api_error(payload: Any) -> None:
    body = json.dumps(payload).encode()
    for listing in (list_in(lambda page, _: decode_page(page, 100), body), list_in(tasks_in, body)):
        for job_id, job in listing.records.items():
            assert job.job_id == job_id
            check(job)
        assert all(fault.isprintable() for fault in listing.bad_records)


def list_in(read: Callable[[Body, str], Page], content: bytes) -> JobList:
    """Read a list of one page, or an empty one where that raises an error of ours."""
    reader = ListReader(read, JobList())
    try:
        reader.add("", 1, Body(content, "host:1"))
        return reader.result("check `url`")
    except ApiError as error:
        check_error(error)
        return JobList()


def tasks_in(body: Body, _database: str) -> Page:
    tasks = checked(body.json()).get("tasks")
    return page_of(tasks if isinstance(tasks, list) else [], record_of_task)


@unhurried
@given(st.one_of(answer, record))
@example({"details": [{"reason": "x" * 4096}, {"reason": "y" * 4096}]})
@example({"details": 5})
def test_any_json_as_a_describe_is_the_job_or_an_api_error(payload: Any) -> None:
    for answered in (payload, {"code": 0, "data": payload}):
        try:
            job, _ = described(answered, "7")
        except ApiError as error:
            check_error(error)
        else:
            assert job.job_id == "7"
            check(job)


@unhurried
@given(st.one_of(answer, record))
def test_any_json_of_a_management_port_is_jobs_or_an_error_of_ours(payload: Any) -> None:
    for read in (checked, record_of_task):
        try:
            answered = read(payload)
        except ApiError as error:
            check_error(error)
        else:
            if isinstance(answered, JobRecord):
                check(answered)


@unhurried
@given(st.binary())
@example(b"[" * 200_000)
@example(b"9" * 5000)
@example(b'{"code":' + b"9" * 4200 + b"}")
@example(b'"\\ud800"')
@example(b"\xef\xbb\xbf")
def test_any_bytes_are_json_or_an_api_error(content: bytes) -> None:
    try:
        envelope(Body(content, "host:1").json())
    except ApiError as error:
        check_error(error)


@unhurried
@given(status=st.integers(100, 999), content=st.binary(), retry_after=st.text(st.characters(codec="latin-1")))
def test_any_refusal_is_an_api_error(status: int, content: bytes, retry_after: str) -> None:
    error = refused(status, content, headers={"Retry-After": retry_after, "Location": retry_after})
    check_error(error)
    assert error.retry_after is None or error.retry_after >= 0
