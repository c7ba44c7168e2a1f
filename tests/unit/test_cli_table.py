"""Tables for people: what gives way in a narrow terminal, and what does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.text import Text

from monitor.cli.output import parse_state
from monitor.cli.table import Column, table_lines
from monitor.jobs import JobState

COLUMNS = [
    Column("CLUSTER", 2, is_name=True),
    Column("COLLECTION", 1, is_name=True),
    Column("JOB"),
    Column("PLAN", 2),
    Column("AGE", 1),
    Column("REASON", is_sentence=True),
]
REASON = "open file failed, path=events/part-7.parquet: file does not exist"
ROW = ["production", "a_long_name_of_a_collection", "job-01fa0e5c42cjxvzf9hdmu5y", "Dedicated", "3h5m", REASON]


def lines(width, *rows):
    return [line.plain for line in table_lines(COLUMNS, [[Text(cell) for cell in row] for row in rows], width)]


def test_a_wide_table_has_each_row_on_a_line():
    assert lines(1000, ROW) == [
        "CLUSTER     COLLECTION                   JOB                          PLAN       AGE   REASON",
        "production  a_long_name_of_a_collection  job-01fa0e5c42cjxvzf9hdmu5y  Dedicated  3h5m  " + REASON,
    ]


def test_names_are_shortened_then_columns_left_out_and_reasons_are_below():
    assert lines(80, ROW) == [
        "CLUSTER     COLLECTION              JOB                          PLAN       AGE",
        "production  a_long_name_of_a_coll…  job-01fa0e5c42cjxvzf9hdmu5y  Dedicated  3h5m",
        "    " + REASON,
    ]
    assert lines(72, ROW) == [
        "CLUSTER     COLLECTION            JOB                          AGE",
        "production  a_long_name_of_a_co…  job-01fa0e5c42cjxvzf9hdmu5y  3h5m",
        "    " + REASON,
    ]
    assert lines(50, ROW) == [
        "CLUSTER    COLLECTION  JOB",
        "producti…  a_long_na…  job-01fa0e5c42cjxvzf9hdmu5y",
        "    open file failed, path=events/part-7.parquet:",
        "    file does not exist",
    ]
    assert lines(20, ROW)[:2] == ["JOB", "job-01fa0e5c42cjxvzf9hdmu5y"]


def test_a_reason_is_wrapped_beside_its_row_where_there_is_room():
    assert lines(128, ROW)[1:] == [
        "production  a_long_name_of_a_collection  job-01fa0e5c42cjxvzf9hdmu5y  Dedicated  3h5m  open file failed,",
        " " * 87 + "path=events/part-7.parquet: file does not",
        " " * 87 + "exist",
    ]


def test_optional_columns_without_content_are_left_out():
    assert lines(100, ["a", "b", "1", "", "", ""]) == ["CLUSTER  COLLECTION  JOB  REASON", "a        b           1"]


WORDS = st.text("abc書.:/", min_size=1, max_size=30)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(WORDS, WORDS, WORDS, WORDS, WORDS, st.lists(WORDS).map(" ".join)), max_size=3),
    st.integers(12, 200),
)
def test_no_width_breaks_an_id_or_a_word_or_leaves_a_blank_at_an_end(rows, width):
    shown = lines(width, *rows)

    assert shown == [line.rstrip() for line in shown]
    words = " ".join(shown).split()
    for _, _, job_id, _, _, reason in rows:
        assert {job_id, *reason.split()} <= set(words)
    longest = max((cell_len(word) for row in rows for cell in (row[2], row[5]) for word in cell.split()), default=0)
    assert all(cell_len(line) <= max(width, longest + 4) for line in shown)


@pytest.mark.parametrize(
    ("written", "state"),
    [
        ("Failed", JobState.FAILED),
        ("FAILED", JobState.FAILED),
        (" failed ", JobState.FAILED),
        ("ImportFailed", JobState.FAILED),
        ("InProgress", JobState.IMPORTING),
        ("ImportPersisted", JobState.IMPORTING),
        ("Unknown", JobState.UNKNOWN),
        ("vanished", JobState.VANISHED),
    ],
)
def test_a_state_is_understood_in_any_case_and_as_the_api_writes_it(written, state):
    assert parse_state(written) is state


def test_another_word_is_no_state():
    with pytest.raises(ValueError, match=r"'bogus' is not one of 'pending', 'importing', .*'vanished', 'unknown'$"):
        parse_state("bogus")
