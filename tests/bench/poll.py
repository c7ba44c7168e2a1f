"""What a poll costs the whole daemon, beside the bare call of pymilvus and a bare request of the same bytes."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from monitor.grid import SLOT
from monitor.jobs import JobList, JobRecord, Policy, PollResult, compare_lists, diff
from monitor.store import ClusterRef, open_store
from tests.bench.processes import PATIENCE, Replay, cpu_seconds, monitor, printed, replay, write_config
from tests.bench.replay import COLLECTIONS, Plan
from tests.bench.rows import Row
from tests.integration.test_simulator_peers import PYMILVUS
from tests.venvs import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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
    """What a monitor has to do.

    Attributes:
        clusters: How many clusters it polls.
        interval: Seconds from one poll of a cluster to the next.
        series: Series of jobs that each cluster may have; None for the default.
        own_keys: Whether each cluster has an API key of its own.
        idle: How many more clusters it has that are polled only once.
        state: A state file to start with.
    """

    clusters: int
    interval: float
    series: int | None = None
    own_keys: bool = True
    idle: int = 0
    state: Path | None = None


def cost(server: Replay, load: Load, seconds: float) -> float:
    """Return the CPU seconds of a poll of the whole daemon in steady state: schedule, fetch, diff, store, metrics.

    Args:
        server: Who answers; it counts the polls.
        load: What is polled.
        seconds: How long to measure, once the polls come steadily.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = server.clusters(load.clusters + load.idle)
        config = write_config(
            Path(folder),
            places[: load.clusters],
            interval=load.interval,
            series=load.series,
            own_keys=load.own_keys,
            idle=places[load.clusters :],
        )
        if load.state is not None:
            shutil.copy(load.state, Path(folder) / "state.db")
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


def _compare(kind: str, plan: Plan, goal: float, *, quick: bool) -> Iterator[Row]:
    load, seconds, calls, rounds = (Load(50, 1.0), 1.5, 50, 1) if quick else (Load(1000, 10.0), 12.0, 1000, 3)
    burst = int(load.clusters / load.interval * SLOT)
    programs = {
        "the call of pymilvus": (environment("pymilvus", PYMILVUS), _PYMILVUS),
        "the request with urllib3": (sys.executable, _URLLIB3),
    }
    daemon: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in programs}
    with replay(plan) as server:
        for _ in range(rounds):
            daemon.append(cost(server, load, seconds))
            for name, (python, program) in programs.items():
                url = f"http://127.0.0.1:{server.port}/bare"
                others[name].append(float(printed(python, "-c", program, url, calls, burst, SLOT)))
    what = f"a poll of {JOBS} jobs, {kind}, {load.clusters:,} clusters"
    for name, seconds_each in others.items():
        rhythm = f"{name}, {burst} every {SLOT} s as the monitor polls"
        yield Row(
            what,
            1e6 * median(daemon),
            "µs CPU",
            rhythm,
            1e6 * median(seconds_each),
            goal if name == "the call of pymilvus" else None,
        )


def still(*, quick: bool) -> Iterator[Row]:
    """Nothing has changed."""
    yield from _compare("nothing changed", STILL, 1 / 3, quick=quick)


def moving(*, quick: bool) -> Iterator[Row]:
    """Ten jobs have progressed, one has completed, one is new; each cluster has a key of its own."""
    yield from _compare("10 progressed, 1 completed, 1 new", MOVING, 0.8, quick=quick)


def finished(*, quick: bool) -> Iterator[Row]:
    """The same where the store has many jobs that finished and left the list before, beside a fresh store."""
    clusters, jobs, seconds, rounds = (2, 100, 1.5, 1) if quick else (20, 20_000, 12.0, 3)
    full: list[float] = []
    fresh: list[float] = []
    with replay(MOVING) as server, tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "finished.db"
        store_finished_jobs(f"sqlite:///{state}", server.clusters(clusters), jobs)
        for _ in range(rounds):
            full.append(cost(server, Load(clusters, 0.2, state=state), seconds))
            fresh.append(cost(server, Load(clusters, 0.2), seconds))
    what = f"a moving poll of a cluster of which {jobs:,} jobs have finished and left the list"
    yield Row(what, 1e6 * median(full), "µs CPU", "of a fresh cluster", 1e6 * median(fresh), 1.2)


def secrets(*, quick: bool) -> Iterator[Row]:
    """The same with many different API keys, beside one key for all."""
    clusters, idle, interval, seconds, rounds = (20, 30, 1.0, 1.5, 1) if quick else (1000, 9000, 10.0, 12.0, 3)
    many: list[float] = []
    one: list[float] = []
    with replay(MOVING) as server:
        for _ in range(rounds):
            many.append(cost(server, Load(clusters, interval, own_keys=True, idle=idle), seconds))
            one.append(cost(server, Load(clusters, interval, own_keys=False, idle=idle), seconds))
    what = f"a moving poll with {clusters + idle:,} different secrets"
    yield Row(what, 1e6 * median(many), "µs CPU", "with one", 1e6 * median(one), 1.05)


def store_finished_jobs(url: str, clusters: Sequence[tuple[str, str]], jobs: int) -> None:
    """Store clusters whose jobs have finished and left the list, as a monitor does: by polls."""
    store = open_store(url, retention=86_400.0, connections=1)
    store.watch(ClusterRef(name, place) for name, place in clusters)
    now = time.time() - 3600.0
    for name, _ in clusters:
        for records in (_finished_records(jobs), {}):
            previous = store.snapshot(name)
            listing, new_ids = compare_lists(previous, JobList(records))
            store.record(name, diff(previous, PollResult(listing, new_ids), now, Policy()))
    store.flush()
    store.close()


def _finished_records(jobs: int) -> dict[str, JobRecord]:
    ids = [str(400_000_000_000_000_000 + number) for number in range(jobs)]
    return {
        job_id: JobRecord(job_id, "Completed", f"collection_{number % COLLECTIONS}", 100, complete_time="1700000000")
        for number, job_id in enumerate(ids)
    }
