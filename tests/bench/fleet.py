"""A fleet as large as one process is meant to watch: no poll missed, none late, and time to spare."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.lag import lags
from tests.bench.processes import cpu_seconds, monitor, percentile, replay, resident, write_config
from tests.bench.replay import Plan
from tests.bench.rows import Row
from tests.memory import image_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

FLEET = Plan(jobs=100, unfinished=2, progressing=2, step_every=3)


def run(*, quick: bool) -> Iterator[Row]:
    """A day in the life of a fleet, in minutes."""
    clusters, interval, seconds = (200, 2.0, 10.0) if quick else (10_000, 30.0, 600.0)
    with replay(FLEET) as server, tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), server.clusters(clusters), interval=interval)
        with monitor(config, **image_environment("MALLOC_ARENA_MAX")) as running:
            running.wait_until_ready()
            time.sleep(interval)
            server.begin()
            missed = running.total("milvus_import_polls_missed_total")
            before, began = cpu_seconds(running.pid), time.monotonic()
            time.sleep(seconds)
            used, took = cpu_seconds(running.pid) - before, time.monotonic() - began
            arrivals = server.arrivals()
            missed = running.total("milvus_import_polls_missed_total") - missed
            failed = running.total("milvus_import_poll_failures_total")
            memory = resident(running.pid)
    late = lags(arrivals, interval)
    fleet = f"{clusters:,} clusters of {FLEET.jobs} jobs every {interval:g} s, {len(arrivals):,} polls"
    yield Row(f"{fleet}: missed", missed, "polls", goal=0.0)
    yield Row("failed", failed, "polls", goal=0.0)
    yield Row("polled beside planned", len(arrivals), "polls", "planned", clusters * took / interval)
    yield Row("start lag, median", percentile(late, 0.5), "s")
    yield Row("start lag, p99", percentile(late, 0.99), "s", goal=1.0)
    yield Row("start lag, latest", max(late), "s")
    yield Row("the monitor's share of one core", 100 * used / took, "%", goal=25.0)
    yield Row("a poll", 1e6 * used / len(arrivals), "µs CPU")
    yield Row("the monitor's memory", memory / 1e6, "MB", goal=800.0)
