"""Runs the reliability tests at full length and writes their results to docs/reliability.md: `make reliability`."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- begin of make reliability -->\n", "<!-- end of make reliability -->\n"

GROUPS = {
    "kills": ("tests/e2e/test_crash.py",),
    "sharing": ("tests/e2e/test_sharing.py",),
    "hostile": ("tests/e2e/test_hostile.py",),
    "memory": ("tests/e2e/test_memory.py",),
    "fuzz": ("tests/fuzz/test_fuzz.py",),
    "failures": (
        "tests/e2e/test_pair.py",
        "tests/e2e/test_pooler.py",
        "tests/e2e/test_restart.py",
        "tests/e2e/test_clock.py",
        "tests/e2e/test_slow.py",
        "tests/e2e/test_blocked_log.py",
        "tests/integration/test_web_auth.py",
        "tests/integration/test_client_raw_answers.py",
        "tests/integration/test_store.py",
        "tests/integration/test_store_unavailable.py",
        "tests/integration/test_store_logged_once.py",
        "tests/integration/test_store_frozen_disk.py",
    ),
}
"""The tests that run together, by the name by which they can be run alone."""

FULL = {
    "MONITOR_KILLS": "200",
    "MONITOR_KILLS_POSTGRESQL": "60",
    "MONITOR_REPLICA_ROUNDS": "20",
    "MONITOR_FUZZ": "100000",
    "MONITOR_MEMORY_MINUTES": "60",
}


@dataclass(frozen=True, slots=True)
class Count:
    """One result: the property that a test records, its title, and its meaning.

    Attributes:
        key: The property. Where `names` is given, how many tests with such names have passed.
        names: A regular expression.
    """

    key: str
    name: str
    meaning: str
    names: str = field(default="", kw_only=True)


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
    Count(
        "interim_responses",
        "Interim responses",
        "Sequences of responses such as 100 and 103.",
        names="interim|continue|after another",
    ),
    Count(
        "damaged_stores",
        "Damaged stores",
        "Rows, tables and files that are damaged or of another program.",
        names="damage|unreadable|corrupt",
    ),
    Count(
        "interrupted_databases",
        "Interrupted databases",
        "Connections, commits and servers that are cut.",
        names="lost|closed|away|outage|commit|restarts",
    ),
    Count(
        "frozen_databases",
        "Frozen databases",
        "Servers, poolers and disks that do not respond, and locks of others.",
        names="freezes|frozen|hang|lock_of|slow_write",
    ),
    Count(
        "blocked_logs",
        "Blocked logs",
        "A pipe that nobody reads, and a closed standard error.",
        names="wait_for_the_log",
    ),
)
"""Tests of the group `failures` that record nothing: how many have passed."""

ROW = re.compile(r"^\| [^|]+ \| `(\w+)` \| ([^|]+) \| ([^|]+) \|", re.MULTILINE)


def counted(report: Path, group: str) -> dict[str, str]:
    """Return the results of a group by key, from a JUnit report: what its tests recorded, or how many have passed."""
    tree = ET.parse(report)
    if group == "failures":
        names = [str(case.get("name")) for case in tree.iter("testcase") if case.find("skipped") is None]
        return {case.key: str(sum(bool(re.search(case.names, name)) for name in names)) for case in CASES}
    return {str(each.get("name")): str(each.get("value")) for each in tree.iter("property")}


def updated(page: str, values: dict[str, str], when: str) -> str:
    """Return the page with new results and their date; the other rows stay as they are."""
    before, rest = page.split(BEGIN)
    old, after = rest.split(END)
    rows = {key: (value, date) for key, value, date in ROW.findall(old)} | {
        key: (value, when) for key, value in values.items()
    }
    head = "| Result | Property | Value | Date | Meaning |\n|---|---|---|---|---|\n"
    lines = [
        f"| {count.name} | `{count.key}` | {' | '.join(rows.get(count.key, ('not run', '')))} | {count.meaning} |\n"
        for count in COUNTS + CASES
    ]
    return f"{before}{BEGIN}{head}{''.join(lines)}{END}{after}"


def main() -> int:
    """Run groups of tests at full length, and write the results of each group of which no test has failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reliability", description=main.__doc__)
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}; by default all, in this order"
    )
    names = parser.parse_args().groups or [*GROUPS]
    if unknown := set(names) - GROUPS.keys():
        parser.error(f"unknown group: {', '.join(sorted(unknown))}")
    failed = False
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.xml"
            # Of the two forms of the report, only the older one has a place for what a test records.
            options = [f"--basetemp={folder}/tests", f"--junitxml={report}", "-o", "junit_family=xunit1"]
            command = [sys.executable, "-m", "pytest", "--timeout=3600", *options, *GROUPS[name]]
            if subprocess.run(command, check=False, cwd=ROOT, env=FULL | dict(os.environ)).returncode:
                failed = True
                continue
            when = f"{datetime.now(UTC):%Y-%m-%d}"
            PAGE.write_text(updated(PAGE.read_text(encoding="utf-8"), counted(report, name), when), encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
