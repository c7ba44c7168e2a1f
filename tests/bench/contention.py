"""Scrapes while polls run: how long they take beside an idle monitor, and how late they make polls."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench.lag import lags
from tests.bench.poll import STILL
from tests.bench.processes import Monitor, monitor, percentile, replay, write_config
from tests.bench.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

NEVER: Final = 3600.0
"""Seconds from poll to poll of a monitor that is to be idle, its jobs in sight."""

SCRAPE_EVERY: Final = 0.1
"""Seconds; Prometheus' usual pace is 150 times slower."""


@dataclass(slots=True)
class Found:
    """Seconds of scrapes without and with polls, and of the lateness of polls without and with scrapes."""

    idle: list[float] = field(default_factory=list)
    polling: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    scraped: list[float] = field(default_factory=list)


def scrapes(running: Monitor, seconds: float) -> list[float]:
    """Scrape for a while, and return how long each scrape took."""
    found = []
    end = time.monotonic() + seconds
    while (begin := time.monotonic()) < end:
        running.scrape()
        found.append(time.monotonic() - begin)
        time.sleep(max(0.0, SCRAPE_EVERY - found[-1]))
    return found


def run(*, quick: bool) -> Iterator[Row]:
    """Scrapes and polls at a time."""
    clusters, interval, seconds, rounds = (50, 1.0, 1.0, 1) if quick else (1000, 3.3, 15.0, 3)
    found, polls = Found(), 0
    with replay(STILL) as server, tempfile.TemporaryDirectory() as folder:
        places = server.clusters(clusters)
        for number in range(rounds):
            config = write_config(Path(folder), places, interval=NEVER, state=f"idle-{number}.db")
            with monitor(config) as running:
                running.wait_until_ready()
                time.sleep(interval)
                found.idle += scrapes(running, seconds)
            config = write_config(Path(folder), places, interval=interval, state=f"polling-{number}.db")
            with monitor(config) as running:
                running.wait_until_ready()
                time.sleep(interval)
                server.begin()
                time.sleep(seconds)
                found.alone += lags(server.arrivals(), interval)
                server.begin()
                found.polling += scrapes(running, seconds)
                found.scraped += lags(server.arrivals(), interval)
                polls += server.count()
                series = running.scrape().count(b"\nmilvus_import_")
    rate = polls / (seconds * rounds)
    for share, name, goal in ((0.5, "median", None), (0.99, "p99", 2.0)):
        what = f"{name} of a scrape of {series:,} series during {rate:.0f} polls a second"
        polling, idle = (1000 * percentile(times, share) for times in (found.polling, found.idle))
        yield Row(what, polling, "ms", "the same without polls", idle, goal)
    late, alone = 1000 * max(found.scraped), 1000 * max(found.alone)
    yield Row("latest poll during scrapes", late, "ms", "the same without scrapes", alone)
    yield Row("by how much scrapes make the latest poll later", late - alone, "ms", goal=100.0)
