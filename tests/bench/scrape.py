"""What a scrape costs, beside prometheus-client with the same series and the bare joining of the same bytes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import urllib3
from prometheus_client import CollectorRegistry, Gauge, generate_latest, start_http_server

from monitor.jobs import JobList, JobRecord, Policy, PollResult, compare_lists, diff
from monitor.metrics import ClusterMetrics, Exposition
from tests.bench.processes import PATIENCE, cpu_seconds, monitor, pinned, printed, replay, write_config
from tests.bench.replay import Plan
from tests.bench.rows import Row
from tests.clusters import cluster
from tests.venvs import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JOBS: Final = 200
"""Unfinished jobs of each cluster, with 5 series each: as many as a cluster may have unless the config says more."""

NOW: Final = 1_800_000_000.0

_SERIES: Final = re.compile(r"^(\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


def filled(clusters: int) -> list[ClusterMetrics]:
    """Return the metrics of clusters whose first poll has brought their jobs."""
    rendered = []
    for number in range(clusters):
        ids = [str(449_000_000_000_000_000 + index) for index in range(JOBS)]
        records = {
            job_id: JobRecord(job_id, "Importing", f"collection_{index % 10}", index % 100)
            for index, job_id in enumerate(ids)
        }
        metrics = ClusterMetrics(cluster("http://127.0.0.1:1", name=f"c{number:05}"), ())
        listing, new_ids = compare_lists(None, JobList(records))
        changes = diff(None, PollResult(listing, new_ids), NOW, Policy())
        metrics.poll_succeeded(changes, now=NOW, duration=0.1, bad_records=0)
        rendered.append(metrics)
    return rendered


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
    pieces = [piece for part in zip(*(in_pieces for in_pieces, _ in texts), strict=True) for of in part for piece in of]
    pieces += [piece for part in zip(*(whole for _, whole in texts), strict=True) for piece in part]
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
        found = json.loads(printed(sys.executable, "-m", "tests.bench.scrape", clusters, 1 if quick else 3))
        what = f"a scrape of {found['job series']:,} job series"
        millis = {name: 1000 * found[name] for name in ("scrape", "pieces", "lines", "client")}
        yield Row(what, millis["scrape"], "ms CPU", "generate_latest of prometheus-client", millis["client"], 1 / 50)
        yield Row(what, millis["scrape"], "ms CPU", "joining the pieces that are ready", millis["pieces"])
        yield Row(what, millis["scrape"], "ms CPU", "joining the same bytes line by line", millis["lines"])
    yield from _over_http(quick=quick)


def _over_http(*, quick: bool) -> Iterator[Row]:
    """Scrapes as Prometheus makes them: over HTTP, compressed."""
    clusters, scrapes, client_scrapes = (2, 3, 1) if quick else (100, 40, 4)
    with replay(Plan(JOBS, unfinished=JOBS)) as server, tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), server.clusters(clusters), interval=3600.0)
        with monitor(config) as running:
            running.wait_until_ready()
            text = running.scrape()
            ours = _scrape_cost(running.pid, running.port, scrapes)
        saved = Path(folder) / "metrics.txt"
        saved.write_bytes(text)
        line = pinned(sys.executable, "-m", "tests.bench.scrape", "--serve", saved)
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
            assert process.stdout is not None
            try:
                port = int(process.stdout.readline())
                client = _scrape_cost(process.pid, port, client_scrapes)
            finally:
                process.kill()
    series = text.count(b"\nmilvus_import_job_")
    what = f"a scrape of {series:,} job series over HTTP, compressed"
    yield Row(what, 1000 * ours, "ms CPU", "prometheus-client's own server", 1000 * client, 1 / 20)


def _scrape_cost(pid: int, port: int, scrapes: int) -> float:
    """Return the CPU seconds of a process for one compressed scrape."""
    with urllib3.HTTPConnectionPool("127.0.0.1", port, timeout=PATIENCE) as http:
        headers = {"Accept": "application/openmetrics-text;q=0.5,text/plain;q=0.9", "Accept-Encoding": "gzip"}
        before = cpu_seconds(pid)
        for _ in range(scrapes):
            response = http.request("GET", "/metrics", headers=headers, decode_content=False)
            assert response.headers["Content-Encoding"] == "gzip"
        return (cpu_seconds(pid) - before) / scrapes


def serve(path: Path) -> None:
    """Serve the series of a text with prometheus-client, until the process is killed; the port is printed first."""
    server, thread = start_http_server(0, "127.0.0.1", gauges(path.read_text()))
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    thread.join()


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(Path(sys.argv[2]))
    else:
        sys.stdout.write(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
