"""From a record to a job: every spelling that servers are known to use, and what is none."""

import json
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.api.records import (
    ID_LIMIT,
    NAME_LIMIT,
    REASON_LIMIT,
    BadRecordError,
    id_from,
    job_from,
    merged,
    name,
    ratio,
    rows,
    state_from,
    text,
    timestamp,
)
from monitor.api.values import value_of
from monitor.jobs import Job, JobState

PLAIN: Final = {"jobId": "7", "collectionName": "sales", "state": "Importing", "progress": 40}
ODD_JSON: Final = [
    b'{"jobId":"7","jobId":7,"state":"Pending"}',
    b'{"jobId":7,"jobId":"7","state":"Pending"}',
    b'{"jobId":"7","state":"Pending","of":' + b"9" * 5000 + b"}",
    b'{"jobId":"7","state":"Pending","of":"\xff"}',
    b'{"jobId":"7","state":"\xff"}',
    b'{"j\\u006fbId":"7","st\\u0061te":"Pending"}',
    b'{"jobId":"7","state":"Pending","collectionName":"\\ud800"}',
    b'{"jobId":"7","state":"Pending","progress":-0}',
    b'{"jobId":"7","state":"Pending","progress":-0.0}',
    b'{"jobId":"7","state":"Pending","progress":1e400}',
    b'{"jobId":"7","state":"Pending","of":' + b"[" * 5000 + b"]" * 5000 + b"}",
]


@pytest.mark.parametrize(
    ("state", "raw_states"),
    [
        (JobState.PENDING, ["Pending", "ImportPending", 0, "0"]),
        (
            JobState.IMPORTING,
            ["Importing", "InProgress", "ImportRunning", "ImportStarted", 2, "ImportPersisted", 5, "ImportFlushed"],
        ),
        (JobState.UNCOMMITTED, ["Uncommitted"]),
        (JobState.COMMITTING, ["Committing"]),
        (JobState.COMPLETED, ["Completed", "ImportCompleted", 6]),
        (JobState.FAILED, ["Failed", "ImportFailed", 1, "ImportFailedAndCleaned", 7, " FAILED "]),
    ],
)
def test_every_state_of_the_table_is_known_in_every_spelling(state: JobState, raw_states: list[Any]) -> None:
    assert [state_from(raw) for raw in raw_states] == [(state, "")] * len(raw_states)


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("None", "None"),
        ("Sorting", "Sorting"),
        (42, "42"),
        (-1, "-1"),
        (None, ""),
        (True, "a boolean"),
        (["Failed"], "an array"),
        ({"a": 1}, "an object"),
        (1.0, "a fraction"),
        ("two\nlines", "two�lines"),
        pytest.param(10**4000, "1" + "0" * (NAME_LIMIT - 1), id="4000 digits"),
    ],
)
def test_any_other_state_is_unknown_and_its_raw_text_is_kept(raw: Any, kept: str) -> None:
    assert state_from(raw) == (JobState.UNKNOWN, kept)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0, 0.0),
        (80, 0.8),
        (100, 1.0),
        (37.5, 0.375),
        ("40", 0.4),
        ("100%", 1.0),
        (" 12.5 % ", 0.125),
        (101, 1.0),
        (10**17, 1.0),
        (-5, None),
        ("-5%", None),
        (None, None),
        ("", None),
        ("half", None),
        (True, None),
        ([80], None),
        (float("nan"), None),
        (float("inf"), None),
        (10**400, None),
        pytest.param("9" * 5000, None, id="5000 digits"),
    ],
)
def test_a_progress_is_a_ratio_or_nothing(progress: Any, expected: float | None) -> None:
    assert ratio(progress) == expected


@pytest.mark.parametrize("key", ["jobId", "jobID", "taskID", "id"])
@pytest.mark.parametrize("value", ["449000000000000003", 449000000000000003])
def test_an_id_has_four_names_and_two_types(key: str, value: Any) -> None:
    assert job_from({key: value, "state": "Pending"}).job_id == "449000000000000003"


