"""A daemon whose jobs, clusters, config and clients change all the time, and whose memory does not grow."""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from statistics import linear_regression

import pytest
import requests

from monitor.simulator import Lifecycle, SimulatedCluster, Trouble, World
from tests.bench.processes import resident
from tests.daemon import Daemon, started, write_config
from tests.fakes import hostile
from tests.fakes.simulator import SimulatorServer
from tests.memory import COUNTER, allocated_blocks, image_environment

MINUTES = float(os.environ.get("MONITOR_MEMORY_MINUTES", "1"))

FULL_LENGTH = 30.0
"""Minutes from which the goal counts: before, not every thread has had its largest poll."""

GOAL = 0.1
"""MiB a minute by which resident memory may grow in the second half."""

WARM_UP_GROWTH = 10.0
"""MiB by which it may grow in the second half of a shorter run."""

BLOCKS = 5_000
"""Blocks of memory by which two counts of the same load may differ, of half a million. Usual are 1,000."""

LIFECYCLES = (
    Lifecycle.completing(3),
    Lifecycle.failing(after=2),
    Lifecycle.vanishing(after=2),
    Lifecycle.jumping_back(3),
    Lifecycle.completed_then_failed(1, 1),
)

TROUBLES = (
    Trouble.http(500),
    Trouble.http(429, retry_after=1),
    Trouble.code(),
    Trouble.slow(1),
    Trouble.hang(),
    Trouble.false_empty(),
    hostile.reset(),
    hostile.cut(),
    hostile.truncated(),
    hostile.html(),
    hostile.wrong_types(),
    hostile.not_utf8(),
    hostile.control_characters(),
)

PATHS = (
    "/",
    "/?search=events",
    "/api/v1/clusters",
    "/api/v1/jobs?limit=100",
    "/api/v1/jobs?state=completed",
    "/api/v1/transitions?limit=100",
    "/metrics",
    "/-/healthy",
)


@contextmanager
def repeated(*tasks: tuple[float, Callable[[], object]]) -> Iterator[list[Exception]]:
    """Repeat each task, with a pause of so many seconds, in a thread of its own; yield what was raised."""
    stopped, errors = threading.Event(), list[Exception]()

    def repeat(pause: float, task: Callable[[], object]) -> None:
        while not stopped.wait(pause):
            try:
                task()
            except Exception as error:  # noqa: BLE001 - the test fails with it
                errors.append(error)
                return

    threads = [threading.Thread(target=repeat, args=task) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield errors
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def settled(counter: Path) -> int:
    """Return the smallest of several counts: in between, polls and pages are under way."""
    counts = []
    for _ in range(10):
        counts.append(allocated_blocks(counter))
        time.sleep(0.2)
    return min(counts)


def config(folder: Path, url: str, clusters: list[SimulatedCluster], version: int) -> Path:
    """Write a config that differs from that of the version before: a timeout, and which of two clusters there is."""
    timeouts = {cluster.id: f"{1 + (version + number) % 2}s" for number, cluster in enumerate(clusters)}
    left_out = clusters[version % 2].id
    return write_config(
        folder,
        *(
            f"{{name: {name}, url: '{url}/clusters/{name}', timeout: {timeout}}}"
            for name, timeout in timeouts.items()
            if name != left_out
        ),
        log="{format: json, level: info}",
        poll="{interval: 300ms, requests_per_second: 200}",
        jobs="{failed_retention: 5s, stall_after: 1s}",
        state=f"{{url: 'sqlite:///{folder}/state.db'}}",
    )


def read_stream(daemon: Daemon, done: Counter[str]) -> None:
    with requests.get(f"{daemon.url}/api/v1/stream", stream=True, timeout=30) as answer:
        for number, _ in enumerate(answer.iter_lines()):
            if number == 50:
                break
    done["streams"] += 1


@pytest.mark.timeout(60 * MINUTES + 180)
def test_memory_does_not_grow(
    tmp_path: Path, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)  # what it remembers of lines would count
    world, done = World(), Counter[str]()
    clusters = [world.add_cluster(f"cluster-{number}", generation="milvus", retention=5) for number in range(12)]
    lifecycles, troubles, paths, versions = cycle(LIFECYCLES), cycle(TROUBLES), cycle(PATHS), count(1)
    counter = tmp_path / "counter"
    environment = {COUNTER: str(counter), **image_environment("MALLOC_ARENA_MAX")}
    with (
        SimulatorServer(world) as server,
        requests.Session() as session,
        started(
            "run",
            *("-c", config(tmp_path, server.url, clusters, 0)),
            prefix=(sys.executable, "-m", "tests.memory"),
            **environment,
        ) as daemon,
    ):

        def add_jobs() -> None:
            for cluster in clusters:
                cluster.add_job(next(lifecycles))
                done["jobs"] += 1

        def make_trouble() -> None:
            for cluster in clusters[::3]:
                cluster.recover()
                cluster.trouble(next(troubles), seconds=2)
                done["troubles"] += 1

        def ask() -> None:
            answer = session.get(daemon.url + next(paths), timeout=30)
            assert answer.status_code == 200, (answer.url, answer.text)
            done["pages"] += 1

        def reload() -> None:
            config(tmp_path, server.url, clusters, next(versions))
            assert requests.post(f"{daemon.url}/-/reload", timeout=30).status_code == 200
            done["reloads"] += 1

        streams = [(0.1, lambda: read_stream(daemon, done)) for _ in range(3)]
        with repeated((0.5, add_jobs), (1.0, make_trouble), (0.1, ask), (1.0, reload), *streams) as errors:
            samples: list[tuple[float, float]] = []
            begin, blocks = time.monotonic(), 0
            while (minutes := (time.monotonic() - begin) / 60) < MINUTES and not errors:
                if not blocks and minutes >= MINUTES / 2:
                    blocks = settled(counter)
                samples.append((minutes, resident(daemon.process.pid) / 2**20))
                time.sleep(0.5)
            assert not errors, errors
            blocks = settled(counter) - blocks
        finished = daemon.metrics().named("milvus_import_polls_total")

    later = [sample for sample in samples if sample[0] >= MINUTES / 2]
    slope, _ = linear_regression(*zip(*later, strict=True))
    print(
        f"{MINUTES:g} minutes: {dict(done)}; {samples[0][1]:.1f}, {later[0][1]:.1f}, {later[-1][1]:.1f} MiB at the "
        f"begin, in the middle and at the end; {slope:.3f} MiB a minute, {blocks} blocks in the second half"
    )
    record_property("memory_minutes", f"{MINUTES:g}")
    record_property("memory_reloads", done["reloads"])
    record_property("memory_requests", done["pages"] + done["streams"])
    record_property("memory_rss_mib", round(later[-1][1]))
    record_property("memory_mib_a_minute", round(slope, 3))
    assert finished
    assert min(done[kind] for kind in ("jobs", "troubles", "pages", "reloads", "streams")) > 0
    assert blocks < BLOCKS
    assert slope < (GOAL if MINUTES >= FULL_LENGTH else WARM_UP_GROWTH / (MINUTES / 2))
