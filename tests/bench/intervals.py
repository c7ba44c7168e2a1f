"""What an interval for clusters with unfinished jobs saves in requests, and how much sooner failures are shown."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.delay import failures
from tests.bench.processes import monitor, percentile, replay, write_config
from tests.bench.replay import Plan
from tests.bench.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS, UNFINISHED = 20, 10
MINUTE = 60.0
SETTLED = 1.5
"""Intervals after which every cluster is polled at its own: a first poll counts for ticks that follow it closely."""


def measured(
    clusters: int, active: int, interval: float, active_interval: float, rounds: int
) -> tuple[float, list[float]]:
    """Return the requests a minute of a fleet, and the seconds from each of many failures to its gauge."""
    plan = Plan(JOBS, UNFINISHED, idle_after=active)
    with replay(plan) as server, tempfile.TemporaryDirectory() as folder:
        places = server.clusters(clusters)
        config = write_config(Path(folder), places, interval=(interval, active_interval))
        with monitor(config) as running:
            running.wait_until_ready()
            time.sleep(SETTLED * interval)
            before, began = running.total("milvus_import_api_requests_total"), time.monotonic()
            delays: list[float] = []
            names = [name for name, _ in places[:active]]
            for index in range(rounds):
                delays += failures(server, running, names, index, interval)
            time.sleep(max(0.0, began + rounds * interval - time.monotonic()))
            requests, took = running.total("milvus_import_api_requests_total") - before, time.monotonic() - began
    return MINUTE * requests / took, delays


def run(*, quick: bool) -> Iterator[Row]:
    """One interval for all clusters, and two."""
    clusters, active, one, idle, busy, rounds = (40, 4, 1.0, 2.0, 0.2, 1) if quick else (1000, 50, 30.0, 60.0, 5.0, 2)
    one_requests, one_delays = measured(clusters, active, one, one, 2 * rounds)
    two_requests, two_delays = measured(clusters, active, idle, busy, rounds)
    fleet = f"{clusters:,} clusters of which {active} import, {idle:g} s and {busy:g} s"
    beside = f"{one:g} s for all"
    yield Row(f"{fleet}: requests", two_requests, "a minute", beside, one_requests, goal=1.0)
    yield Row(
        "failure to gauge, median", percentile(two_delays, 0.5), "s", beside, percentile(one_delays, 0.5), goal=1.0
    )
    yield Row(
        "failure to gauge, p99", percentile(two_delays, 0.99), "s", beside, percentile(one_delays, 0.99), goal=1.0
    )
