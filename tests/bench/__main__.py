"""Runs the benches: ``python -m tests.bench [--quick] [--only NAME]... [--write]``."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.bench import contention, delay, fleet, growth, intervals, memory, page, poll, scrape, start
from tests.bench.processes import THERE
from tests.bench.rows import HEAD, Row, Run, lines
from tests.venvs import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BENCHES: Final[dict[str, Callable[..., Iterator[Row]]]] = {
    "poll-still": poll.still,
    "poll-moving": poll.moving,
    "poll-finished": poll.finished,
    "poll-secrets": poll.secrets,
    "scrape": scrape.run,
    "contention": contention.run,
    "memory": memory.run,
    "memory-over-time": memory.over_time,
    "growth-clusters": growth.clusters,
    "growth-jobs": growth.jobs,
    "start": start.fresh,
    "restart": start.restart,
    "delay": delay.run,
    "intervals": intervals.run,
    "fleet": fleet.run,
}


def machine() -> str:
    """Say what this machine is."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    model = found[1].strip() if found else platform.machine()
    return f"{model}, {os.cpu_count()} processors, Python {platform.python_version()}"


def ran(name: str, where: str, *, quick: bool) -> Run:
    """Run a bench to its end, or to its failure."""
    begin = time.monotonic()
    rows: tuple[Row, ...] = ()
    failure = ""
    try:
        rows = tuple(BENCHES[name](quick=quick))
    except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - it is reported, and the others go on
        traceback.print_exc()
        failure = (str(error).splitlines() or [""])[0] or type(error).__name__
    date = datetime.now(UTC).strftime("%Y-%m-%d")
    return Run(name, where, date, quick, round(time.monotonic() - begin, 1), rows, failure)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, which show only that the benches work")
    parser.add_argument("--only", action="append", choices=BENCHES, help="this bench; may be given several times")
    parser.add_argument("--write", action="store_true", help="put the results in the place of older ones in the docs")
    parser.add_argument(
        "--docs", type=Path, default=ROOT / "docs", help="folder of performance.json and performance.md"
    )
    chosen = parser.parse_args()
    where = machine()
    os.sched_setaffinity(0, {THERE})
    print(where, "", *HEAD, sep="\n", flush=True)
    failed = 0
    for name in chosen.only or BENCHES:
        run = ran(name, where, quick=chosen.quick)
        print(*lines(run), sep="\n", flush=True)
        failed += bool(run.failure)
        if chosen.write:
            page.keep(chosen.docs, run, tuple(BENCHES))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
