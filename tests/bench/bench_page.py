"""What a page costs in a big fleet: `python tests/bench/bench_page.py [--clusters N] [--jobs N] [--interval S]`.

The endpoints are the real ones, on a real socket, in a process of their own; every cluster is "polled" once an interval
by threads of the same process: diff, store, metrics and status do their work, only the servers are missing. Meanwhile
pages, API and metrics are requested over one keep-alive connection each. `first` is an overview that nobody has
requested before; later ones may be reused, as they are for people.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[2]))

from monitor.discovery import WatchedCluster
from monitor.jobs import JobList, JobRecord, Policy, PollResult, compare_lists, diff
from monitor.metrics import ClusterMetrics, Exposition, ProcessMetrics
from monitor.store import ClusterRef, open_store
from monitor.web import FleetStatus, Server, bound_socket, create_app
from tests.clusters import cluster

POLLERS = 4
STATES = (
    *("Completed",) * 55,
    *("Importing",) * 30,
    *("Pending",) * 10,
    *("Failed",) * 4,
    "Uncommitted",
)


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Crowd:
    """The clusters, and what polls of them see."""

    def __init__(self, clusters: int, jobs: int) -> None:
        self.store = open_store("memory://", retention=86400.0, connections=POLLERS)
        self.fleet = FleetStatus(self.store.snapshot)
        self.exposition = Exposition(ProcessMetrics().registry)
        self.random = random.Random(1)
        configs = [cluster(f"http://c{number}.example", name=f"cluster-{number:05}") for number in range(clusters)]
        self.metrics = {config.name: ClusterMetrics(config, ["timeout"]) for config in configs}
        self.listed: dict[str, dict[str, JobRecord]] = {}
        self.store.watch([ClusterRef(config.name, config.identity()) for config in configs])
        for config in configs:
            states = self.random.choices(STATES, k=jobs)
            records = [self._record(config.name, number, state) for number, state in enumerate(states)]
            self.listed[config.name] = {record.job_id: record for record in records}
        self.fleet.apply_config([WatchedCluster(config) for config in configs])
        self.exposition.show(self.metrics.values())
        for name in self.listed:
            self.poll(name)

    def _record(self, name: str, number: int, state: str) -> JobRecord:
        reason = "open file failed, path=a.parquet: file does not exist" if state == "Failed" else ""
        progress = self.random.random() * 100
        return JobRecord(f"{name}-{number}", state, f"collection_{number % 3}", progress, reason, total_rows=10**6)

    def poll(self, name: str) -> None:
        """Does what a poll does once the list has come: every import has moved a little."""
        now, previous = time.time(), self.store.snapshot(name)
        records = {
            job_id: replace(record, progress=(record.progress or 0.0) % 98.0 + 1.0)
            if record.state == "Importing"
            else record
            for job_id, record in self.listed[name].items()
        }
        self.listed[name] = records
        listing, new_ids = compare_lists(previous, JobList(records))
        changes = diff(previous, PollResult(listing, new_ids), now, Policy())
        self.store.record(name, changes)
        self.metrics[name].poll_succeeded(changes, now=now, duration=0.1, bad_records=0)
        self.fleet.poll_finished(name, diff=changes)

    def poll_all_again_and_again(self, interval: float, part: int) -> None:
        """Polls every fourth cluster once an interval, evenly."""
        names = list(self.listed)[part::POLLERS]
        begun = time.monotonic()
        for turn in range(10**9):
            self.poll(names[turn % len(names)])
            time.sleep(max(0.0, begun + (turn + 1) * interval / len(names) - time.monotonic()))

    external_url = ""

    def scrape(self, accept: str, now: float) -> tuple[bytes, str]:
        """See `MonitoredDaemon`."""
        return self.exposition.scrape(accept, now)

    def import_files(self, *_: str) -> tuple[()]:
        """See `MonitoredDaemon`."""
        return ()


def serve(clusters: int, jobs: int, interval: float) -> None:
    """Serves until standard input ends."""
    crowd = Crowd(clusters, jobs)
    sock = bound_socket("127.0.0.1", 0)
    server = Server(create_app(crowd))
    for part in range(POLLERS):
        threading.Thread(target=crowd.poll_all_again_and_again, args=(interval, part), daemon=True).start()

    def end() -> None:
        sys.stdin.read()
        server.stop()

    threading.Thread(target=end, daemon=True).start()
    say(str(sock.getsockname()[1]))
    asyncio.run(server.serve(sockets=[sock]))


def times(port: int, path: str, count: int, pause: float) -> list[float]:
    """Returns the seconds of each of so many answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found = []
    for _ in range(count):
        started = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        found.append(time.perf_counter() - started)
        if answer.status != http.client.OK:
            raise SystemExit(f"{path}: {answer.status} {body[:200]!r}")
        time.sleep(pause)
    connection.close()
    return found


def row(what: str, seconds: list[float]) -> str:
    """Returns a line of the result, in milliseconds."""
    worst = statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0]
    values = (seconds[0], statistics.median(seconds), worst)
    return f"{what:44}" + "".join(f"{value * 1000:10.0f}" for value in values)


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=10_000)
    parser.add_argument("--jobs", type=int, default=10, help="of each cluster")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds from one poll of a cluster to the next")
    parser.add_argument("--requests", type=int, default=15)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.clusters, asked.jobs, asked.interval)
        return
    numbers = [f"--{name}={getattr(asked, name)}" for name in ("clusters", "jobs", "interval")]
    command = [sys.executable, __file__, "--serve", *numbers]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        say(f"{asked.clusters} clusters, {asked.clusters * asked.jobs} jobs, polled every {asked.interval:g} s")
        say(f"{'':44}{'first ms':>10}{'median ms':>10}{'95 % ms':>10}")
        name = quote("cluster-00007")
        for path in (
            "/",
            "/?running_page=100",
            f"/?cluster={name}",
            "/?q=cluster-00007-3",
            "/?state=failed",
            f"/job?cluster={name}&id={name}-3",
            "/api/v1/jobs",
            "/api/v1/jobs?state=failed&limit=1000",
            "/api/v1/clusters?limit=1000",
            "/metrics",
        ):
            say(row(path, times(port, path, asked.requests, 0.3)))
        crowd = [threading.Thread(target=times, args=(port, "/?q=nothing", 30, 0.0)) for _ in range(4)]
        for one in crowd:
            one.start()
        say(row("/metrics while four search all the time", times(port, "/metrics", asked.requests, 0.1)))
        for one in crowd:
            one.join()
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


if __name__ == "__main__":
    main()