def test_an_empty_id_gives_way_to_the_next_name() -> None:
    assert job_from({"jobId": "", "jobID": None, "taskID": 7}).job_id == "7"


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        ({}, "a record's job id is missing"),
        ({"jobId": ""}, "a record's job id is missing"),
        ({"jobId": True}, "a record's job id is a boolean"),
        ({"jobId": [7]}, "a record's job id is an array"),
        ({"jobId": {"a": 1}}, "a record's job id is an object"),
        ({"jobId": 1.5}, "a record's job id is a fraction"),
        ({"jobId": "   "}, "a record's job id has 0 characters instead of 1 to 128"),
        ({"jobId": "x" * 1000}, "a record's job id has 1000 characters instead of 1 to 128"),
        ({"jobId": 10**400}, "a record's job id has 129 characters instead of 1 to 128"),
        ({"jobId": "a\nb"}, "a record's job id has characters that cannot be printed"),
        ({"jobId": "a\u202eb"}, "a record's job id has characters that cannot be printed"),
        ({"jobId": "a\ud800"}, "a record's job id has characters that cannot be printed"),
        ("text", "a record is text instead of an object"),
        (5, "a record is a number instead of an object"),
        (None, "a record is missing instead of an object"),
        ([], "a record is an array instead of an object"),
    ],
)
def test_a_record_without_a_usable_id_is_no_job(record: Any, complaint: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        job_from(record)
    assert str(caught.value) == complaint


def test_the_longest_id_is_accepted_and_a_longer_one_is_not() -> None:
    assert id_from("x" * ID_LIMIT) == "x" * ID_LIMIT
    assert id_from(10 ** (ID_LIMIT - 1)) == "1" + "0" * (ID_LIMIT - 1)
    for too_long in ("x" * (ID_LIMIT + 1), 10**ID_LIMIT, -(10 ** (ID_LIMIT - 1))):
        with pytest.raises(BadRecordError):
            id_from(too_long)


def test_wrong_types_beside_a_good_id_cost_only_themselves() -> None:
    record = {
        "jobId": "7",
        "collectionName": 17,
        "state": ["Importing"],
        "progress": {"b": 2},
        "importedRows": "many",
        "totalRows": [],
        "completeTime": {},
        "createTime": "yesterday",
        "reason": 5,
    }
    assert job_from(record) == Job(job_id="7", collection="", state=JobState.UNKNOWN, raw_state="an array")


def test_a_full_record_is_read_in_full() -> None:
    record = {
        "jobId": "7",
        "collectionName": "events",
        "dbName": "sales",
        "state": "Importing",
        "progress": "80%",
        "reason": "slow\n",
        "importedRows": "500",
        "totalRows": 1000,
        "createTime": "2024-04-01T06:17:53Z",
        "completeTime": "",
    }
    assert job_from(record) == Job(
        job_id="7",
        collection="events",
        state=JobState.IMPORTING,
        database="sales",
        progress=0.8,
        reason="slow",
        imported_rows=500,
        total_rows=1000,
        created_at=1711952273.0,
    )


def test_the_database_that_was_asked_for_is_the_jobs() -> None:
    assert job_from({"jobId": "7", "dbName": "other"}, database="sales").database == "sales"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-04-01T06:17:55Z", 1711952275.0),
        ("2024-04-01T06:17:55", 1711952275.0),
        ("2024-04-01T08:17:55+02:00", 1711952275.0),
        (1795461189, 1795461189.0),
        ("1795461189", 1795461189.0),
        (0, None),
        (-1, None),
        ("", None),
        ("soon", None),
        (None, None),
        (True, None),
        ("2024-04-01T06:17:55\ud800", None),
    ],
)
def test_a_time_is_seconds_since_the_epoch_or_nothing(value: Any, expected: float | None) -> None:
    assert timestamp(value) == expected


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", 10**18, "999999999999999999", 3e11])
def test_a_time_that_no_calendar_of_ours_holds_is_nothing(value: Any) -> None:
    # Go writes its zero time as the year 1; datetime.fromtimestamp raises beyond the year 9999.
    assert timestamp(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (7, 7), ("7", 7), (7.9, 7), (-1, None), (2**63, None), ("many", None), (None, None), (True, None)],
)
def test_a_number_of_rows_is_a_number_or_nothing(value: Any, expected: int | None) -> None:
    assert rows(value) == expected


