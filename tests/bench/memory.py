"""The memory of a tracked job, beside a plain dict of the same job; and of a monitor with nothing to do."""

from __future__ import annotations

import gc
import http.client
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING

from tests.bench.processes import Replay, monitor, printed, replay, resident, write_config
from tests.bench.replay import Plan
from tests.bench.rows import Row
from tests.memory import image_environment

if TYPE_CHECKING:
    from collections.abc import Iterator


def dicts(port: int, clusters: int) -> float:
    """Return the bytes that each job takes as a dict that json.loads has made."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    before = resident(os.getpid())
    kept = []
    for index in range(clusters):
        connection.request("POST", f"/c{index:05}/v2/vectordb/jobs/import/list", "{}")
        kept.append(json.loads(connection.getresponse().read())["data"]["records"])
    gc.collect()
    return (resident(os.getpid()) - before) / sum(map(len, kept))


def _resident(server: Replay, clusters: int, interval: float, seconds: float) -> int:
    """Return the memory of a monitor that has polled so many clusters for some seconds and has been scraped."""
    with (
        tempfile.TemporaryDirectory() as folder,
        monitor(write_config(Path(folder), server.clusters(clusters), interval=interval)) as running,
    ):
        running.wait_until_ready()
        time.sleep(seconds)
        running.scrape()
        return resident(running.pid)


def run(*, quick: bool) -> Iterator[Row]:
    """A million jobs, one in a hundred unfinished; and none."""
    clusters, jobs, interval, polls = (10, 200, 1.0, 2) if quick else (1000, 1000, 20.0, 3)
    with replay(Plan(0)) as server:
        idle = _resident(server, 1, interval, 2.0)
    with replay(Plan(jobs, jobs // 100, jobs // 100, 3)) as server:
        tracked = (_resident(server, clusters, interval, polls * interval) - idle) / (clusters * jobs)
        plain = float(printed(sys.executable, "-m", "tests.bench.memory", server.port, clusters))
    what = f"a tracked job of {clusters * jobs:,}, 1 % unfinished"
    yield Row(what, tracked, "bytes", "a dict of json.loads", plain)
    yield Row("a monitor of one cluster without jobs", idle / 1e6, "MB", goal=85.0)


def over_time(*, quick: bool) -> Iterator[Row]:
    """Whether memory grows: 1,000 moving clusters, scraped all the time, with the allocator as the image sets it."""
    clusters, interval, minutes = (20, 1.0, 0.1) if quick else (1000, 5.0, 10.0)
    with (
        replay(Plan(100, unfinished=50, progressing=10, step_every=1)) as server,
        tempfile.TemporaryDirectory() as folder,
        monitor(
            write_config(Path(folder), server.clusters(clusters), interval=interval, own_keys=True),
            **image_environment("MALLOC_ARENA_MAX"),
        ) as running,
    ):
        running.wait_until_ready()
        samples: list[tuple[float, float]] = []
        begin = time.monotonic()
        while (elapsed := time.monotonic() - begin) < 60 * minutes:
            running.scrape()
            samples.append((elapsed / 60, resident(running.pid) / 2**20))
            time.sleep(0.2 if quick else 2.0)
    later = samples[len(samples) // 2 :]
    slope, _ = linear_regression(*zip(*later, strict=True))
    yield Row(f"memory after {minutes:g} minutes, {clusters:,} moving clusters", samples[-1][1], "MiB")
    yield Row("its growth in the second half", slope, "MiB a minute")


if __name__ == "__main__":
    sys.stdout.write(str(dicts(int(sys.argv[1]), int(sys.argv[2]))))
