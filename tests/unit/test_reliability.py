"""The page about reliability has what the command counts, and the command counts what the tests record."""

import re
from pathlib import Path

from tests.bench.reliability import BEGIN, COUNTS, END, FULL, PAGE, ROOT, TESTS, counted, table

KEYS = [one.key for one in COUNTS]


def recorded():
    """The names that the tests of the command record."""
    texts = [(ROOT / test).read_text(encoding="utf-8") for test in TESTS]
    return {name for text in texts for name in re.findall(r'record_property\(\s*"([a-z_]+)"', text)}


def test_the_page_has_each_count_once_and_in_the_commands_order():
    shown = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]

    assert re.findall(r"^\| [^|]+ \| `([a-z_]+)` \|", shown, re.MULTILINE) == KEYS
    assert "| not run |" not in shown


def test_the_command_counts_what_the_tests_record():
    assert set(KEYS) == recorded()


def test_the_page_says_how_to_run_it_in_full():
    text = PAGE.read_text(encoding="utf-8")

    assert "make reliability" in text
    assert all(f"`{name}`" in text for name in FULL)
    assert "reliability:" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_what_tests_record_is_read_from_their_report(tmp_path):
    report = Path(tmp_path) / "report.xml"
    report.write_text('<testsuites><property name="crash_lost" value="0"/></testsuites>')

    assert "| `crash_lost` | 0 |" in table(counted(report), "3.11.7", 2)
