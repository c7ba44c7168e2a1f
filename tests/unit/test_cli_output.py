"""Rows as a table, as JSON and as CSV."""

import csv
import io
import json

import pytest

from monitor.cli.output import OutputFormat, iso_time, percent, print_rows, printable

FIELDS = {"database": lambda _: "", "collection": lambda row: row, "progress": lambda _: 0.5}


def printed(capsys, output, *items):
    print_rows(output, [(item,) for item in items], FIELDS, ("collection", "progress"))
    return capsys.readouterr().out


def test_json_has_every_value_as_it_is(capsys):
    assert json.loads(printed(capsys, OutputFormat.JSON, "=1+1")) == [
        {"database": "", "collection": "=1+1", "progress": 0.5}
    ]


@pytest.mark.parametrize("text", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1"])
def test_csv_has_no_cell_that_a_spreadsheet_runs(capsys, text):
    (row,) = csv.DictReader(io.StringIO(printed(capsys, OutputFormat.CSV, text), newline=""))

    assert row == {"database": "", "collection": "'" + text.replace("\r", " "), "progress": "0.5"}


def test_csv_without_rows_has_a_header(capsys):
    assert printed(capsys, OutputFormat.CSV) == "database,collection,progress\n"


def test_a_table_has_progress_in_percent(capsys):
    header, row = printed(capsys, OutputFormat.TABLE, "novels").splitlines()

    assert header.split() == ["COLLECTION", "PROGRESS"]
    assert row.split() == ["novels", "50%"]


def test_text_is_one_line_without_control_characters():
    assert printable("a\nb\x1b[2J\u202e c") == "a b\ufffd[2J\ufffd c"


def test_times_are_utc_to_the_millisecond():
    assert iso_time(1_750_000_000.1239) == "2025-06-15T15:06:40.123Z"
    assert iso_time(None) is None


@pytest.mark.parametrize("whole", range(101))
def test_the_percent_of_a_server_come_back_as_they_were(whole):
    assert percent(whole / 100) == f"{whole}%"


def test_progress_is_100_percent_only_at_the_end():
    assert percent(0.999) == "99%"
