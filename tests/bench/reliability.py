"""Runs the reliability tests at full length and writes docs/reliability.md: `make reliability`."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- begin of make reliability -->\n", "<!-- end of make reliability -->\n"

TESTS = (
    "tests/e2e/test_crash.py",
    "tests/e2e/test_pair.py",
    "tests/e2e/test_sharing.py",
    "tests/e2e/test_restart.py",
    "tests/e2e/test_clock.py",
    "tests/e2e/test_slow.py",
    "tests/integration/test_web_auth.py",
    "tests/e2e/test_memory.py",
    "tests/e2e/test_hostile.py",
    "tests/fuzz/test_fuzz.py",
    "tests/integration/test_client_raw_answers.py",
    "tests/integration/test_store.py",
    "tests/integration/test_store_unavailable.py",
    "tests/e2e/test_blocked_log.py",
)
FULL = {
    "MONITOR_KILLS": "200",
    "MONITOR_KILLS_POSTGRESQL": "60",
    "MONITOR_REPLICA_ROUNDS": "10",
    "MONITOR_FUZZ": "100000",
    "MONITOR_MEMORY_MINUTES": "60",
}


@dataclass(frozen=True, slots=True)
class Count:
    """One result: the property that a test records, its title, and its meaning."""

    key: str
    name: str
    meaning: str


COUNTS = (
    Count("crash_kills", "Kills", "SIGKILLs of the daemon at random times, each followed by a restart."),
    Count("crash_transitions", "Recorded transitions", "Transitions recorded for jobs that changed during the kills."),
    Count("crash_lost", "Lost transitions", "Observable state changes that were not recorded or not logged."),
    Count("crash_duplicated", "Duplicate transitions", "Transitions that were recorded more than once."),
    Count("crash_seed", "Seed", "Set `MONITOR_SEED` to it to repeat the same kills."),
    Count("crash_postgresql_kills", "Kills with PostgreSQL", "The same with the state on PostgreSQL."),
    Count("crash_postgresql_transitions", "Recorded transitions", "With PostgreSQL."),
    Count("crash_postgresql_lost", "Lost transitions", "With PostgreSQL."),
    Count("crash_postgresql_duplicated", "Duplicate transitions", "With PostgreSQL."),
    Count(
        "replica_hand_overs",
        "Hand-overs",
        "Times that one of three monitors was killed, stopped, resumed, ended or added, or PostgreSQL was restarted.",
    ),
    Count("replica_transitions", "Transitions meanwhile", "Each recorded once, and logged."),
    Count(
        "replica_longest_gap",
        "Longest gap",
        "Seconds from one poll of a cluster to the next; interval 2 s, takeover 5 s.",
    ),
    Count("replica_requests_of_plan", "Requests", "Share of those that one monitor would have sent."),
    Count(
        "hostile_kinds", "Kinds of hostile responses", "Each sent by a cluster polled together with healthy clusters."
    ),
    Count("hostile_healthy_clusters", "Healthy clusters", "Polled by the same daemon."),
    Count("hostile_polls_missed", "Missed polls of healthy clusters", "Polls that were due and did not run."),
    Count("hostile_scrapes_served", "Scrapes served", "Successful requests of `/metrics` during the test."),
    Count("hostile_peak_rss_mib", "Peak memory", "Resident memory of the daemon, in MiB."),
    Count("memory_minutes", "Minutes of the memory test", "Jobs, clusters, config and clients change all the time."),
    Count("memory_reloads", "Reloads", "During these minutes; each adds, removes and changes clusters."),
    Count("memory_requests", "Requests", "Pages, API, scrapes and event streams during these minutes."),
    Count("memory_rss_mib", "Memory at the end", "Resident memory of the daemon, in MiB."),
    Count("memory_mib_a_minute", "Growth of memory", "MiB a minute in the second half; at most 0.1 in 60 minutes."),
    Count("fuzz_inputs", "Fuzzed inputs", "Mutated responses and config files."),
    Count(
        "fuzz_foreign_errors",
        "Unhandled errors",
        "Inputs that raised an exception other than the project's own errors.",
    ),
)


CASES = (
    Count("interim|continue|after another", "Interim responses", "Sequences of responses such as 100 and 103."),
    Count(
        "damage|unreadable|corrupt", "Damaged stores", "Rows, tables and files that are damaged or of another program."
    ),
    Count("lost|closed|away|outage|commit", "Interrupted databases", "Connections, commits and servers that are cut."),
    Count("freezes|frozen|lock_of|slow_write", "Frozen databases", "Servers that do not answer, and locks of others."),
    Count("wait_for_the_log", "Blocked logs", "A pipe that nobody reads, and a closed standard error."),
)
"""Tests without counts of their own, by a regular expression of their names: how many have passed."""


def counted(report: Path) -> dict[str, str]:
    """Return the properties recorded in a JUnit report, by key, and how many tests of each of `CASES` have passed."""
    tree = ET.parse(report)
    values = {str(one.get("name")): str(one.get("value")) for one in tree.iter("property")}
    names = [str(case.get("name")) for case in tree.iter("testcase") if case.find("skipped") is None]
    return values | {one.key: str(sum(bool(re.search(one.key, name)) for name in names)) for one in CASES}


def table(values: dict[str, str], python: str, cores: int) -> str:
    """Return the table of the page."""
    rows = [f"| {one.name} | `{one.key}` | {values.get(one.key, 'not run')} | {one.meaning} |" for one in COUNTS]
    rows += [f"| {one.name} | tests | {values[one.key]} | {one.meaning} |" for one in CASES]
    head = f"Python {python}, {cores} cores.\n\n| Result | Property | Value | Meaning |\n|---|---|---|---|\n"
    return head + "\n".join(rows) + "\n"


def main() -> int:
    """Run the tests at full length and write the page, unless a test fails."""
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
