"""One daemon and a fleet of which half is out to break it: what becomes of the other half, the log and the metrics."""

import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import requests
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families as text_families

from monitor.simulator import Lifecycle, World
from monitor.simulator.troubles import TROUBLES
from tests.daemon import Daemon, Metrics, started, write_config
from tests.fakes.enemies import MARK
from tests.fakes.hostile import KINDS
from tests.fakes.simulator import SimulatorServer, set_status

ROOT = Path(__file__).parents[2]
INTERVAL = 10
"""Seconds between the polls of a cluster."""

PEAK_MIB = 1536
"""What the daemon may take at its peak: 32 polls at a time, each with a body of up to 16 MiB and what it says.

One body of a gigabyte that is read whole, or a few that are decoded without a bound, would be more.
"""

LONGEST = 80.0
"""Seconds to wait for anything here: two cores may have something else to do."""


class Enemies:
    """The process that serves the hostile clusters."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        self.all: list[dict[str, Any]] = json.loads(process.stdout.readline())


@contextmanager
def enemies() -> Iterator[Enemies]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.enemies"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Enemies(process)
        finally:
            process.kill()


class Scraper:
    """Scrapes as fast as it is answered, in both formats by turns, until it is stopped."""

    FORMATS = ("text/plain", "application/openmetrics-text; version=1.0.0")

    def __init__(self, daemon: Daemon) -> None:
        self.served = 0
        self.refused: list[str] = []
        self.slowest = 0.0
        self._daemon = daemon
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._scrape, name="scraper")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _scrape(self) -> None:
        with requests.Session() as session:
            while not self._stopped.wait(0.05):
                for path, accept in (("/metrics", self.FORMATS[self.served % 2]), ("/-/healthy", "*/*")):
                    begin = time.monotonic()
                    try:
                        answer = session.get(self._daemon.url + path, headers={"Accept": accept}, timeout=10)
                    except requests.RequestException as error:
                        self.refused.append(f"{path}: {error}")
                        continue
                    self.slowest = max(self.slowest, time.monotonic() - begin)
                    if answer.status_code != 200:
                        self.refused.append(f"{path}: {answer.status_code}")
                    self.served += path == "/metrics"


class Log:
    """What the daemon has logged so far; each line is read once, for there are many."""

    def __init__(self, daemon: Daemon) -> None:
        self.baselines: set[str] = set()
        self.unreachable: set[str] = set()
        self.steps: dict[str, list[str]] = {}
        self.slowest: dict[str, float] = {}
        self._daemon = daemon
        self._read = 0

    def read(self) -> Self:
        for line in self._daemon.written(self._read):
            self._read += 1
            entry = json.loads(line)
            if entry["event"] == "cluster_baseline":
                self.baselines.add(entry["milvus_cluster"])
            elif entry["event"] == "cluster_unreachable":
                self.unreachable.add(entry["milvus_cluster"])
            elif entry["event"] == "poll_finished":
                name = entry["milvus_cluster"]
                self.slowest[name] = max(self.slowest.get(name, 0.0), entry["duration_seconds"])
            elif entry["event"] == "import_job_transition":
                self.steps.setdefault(entry["job_id"], [entry["from_state"]]).append(entry["to_state"])
        return self


def eventually(seen: Callable[[], Any], what: str, daemon: Daemon) -> None:
    """Ask until it is so."""
    until = time.monotonic() + LONGEST
    while not seen():
        assert time.monotonic() < until, f"not {what} within {LONGEST} s: {daemon.tail()}"
        time.sleep(0.5)


def polls(metrics: Metrics) -> dict[str, float]:
    return {labels["milvus_cluster"]: value for labels, value in metrics.named("milvus_import_polls_total")}


def missed_polls(metrics: Metrics) -> dict[str, float]:
    return {labels["milvus_cluster"]: value for labels, value in metrics.named("milvus_import_polls_missed_total")}


def peak_mib(daemon: Daemon) -> float:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def check_exposition(text: str, parse: Callable[[str], Any], clusters: set[str]) -> None:
    """Fail where a series is not one of ours, or a line is not a series."""
    documented = (ROOT / "docs/metrics.md").read_text()
    samples = 0
    for family in parse(text):
        known = [f"`{family.name}`", f"`{family.name}_total`"]
        # Those of the process itself come from prometheus-client and are documented there.
        assert family.name.startswith("process_") or any(name in documented for name in known), family.name
        for sample in family.samples:
            samples += 1
            assert MARK not in sample.name
            assert not any(MARK in label for label in sample.labels)
            assert sample.labels.get("milvus_cluster") in clusters | {None}
    assert samples == len([line for line in text.split("\n") if line and not line.startswith("#")])


def check_log(text: str, clusters: set[str]) -> int:
    """Fail where a line is not one event of ours, and return how many there are."""
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/log.md").read_text(), re.MULTILINE))
    lines = text.removesuffix("\n").split("\n")
    for line in lines:
        entry = json.loads(line)
        assert entry["event"] in documented - {"poll_crashed"}, line
        assert entry.get("milvus_cluster") in clusters | {None}, line
        assert "exception" not in entry, line
    return len(lines)


@pytest.mark.timeout(240)
def test_no_hostile_upstream_touches_another_cluster_or_the_log_or_the_metrics(
    tmp_path: Path, record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody counts the lines of this daemon: whoever does locks all its threads out at each call, and thirty of them
    # that wait for that lock poll late.
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
    world = World()
    with enemies() as hostile, SimulatorServer(world) as server:
        assert set(TROUBLES) | set(KINDS) <= {enemy["kind"] for enemy in hostile.all}
        enemy_names = {enemy["name"] for enemy in hostile.all}
        healthy = [world.add_cluster(f"healthy-{number}", generation="milvus") for number in range(len(enemy_names))]
        names = {cluster.id for cluster in healthy}
        config = write_config(
            tmp_path,
            *(
                f"{{name: {enemy['name']}, url: '{enemy['url']}', api: {enemy['api']}, "
                f"cluster_id: {enemy['name']}, api_key: key-of-{enemy['name']}, timeout: 3s}}"
                for enemy in hostile.all
            ),
            *(f"{{name: {cluster.id}, url: '{server.url}/clusters/{cluster.id}'}}" for cluster in healthy),
            poll=f"{{interval: {INTERVAL}s, timeout: 10s, requests_per_second: 200}}",
            state=f"{{url: 'sqlite:///{tmp_path}/state.db'}}",
        )
        with started("run", "-c", config) as daemon, Scraper(daemon) as scraper:
            log = Log(daemon)

            def everywhere(*states: str) -> None:
                eventually(
                    lambda: log.read() and all(log.steps.get(job.id, ("",))[-1] in states for job in jobs),
                    f"{states} everywhere",
                    daemon,
                )

            eventually(lambda: names <= log.read().baselines, "every healthy cluster polled", daemon)
            before, begin = daemon.metrics(), time.monotonic()
            jobs = [cluster.add_job(Lifecycle.frozen("Pending")) for cluster in healthy]
            everywhere("pending")
            for job in jobs:
                set_status(job, state="Importing", progress=40)
            everywhere("importing")
            rounds = {enemy["name"]: enemy["rounds"] for enemy in hostile.all}

            def all_polled() -> bool:
                made = polls(daemon.metrics())
                return all(made[name] >= wanted for name, wanted in rounds.items())

            eventually(all_polled, f"polled as often as {rounds}", daemon)
            for number, job in enumerate(jobs):
                set_status(
                    job,
                    state="Completed" if number % 2 else "Failed",
                    reason="" if number % 2 else "disk quota exceeded",
                )
            everywhere("completed", "failed")
            after, elapsed = daemon.metrics(), time.monotonic() - begin
            texts = {accept: daemon.get("/metrics", headers={"Accept": accept}).text for accept in Scraper.FORMATS}
            peak = peak_mib(daemon)

    # From the moment on when each healthy cluster was polled once: the first polls of all clusters come at once.
    missed = {name: missed_polls(after)[name] - missed_polls(before)[name] for name in sorted(names)}
    fewest = min(polls(after)[name] - polls(before)[name] for name in names)
    slowest = max(log.read().slowest[name] for name in names)
    kinds = sorted({enemy["kind"] for enemy in hostile.all})
    lines = check_log(daemon.text(), names | enemy_names)
    record_property("hostile_kinds", len(kinds))
    record_property("hostile_healthy_clusters", len(names))
    record_property("hostile_polls_missed", int(sum(missed.values())))
    record_property("hostile_scrapes_served", scraper.served)
    record_property("hostile_peak_rss_mib", round(peak))
    print(
        f"{len(enemy_names)} hostile clusters of {len(kinds)} kinds and {len(names)} healthy ones for {elapsed:.0f} s: "
        f"{sum(missed.values()):.0f} polls missed, {fewest:.0f} made at least by each, the slowest in {slowest:.2f} s; "
        f"{scraper.served} scrapes served, the slowest within {scraper.slowest:.2f} s; {lines} lines logged; "
        f"{peak:.0f} MiB at the peak"
    )

    assert {name: count for name, count in missed.items() if count} == {}
    # A poll at each point of the schedule; the first and the last scrape may fall anywhere between two points.
    assert fewest >= elapsed / INTERVAL * 0.8 - 2
    assert all(after.value("milvus_import_cluster_up", milvus_cluster=name) == 1 for name in names)
    assert log.read().unreachable <= enemy_names
    for number, job in enumerate(jobs):
        assert log.steps[job.id] == ["new", "pending", "importing", "completed" if number % 2 else "failed"]
    assert peak < PEAK_MIB
    assert scraper.refused == []
    assert scraper.served > 50
    assert daemon.process.returncode == 0
    check_exposition(texts["text/plain"], text_families, names | enemy_names)
    check_exposition(texts[Scraper.FORMATS[1]], openmetrics_families, names | enemy_names)
