import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import isfinite
from pathlib import Path

import pytest

from tests.bench.__main__ import BENCHES
from tests.bench.page import load, results, with_tables
from tests.bench.replay import Jobs, Plan
from tests.bench.rows import Row, Run, lines
from tests.venvs import ROOT

DOCS = ROOT / "docs"
AT_A_TIME = 2
"""Runners on each processor: much of a bench is waiting."""


def quick_runs(names: list[str], cpu: int, docs: Path) -> tuple[list[dict], str]:
    """Benches with small sizes, on one processor; what they have written."""
    docs.mkdir()
    shutil.copy(DOCS / "performance.md", docs)
    (docs / "performance.json").write_text("[]")
    line = ["taskset", "-c", str(cpu), sys.executable, "-m", "tests.bench", "--quick", "--write", "--docs", str(docs)]
    line += [f"--only={name}" for name in names]
    uncovered = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280, env=uncovered)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((docs / "performance.json").read_text()), (docs / "performance.md").read_text()


@pytest.mark.timeout(300)
def test_every_bench_works(tmp_path):
    cpus = sorted(os.sched_getaffinity(0))
    runners = AT_A_TIME * len(cpus)
    with ThreadPoolExecutor(runners) as pool:
        tasks = {
            tuple(names): pool.submit(quick_runs, names, cpus[number % len(cpus)], tmp_path / str(number))
            for number in range(runners)
            if (names := list(BENCHES)[number::runners])
        }
    for names, task in tasks.items():
        runs, page = task.result()
        assert tuple(run["bench"] for run in runs) == names
        for run in runs:
            assert run["rows"]
            for row in run["rows"]:
                assert isfinite(row["measured"]), row
                assert f"| {run['bench']}: {row['what']} |" in page


def test_the_page_shows_the_results_that_are_kept():
    page = (DOCS / "performance.md").read_text(encoding="utf-8")

    runs = load(DOCS)
    assert with_tables(page, runs) == page
    assert all(f"\n| {run.bench} | {run.machine} | {run.date} |" in page for run in runs)
    assert {run.bench for run in runs} <= set(BENCHES)


def test_the_page_describes_every_bench():
    page = (DOCS / "performance.md").read_text(encoding="utf-8")

    names = [name for cell in re.findall(r"^\| (`.+?`) \|", page, re.MULTILINE) for name in re.findall("`(.+?)`", cell)]

    assert names == list(BENCHES)


def test_a_row_is_held_to_its_goal():
    cheap = Row("a poll", 100.0, "µs", "the call", 400.0, goal=1 / 3)
    dear = Row("a poll", 2.5, "s", goal=1.0)

    assert results([Run("poll", "", "", quick=False, seconds=1.0, rows=(cheap, dear))])[2:] == [
        "| poll: a poll | 100 | µs | the call | 400 | 0.25 | ≤ 0.333 times | yes |",
        "| poll: a poll | 2.5 | s | | | | ≤ 1 | **no** |",
    ]


def test_a_bench_that_failed_is_told():
    failed = Run("poll", "", "", quick=False, seconds=1.0, failure="no server")

    assert lines(failed) == ["| poll | | failed: no server | | | | | no |"]


def test_replayed_jobs_live_on_and_stay_as_many():
    jobs = Jobs(Plan(jobs=20, unfinished=4, progressing=2, step_every=1))

    seen = []
    for _ in range(60):
        jobs.move()
        records = json.loads(jobs.answer.partition(b"\r\n\r\n")[2])["data"]["records"]
        seen.append({record["jobId"]: (record["state"], record["progress"]) for record in records})

    assert {len(records) for records in seen} == {20}
    assert {sum(state == "Importing" for state, _ in records.values()) for records in seen} == {4}
    assert {sum(state == "Completed" for state, _ in records.values()) for records in seen} == {16}
    assert all(sum(before[job] != after[job] for job in before.keys() & after) <= 4 for before, after in pairwise(seen))
    assert seen[0].keys() != seen[-1].keys()
