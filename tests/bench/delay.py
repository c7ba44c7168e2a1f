"""How long it takes from a failure on the server to its gauge on /metrics."""

from __future__ import annotations

import random
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.processes import PATIENCE, Monitor, Replay, monitor, percentile, replay, write_config
from tests.bench.replay import Plan
from tests.bench.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

INTERVAL: Final = 2.0
SCRAPE_EVERY: Final = 0.01

_FAILED: Final = re.compile(rb'^milvus_import_job_failed\{milvus_cluster="(\w+)".*job_id="(\w+)"', re.MULTILINE)


def failures(server: Replay, running: Monitor, names: Sequence[str], index: int, seconds: float) -> list[float]:
    """Let the job at an index of each cluster fail at random times in so many seconds; return how late each showed."""
    delays: list[float] = []
    begin = time.monotonic()
    due = sorted((begin + random.random() * seconds, name) for name in names)
    waiting: dict[tuple[str, str], float] = {}
    while due or waiting:
        assert time.monotonic() < begin + PATIENCE, f"failures that were never shown: {waiting}"
        while due and due[0][0] <= time.monotonic():
            _, name = due.pop(0)
            asked = time.monotonic()
            waiting[name, server.fail(name, index)] = asked
        shown = {(name.decode(), job.decode()) for name, job in _FAILED.findall(running.scrape())}
        now = time.monotonic()
        delays += [now - waiting.pop(failure) for failure in shown & waiting.keys()]
        time.sleep(SCRAPE_EVERY)
    return delays


def run(*, quick: bool) -> Iterator[Row]:
    """Failures at random times, each waited for."""
    clusters, rounds = (20, 1) if quick else (100, 10)
    delays: list[float] = []
    with replay(Plan(20, unfinished=10)) as server, tempfile.TemporaryDirectory() as folder:
        places = server.clusters(clusters)
        with monitor(write_config(Path(folder), places, interval=INTERVAL)) as running:
            running.wait_until_ready()
            for index in range(rounds):
                delays += failures(server, running, [name for name, _ in places], index, INTERVAL)
    what = f"failure to gauge, interval {INTERVAL:g} s, {len(delays):,} failures"
    yield Row(f"{what}, median", percentile(delays, 0.5), "s")
    yield Row(f"{what}, p99", percentile(delays, 0.99), "s", goal=INTERVAL + 0.25)
    yield Row(f"{what}, longest", max(delays), "s")
