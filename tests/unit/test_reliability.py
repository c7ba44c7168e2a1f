"""The page about reliability has what the command counts, and the command counts what the tests record."""

import re
from pathlib import Path

from tests.bench.reliability import BEGIN, CASES, COUNTS, END, FULL, GROUPS, PAGE, ROOT, ROW, counted, updated

KEYS = [one.key for one in COUNTS]


def recorded():
    """The names that the tests of the command record."""
    texts = [(ROOT / test).read_text(encoding="utf-8") for tests in GROUPS.values() for test in tests]
    return {name for text in texts for name in re.findall(r'record_property\(\s*"([a-z_]+)"', text)}


def test_the_page_has_each_count_once_and_in_the_commands_order():
    shown = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]

    assert [key for key, *_ in ROW.findall(shown)] == KEYS + [one.key for one in CASES]
    assert "| not run |" not in shown


def test_the_command_counts_what_the_tests_record():
    assert set(KEYS) == recorded()


def test_the_page_says_how_to_run_it_in_full():
    text = PAGE.read_text(encoding="utf-8")

    assert "make reliability" in text
    assert all(f"`{name}`" in text for name in FULL)
    assert "reliability:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_what_tests_record_replaces_their_rows_and_no_others(tmp_path):
    report = Path(tmp_path) / "report.xml"
    report.write_text('<testsuites><property name="crash_lost" value="7"/></testsuites>')
    page = PAGE.read_text(encoding="utf-8")

    rows, rows_before = (
        {key: rest for key, *rest in ROW.findall(text)}
        for text in (updated(page, counted(report, "kills"), "2030-01-31"), page)
    )

    assert rows == rows_before | {"crash_lost": ["7", "2030-01-31"]}


def test_passed_tests_are_counted_by_their_names(tmp_path):
    report = Path(tmp_path) / "report.xml"
    report.write_text(
        '<testsuites><testcase name="test_a_frozen_disk"/><testcase name="test_a_frozen_server"><skipped/></testcase>'
        "</testsuites>"
    )

    assert counted(report, "failures")["frozen_databases"] == "1"
