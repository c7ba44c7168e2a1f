"""Kills, cuts and lies in full, and writes what was counted: `make reliability`; MONITOR_SEED repeats the kills."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- counted by make reliability -->\n", "<!-- end of what was counted -->\n"

TESTS = (
    "tests/e2e/test_crash.py",
    "tests/e2e/test_pair.py",
    "tests/e2e/test_restart.py",
    "tests/e2e/test_clock.py",
    "tests/e2e/test_slow.py",
    "tests/integration/test_door.py",
    "tests/e2e/test_hostile.py",
    "tests/fuzz/test_fuzz.py",
)
FULL = {"MONITOR_KILLS": "200", "MONITOR_FUZZ": "100000"}


@dataclass(frozen=True, slots=True)
class Count:
    """One number: the name under which a test records it, what it is called, and what it means."""

    key: str
    name: str
    meaning: str


COUNTS = (
    Count("crash_kills", "Kills survived", "SIGKILLs of the daemon at random moments, each followed by a start."),
    Count("crash_transitions", "Transitions meanwhile", "Recorded of the jobs that moved on while it was killed."),
    Count("crash_lost", "Transitions lost", "Steps that stood still until seen and were not recorded, or not logged."),
    Count("crash_duplicated", "Transitions duplicated", "Steps that were recorded more often than they happened."),
    Count("crash_seed", "Seed of the kills", "`make reliability` with `MONITOR_SEED` set to it draws them again."),
    Count("hostile_kinds", "Kinds of hostile answers", "Each given by a cluster among healthy ones."),
    Count("hostile_healthy_clusters", "Healthy clusters beside them", "Watched by the same daemon."),
    Count("hostile_polls_missed", "Polls missed by the healthy", "Polls that were due and did not run."),
    Count("hostile_scrapes_served", "Scrapes served under attack", "Answers of `/metrics` meanwhile."),
    Count("hostile_peak_rss_mib", "Peak memory under attack", "MiB, resident, of the daemon."),
    Count("fuzz_inputs", "Odd inputs tried", "Mutated answers and config files."),
    Count("fuzz_foreign_errors", "Foreign errors", "Inputs that raised anything but the project's own errors."),
)


def counted(report: Path) -> dict[str, str]:
    """What the tests recorded in a JUnit report, by key."""
    found = ET.parse(report).iter("property")
    return {str(one.get("name")): str(one.get("value")) for one in found}


def table(values: dict[str, str], python: str, cores: int) -> str:
    """The table of the page."""
    rows = [f"| {one.name} | `{one.key}` | {values.get(one.key, 'not run')} | {one.meaning} |" for one in COUNTS]
    head = f"Python {python}, {cores} cores.\n\n| What | Recorded as | Count | Meaning |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def main() -> int:
    """Run the tests in full and write the page; nothing is written where one fails."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        there = [test for test in TESTS if (ROOT / test).exists()]
        # Of the two forms of the report, only the older one has a place for what a test records.
        options = ["--timeout=3600", f"--basetemp={folder}/tests", f"--junitxml={report}", "-o", "junit_family=xunit1"]
        command = [sys.executable, "-m", "pytest", *options, *there]
        ended = subprocess.run(command, check=False, cwd=ROOT, env=FULL | dict(os.environ))
        if ended.returncode:
            return ended.returncode
        values = counted(report)
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    filled = table(values, platform.python_version(), os.cpu_count() or 1)
    PAGE.write_text(f"{before}{BEGIN}{filled}{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
