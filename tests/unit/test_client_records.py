"""From a record to a job: every spelling that servers are known to use, and what is none."""

import json
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.client.decoding import Body
from monitor.client.errors import BadRecordError
from monitor.client.pagination import decode_page, page_of
from monitor.client.records import id_from, name, percent, record_from, rows, state, text, time_text
from monitor.jobs import ID_LIMIT, NAME_LIMIT, REASON_LIMIT, JobRecord, JobState, normalize_state

PLAIN: Final = {"jobId": "7", "collectionName": "sales", "state": "Importing", "progress": 40}
ODD_JSON: Final = [
    b'{"jobId":"7","jobId":7,"state":"Pending"}',
    b'{"jobId":7,"jobId":"7","state":"Pending"}',
    b'{"jobId":"7","state":"Pending","of":"\xff"}',
    b'{"jobId":"7","state":"\xff"}',
    b'{"j\\u006fbId":"7","st\\u0061te":"Pending"}',
    b'{"jobId":"7","state":"Pending","collectionName":"\\ud800"}',
    b'{"jobId":"7","state":"Pending","progress":-0}',
    b'{"jobId":"7","state":"Pending","progress":-0.0}',
    b'{"jobId":"7","state":"Pending","progress":1e400}',
]


@pytest.mark.parametrize(
    ("expected", "raw_states"),
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
def test_every_state_of_the_table_is_known_in_every_spelling(expected: JobState, raw_states: list[Any]) -> None:
    assert {normalize_state(state(raw)) for raw in raw_states} == {expected}


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
        pytest.param(10**4000, "1" + "0" * (NAME_LIMIT - 2) + "…", id="4000 digits"),
    ],
)
def test_any_other_state_is_unknown_and_its_raw_text_is_kept(raw: Any, kept: str) -> None:
    assert state(raw) == kept
    assert normalize_state(kept) is JobState.UNKNOWN


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0, 0),
        (80, 80),
        (100, 100),
        (37.5, 37.5),
        ("40", 40),
        ("100%", 100),
        (" 12.5 % ", 12.5),
        (101, 100),
        (10**17, 100),
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
def test_a_progress_is_a_percentage_or_nothing(progress: Any, expected: float | None) -> None:
    assert percent(progress) == expected


@pytest.mark.parametrize("key", ["jobId", "jobID", "taskID", "id"])
@pytest.mark.parametrize("value", ["449000000000000003", 449000000000000003])
def test_an_id_has_four_names_and_two_types(key: str, value: Any) -> None:
    assert record_from({key: value, "state": "Pending"}).job_id == "449000000000000003"


def test_an_empty_id_gives_way_to_the_next_name() -> None:
    assert record_from({"jobId": "", "jobID": None, "taskID": 7}).job_id == "7"


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
        ({"jobId": 10**400}, "a record's job id has 401 characters instead of 1 to 128"),
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
        record_from(record)
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
        "createTime": [],
        "reason": 5,
    }
    assert record_from(record) == JobRecord("7", "an array")


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
    assert record_from(record) == JobRecord(
        job_id="7",
        collection="events",
        state="Importing",
        database="sales",
        progress=80,
        reason="slow",
        imported_rows=500,
        total_rows=1000,
        create_time="2024-04-01T06:17:53Z",
    )


def test_the_database_that_was_asked_for_is_the_jobs() -> None:
    assert record_from({"jobId": "7", "dbName": "other"}, database="sales").database == "sales"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-04-01T06:17:55Z", "2024-04-01T06:17:55Z"),
        ("soon", "soon"),
        (1795461189, "1795461189"),
        (1795461189.5, "1795461189.5"),
        (None, ""),
        (True, ""),
        ([], ""),
        (10**400, ""),
        ("2024\ud800", "2024\ufffd"),
    ],
)
def test_a_time_is_kept_as_the_text_that_the_server_writes(value: Any, expected: str) -> None:
    assert time_text(value) == expected


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


# One typed call for a whole page comes to the same as reading record by record


def outcome(record: bytes) -> Any:
    """Return what is made of a page with this record alone."""
    page = decode_page(Body(b'{"code":0,"data":{"records":[%s]}}' % record, "host:1"), 100)
    return [*page.records], [*page.bad_records]


def one_by_one(record: bytes) -> Any:
    page = page_of([Body(record, "host:1").json()], record_from)
    return [*page.records], [*page.bad_records]


words = st.one_of(
    st.sampled_from(["", " ", "7", "a b", " 7", "\x00", "\u2028", "é", "\U0001f600", "x" * 128, "x" * 129, "x" * 257]),
    st.sampled_from(["Importing", "Paused", "two\nlines", 2, 0, 100, 101, -1, 40.0, 40.5, True, None, [], {}, 2**60]),
)
MORE: Final = ("reason", "errorMessage", "dbName", "importedRows", "totalRows", "createTime", "completeTime", "id")


@given(
    record=st.fixed_dictionaries(
        {},
        optional={field: st.one_of(st.just(usual), words) for field, usual in PLAIN.items()}
        | dict.fromkeys(MORE, words),
    )
)
@example(record=PLAIN)
@example(record=PLAIN | {"progress": 0})
@example(record=PLAIN | {"jobID": "8"})
@example(record=PLAIN | {"jobId": "", "id": "8"})
@example(record=PLAIN | {"reason": " two\nlines\x00 "})
@example(record=PLAIN | {"dbName": "other", "importedRows": 5, "createTime": "2024-01-01T00:00:00Z"})
def test_a_page_decoded_at_once_is_what_it_is_record_by_record(record: dict[str, Any]) -> None:
    for ascii_only in (True, False):
        try:
            content = json.dumps(record, ensure_ascii=ascii_only).encode()
        except UnicodeEncodeError:
            continue
        assert outcome(content) == one_by_one(content)


@pytest.mark.parametrize("content", ODD_JSON)
def test_odd_json_of_a_record_is_the_same_at_once_and_record_by_record(content: bytes) -> None:
    try:
        content.decode()
    except UnicodeDecodeError:
        assert len(outcome(content)[0]) == 1
    else:
        assert outcome(content) == one_by_one(content)
