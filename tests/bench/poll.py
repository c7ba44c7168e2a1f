"""What a poll costs the whole daemon, beside the bare call of pymilvus and a bare request of the same bytes."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from tests.bench.processes import Replay, cpu_seconds, monitor, printed, replay, write_config
from tests.bench.replay import Plan
from tests.bench.rows import Row
from tests.integration.test_simulator_peers import PYMILVUS
from tests.venvs import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS: Final = 100
STILL: Final = Plan(JOBS, unfinished=2)
MOVING: Final = Plan(JOBS, unfinished=50, progressing=10, step_every=1)

_PYMILVUS: Final = """
import sys, time
from pymilvus.bulk_writer import list_import_jobs
for count in (20, int(sys.argv[2])):
    before = time.process_time()
    for _ in range(count):
        list_import_jobs(url=sys.argv[1], api_key="", cluster_id="").json()
print((time.process_time() - before) / count)
"""
_URLLIB3: Final = """
import sys, time, urllib3
http, headers = urllib3.PoolManager(), {"Content-Type": "application/json", "Accept-Encoding": "gzip"}
url, body = f"{sys.argv[1]}/v2/vectordb/jobs/import/list", b'{"pageSize":100,"currentPage":1}'
for count in (20, int(sys.argv[2])):
    before = time.process_time()
    for _ in range(count):
        assert http.request("POST", url, body=body, headers=headers).data
print((time.process_time() - before) / count)
"""


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
        seconds: How long to measure, after every cluster has been polled for the first time.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = server.clusters(load.clusters)
        config = write_config(Path(folder), places, interval=load.interval, series=load.series)
        with monitor(config) as running:
            running.wait_until_ready()
            time.sleep(min(load.interval, seconds))  # first polls cost more, and so does who waits for them
            before, polls = cpu_seconds(running.pid), server.count()
            time.sleep(seconds)
            used, polls = cpu_seconds(running.pid) - before, server.count() - polls
            return used / polls


def _compare(kind: str, plan: Plan, goals: dict[str, float], *, quick: bool) -> Iterator[Row]:
    load, seconds, calls, rounds = (Load(50, 1.0), 1.5, 50, 1) if quick else (Load(1000, 10.0), 12.0, 1000, 3)
    costs: dict[str, list[float]] = {"daemon": [], "pymilvus": [], "urllib3": []}
    python = {"pymilvus": environment("pymilvus", PYMILVUS), "urllib3": sys.executable}
    with replay(plan) as server:
        for _ in range(rounds):
            costs["daemon"].append(cost(server, load, seconds))
            for name, program in (("pymilvus", _PYMILVUS), ("urllib3", _URLLIB3)):
                url = f"http://127.0.0.1:{server.port}/bare"
                costs[name].append(float(printed(python[name], "-c", program, url, calls)))
    micros = {name: 1e6 * median(found) for name, found in costs.items()}
    what = f"a poll of {JOBS} jobs, {kind}, {load.clusters:,} clusters"
    yield Row(what, micros["daemon"], "µs CPU", "the call of pymilvus", micros["pymilvus"], goals["pymilvus"])
    yield Row(what, micros["daemon"], "µs CPU", "the request with urllib3", micros["urllib3"], goals.get("urllib3"))


def still(*, quick: bool) -> Iterator[Row]:
    """Nothing has changed."""
    yield from _compare("nothing changed", STILL, {"pymilvus": 1 / 3, "urllib3": 1.5}, quick=quick)


def moving(*, quick: bool) -> Iterator[Row]:
    """A tenth of the jobs has progressed, and one has changed its state."""
    yield from _compare("10 progressed and 1 transition", MOVING, {"pymilvus": 2 / 3}, quick=quick)