def test_a_name_is_one_bounded_line() -> None:
    assert name("a\nb\tc\x1b[31m\x85\u2028\ud800") == "a�b�c�[31m���"
    assert len(name("x" * 10_000)) == NAME_LIMIT
    assert name(17) == ""


def test_a_reason_keeps_its_lines_and_is_bounded() -> None:
    assert text(" first\n\tsecond\x00\n") == "first\n\tsecond�"
    assert len(text("x" * 10_000)) == REASON_LIMIT
    assert text("x" * 10_000).endswith("…")


def test_a_describe_adds_to_a_listed_job_and_changes_no_state() -> None:
    listed = Job("7", "events", JobState.IMPORTING, database="sales", progress=0.4, reason="", created_at=1.0)
    described = Job("7", "", JobState.FAILED, reason="quota", imported_rows=5, total_rows=9, completed_at=3.0)
    assert merged(listed, described) == Job(
        "7",
        "events",
        JobState.IMPORTING,
        database="sales",
        progress=0.4,
        reason="quota",
        imported_rows=5,
        total_rows=9,
        created_at=1.0,
        completed_at=3.0,
    )


def test_a_describe_without_a_state_leaves_the_listed_one() -> None:
    listed = Job("7", "events", JobState.UNKNOWN, raw_state="Sorting", imported_rows=1, total_rows=2, completed_at=3.0)
    described = Job("7", "events", JobState.UNKNOWN, progress=0.5, created_at=2.0)
    assert merged(listed, described) == Job(
        "7",
        "events",
        JobState.UNKNOWN,
        raw_state="Sorting",
        progress=0.5,
        imported_rows=1,
        total_rows=2,
        created_at=2.0,
        completed_at=3.0,
    )


def outcome(record: Any) -> str:
    """Return what is made of a record: the job, or why it is none."""
    try:
        return repr(job_from(record))
    except BadRecordError as error:
        return str(error)
    except (ValueError, RecursionError):
        return "cannot be read"


words = st.one_of(
    st.sampled_from(["", " ", "7", "a b", " 7", "\x00", "\u2028", "é", "\U0001f600", "x" * 128, "x" * 129, "x" * 257]),
    st.sampled_from(
        ["Importing", "importing", "IMPORTING", "Paused", 2, 0, 100, 101, -1, 40.0, 40.5, True, None, [], {}]
    ),
)


@given(
    st.fixed_dictionaries(
        {}, optional={field: st.one_of(st.just(usual), words) for field, usual in PLAIN.items()} | {"reason": words}
    )
)
@example(PLAIN)
@example(PLAIN | {"progress": 0})
@example(PLAIN | {"jobID": "8"})
@example(PLAIN | {"jobId": "", "id": "8"})
@example(PLAIN | {"dbName": "other", "importedRows": 5, "createTime": "2024-01-01T00:00:00Z"})
def test_a_record_that_is_still_json_is_the_job_that_it_is_once_it_is_decoded(record: dict[str, Any]) -> None:
    assert outcome(msgspec.Raw(json.dumps(record).encode())) == outcome(record)


@pytest.mark.parametrize("content", ODD_JSON)
def test_odd_json_of_a_record_is_the_job_that_it_is_once_it_is_decoded(content: bytes) -> None:
    try:
        expected = outcome(value_of(content))
    except (ValueError, RecursionError):
        expected = "cannot be read"

    assert outcome(msgspec.Raw(content)) == expected
