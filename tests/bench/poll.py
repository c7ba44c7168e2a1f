"""What a poll costs the whole daemon, beside the bare call of pymilvus and a bare request of the same bytes."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from monitor.scheduler import SLOT
from tests.bench.processes import PATIENCE, Replay, cpu_seconds, monitor, printed, replay, write_config
from tests.bench.replay import Plan
from tests.bench.rows import Row
from tests.integration.test_simulator_peers import PYMILVUS
from tests.venvs import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS: Final = 100
LOOK: Final = 2.0
"""Seconds over which polls are counted to see whether they come steadily."""

STILL: Final = Plan(JOBS, unfinished=2)
MOVING: Final = Plan(JOBS, unfinished=50, progressing=10, step_every=1)

_CALLS: Final = """
count, burst, pause = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
for index in range(20 + count):
    if index == 20:
        before = time.process_time()
    if index % burst == 0:
        time.sleep(pause)
    call()
print((time.process_time() - before) / count)
"""
_PYMILVUS: Final = f"""
import sys, time
from pymilvus.bulk_writer import list_import_jobs
def call():
    list_import_jobs(url=sys.argv[1], api_key="", cluster_id="").json()
{_CALLS}"""
_URLLIB3: Final = f"""
import sys, time, urllib3
http, headers = urllib3.PoolManager(), {{"Content-Type": "application/json", "Accept-Encoding": "gzip"}}
url, body = f"{{sys.argv[1]}}/v2/vectordb/jobs/import/list", b'{{"pageSize":100,"currentPage":1}}'
def call():
    assert http.request("POST", url, body=body, headers=headers).data
{_CALLS}"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a monitor has to do: so many clusters, each polled every so many seconds, with so many series each."""

    clusters: int
    interval: float
    series: int | None = None


def cost(server: Replay, load: Load, seconds: float) -> float:
    """Return the CPU seconds of a poll of the whole daemon in steady state: schedule, fetch, diff, store, metrics.

    Args:
        server: Who answers; it counts the polls.
        load: What is polled.
        seconds: How long to measure, once the polls come steadily.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = server.clusters(load.clusters)
        config = write_config(Path(folder), places, interval=load.interval, series=load.series)
        with monitor(config) as running:
            running.wait_until_ready()
            _wait_until_steady(server, load)
            before, polls = cpu_seconds(running.pid), server.count()
            time.sleep(seconds)
            used, polls = cpu_seconds(running.pid) - before, server.count() - polls
            return used / polls


def _wait_until_steady(server: Replay, load: Load) -> None:
    """Wait until polls come as planned, and an interval more.

    First polls come all at once, then none for a while, and second polls still make what third ones find.
    """
    planned = load.clusters / load.interval
    end = time.monotonic() + 2 * load.interval + PATIENCE
    polls = 0.0
    while polls < 0.9 * planned * LOOK and time.monotonic() < end:
        before = server.count()
        time.sleep(LOOK)
        polls = server.count() - before
    assert polls >= 0.9 * planned * LOOK, f"{polls / LOOK:.0f} polls a second instead of {planned:.0f}"
    time.sleep(load.interval)


def _compare(kind: str, plan: Plan, goals: dict[str, float], *, quick: bool) -> Iterator[Row]:
    load, seconds, calls, rounds = (Load(50, 1.0), 1.5, 50, 1) if quick else (Load(1000, 10.0), 12.0, 1000, 3)
    burst = int(load.clusters / load.interval * SLOT)
    ways = {"": 0.0, f", {burst} every {SLOT} s as the monitor polls": SLOT}
    bare = {
        "the call of pymilvus": (environment("pymilvus", PYMILVUS), _PYMILVUS, goals["pymilvus"]),
        "the request with urllib3": (sys.executable, _URLLIB3, goals.get("urllib3")),
    }
    daemon: list[float] = []
    others: dict[str, list[float]] = {}
    with replay(plan) as server:
        for _ in range(rounds):
            daemon.append(cost(server, load, seconds))
            for name, (python, program, _) in bare.items():
                for way, pause in ways.items():
                    url = f"http://127.0.0.1:{server.port}/bare"
                    took = float(printed(python, "-c", program, url, calls, burst, pause))
                    others.setdefault(name + way, []).append(took)
    what = f"a poll of {JOBS} jobs, {kind}, {load.clusters:,} clusters"
    for name, found in others.items():
        goal = bare[name][2] if name in bare else None
        yield Row(what, 1e6 * median(daemon), "µs CPU", name, 1e6 * median(found), goal)


def still(*, quick: bool) -> Iterator[Row]:
    """Nothing has changed."""
    yield from _compare("nothing changed", STILL, {"pymilvus": 1 / 3, "urllib3": 1.5}, quick=quick)


def moving(*, quick: bool) -> Iterator[Row]:
    """A tenth of the jobs has progressed, and one has changed its state."""
    yield from _compare("10 progressed and 1 transition", MOVING, {"pymilvus": 2 / 3}, quick=quick)
