"""What a scrape costs, beside prometheus-client with the same series and the bare joining of the same bytes."""

from __future__ import annotations

import json
import re
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from monitor.metrics import FAMILIES, ClusterMetrics, Exposition
from tests.bench.processes import printed
from tests.bench.rows import Row
from tests.clusters import cluster
from tests.jobs import poll, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOBS: Final = 200
"""Unfinished jobs of each cluster, with 5 series each: as many as a cluster may have unless the config says more."""

NOW: Final = 1_800_000_000.0

_SERIES: Final = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def filled(clusters: int) -> list[ClusterMetrics]:
    """Return the metrics of clusters whose first poll has found their jobs."""
    found = []
    for number in range(clusters):
        records = [
            record(str(449_000_000_000_000_000 + index), progress=index % 100, collection=f"collection_{index % 10}")
            for index in range(JOBS)
        ]
        metrics = ClusterMetrics(cluster("http://127.0.0.1:1", name=f"c{number:05}"), ())
        metrics.poll_succeeded(poll(None, *records, now=NOW), now=NOW, duration=0.1, bad_records=0)
        found.append(metrics)
    return found


def gauges(text: str) -> CollectorRegistry:
    """Return the series of a text as gauges of prometheus-client."""
    registry = CollectorRegistry()
    known: dict[str, Gauge] = {}
    for name, labels, value in _SERIES.findall(text):
        pairs = _LABEL.findall(labels)
        if name not in known:
            known[name] = Gauge(name, "The same.", [label for label, _ in pairs], registry=registry)
        known[name].labels(*(of for _, of in pairs)).set(float(value))
    return registry


def cost(work: Callable[[], object]) -> float:
    """Return the CPU seconds of something."""
    before = time.process_time()
    work()
    return time.process_time() - before


def measure(clusters: int, rounds: int) -> dict[str, float]:
    """Return the number of job series, and what each way of telling all series costs, in CPU seconds."""
    metrics = filled(clusters)
    exposition = Exposition(CollectorRegistry())
    exposition.show(metrics)
    text = exposition.scrape("text/plain", NOW)[0]
    texts = [each.text.at(NOW) for each in metrics]
    pieces = [of[index] for index in range(len(FAMILIES)) for of in texts]
    lines = text.splitlines(keepends=True)
    registry = gauges(text.decode())
    ways: dict[str, Callable[[], object]] = {
        "scrape": lambda: exposition.scrape("text/plain", NOW),
        "pieces": lambda: b"".join(pieces),
        "lines": lambda: b"".join(lines),
        "client": lambda: generate_latest(registry),
    }
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, work in ways.items():
            costs[name] += [cost(work) for _ in range(1 if name == "client" else 5)]
    of_jobs = text.count(b"\nmilvus_import_job_")
    return {"job series": of_jobs} | {name: median(found) for name, found in costs.items()}


def run(*, quick: bool) -> Iterator[Row]:
    """Scrapes of many jobs."""
    for clusters in (2,) if quick else (100, 1000):
        line = (sys.executable, "-m", "tests.bench.scrape", clusters, 1 if quick else 3)
        found = json.loads(printed(*line))
        what = f"a scrape of {found['job series']:,} job series"
        millis = {name: 1000 * found[name] for name in ("scrape", "pieces", "lines", "client")}
        yield Row(what, millis["scrape"], "ms CPU", "prometheus-client", millis["client"], 1 / 50)
        yield Row(what, millis["scrape"], "ms CPU", "joining the pieces that are kept ready", millis["pieces"], 3.0)
        yield Row(what, millis["scrape"], "ms CPU", "joining the same bytes line by line", millis["lines"])
        if clusters == 1000:
            yield Row(what, millis["scrape"] / 1000, "s CPU", goal=1.0)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
