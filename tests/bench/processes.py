"""The processes of a bench: who answers, the monitor as a user starts it, and what each of them has used."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import urllib3

from tests.bench.replay import Plan
from tests.daemon import command
from tests.venvs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE: Final = 300.0
"""Seconds that a process may take for anything."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_CPUS: Final = sorted(os.sched_getaffinity(0))
HERE: Final = _CPUS[0]
"""The processor of what is measured."""

THERE: Final = _CPUS[-1]
"""The processor of everything else, where there is another one."""


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def pinned(*line: object) -> list[str]:
    """Return a command line on the processor of what is measured."""
    return ["taskset", "-c", str(HERE), *map(str, line)]


def printed(*line: object) -> str:
    """Run something on the processor of what is measured, and return what it prints."""
    done = subprocess.run(pinned(*line), check=False, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


@dataclass(frozen=True)
class Replay:
    """A running `replay.py`."""

    port: int
    http: urllib3.HTTPConnectionPool

    def clusters(self, count: int) -> list[tuple[str, str]]:
        """Return names and URLs of so many clusters."""
        return [(f"c{index:05}", f"http://127.0.0.1:{self.port}/c{index:05}") for index in range(count)]

    def begin(self) -> None:
        """Forget which lists were asked for."""
        self._ask("begin")

    def count(self) -> int:
        """Return how many lists were asked for since `begin`."""
        return int(self._ask("count"))

    def arrivals(self) -> list[tuple[str, float]]:
        """Return of which cluster a list was asked for since `begin`, and when."""
        return [(name, at) for name, at in self._ask("arrivals")]

    def fail(self, cluster: str, index: int) -> str:
        """Let a job fail, and return its id."""
        return str(self._ask(f"fail/{cluster}/{index}"))

    def _ask(self, path: str):
        return self.http.request("GET", f"/-/{path}").json()


@contextmanager
def replay(plan: Plan) -> Iterator[Replay]:
    """A server of `replay.py` on the other processor."""
    options = [f"--{name.replace('_', '-')}={value}" for name, value in zip(Plan.__slots__, astuple(plan), strict=True)]
    line = ["taskset", "-c", str(THERE), sys.executable, "-m", "tests.bench.replay", *options]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            port = int(process.stdout.readline())
            with urllib3.HTTPConnectionPool("127.0.0.1", port, timeout=PATIENCE) as http:
                yield Replay(port, http)
        finally:
            process.kill()


@dataclass(frozen=True)
class Monitor:
    """A running monitor."""

    pid: int
    port: int
    log: Path
    http: urllib3.HTTPConnectionPool

    def scrape(self) -> bytes:
        """Return the metrics as text."""
        answer = self.http.request("GET", "/metrics", headers={"Accept": "text/plain"})
        assert answer.status == 200, answer.data[-2000:]
        return answer.data

    def total(self, metric: str) -> float:
        """Return the sum of a metric over all its series."""
        lines = re.findall(rb"^" + metric.encode() + rb"(?:\{.*\})? (\S+)$", self.scrape(), re.MULTILINE)
        return sum(map(float, lines))

    def wait_until_ready(self) -> None:
        """Wait until every cluster has been polled, and answers."""
        end = time.monotonic() + PATIENCE
        while self.http.request("GET", "/-/ready").status != 200:
            if time.monotonic() > end:
                raise AssertionError("the monitor did not become ready")
            time.sleep(0.05)
        up = re.findall(rb"^milvus_import_cluster_up\{.*\} (\d)$", self.scrape(), re.MULTILINE)
        assert set(up) == {b"1"}, self.log.read_text()[-2000:]


def write_config(
    folder: Path,
    clusters: Sequence[tuple[str, str]],
    *,
    listen: str = "127.0.0.1:0",
    state: str = "state.db",
    interval: float | tuple[float, float],
    series: int | None = None,
    own_keys: bool = False,
    idle: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write a config and return its path.

    Args:
        folder: Where.
        clusters: Names and URLs.
        listen: The address of the metrics.
        state: File of the SQLite store.
        interval: Seconds from poll to poll, where there are two without and with unfinished jobs.
        series: Series of jobs that each cluster may have, where it is not the usual number.
        own_keys: Whether each cluster has a key of its own; else all have the same.
        idle: Names and URLs of clusters that are polled once.
    """

    def key(name: str) -> str:
        return hashlib.sha256((name if own_keys else "").encode()).hexdigest()

    intervals = interval if isinstance(interval, tuple) else (interval, interval)
    milliseconds = [round(seconds * 1000) for seconds in intervals]
    poll = "interval: {}ms, active_interval: {}ms".format(*milliseconds)
    poll += ", timeout: 10s, concurrency: 32, requests_per_second: 1000"
    lines = [
        f"listen: {listen}",
        "log: {format: json, level: info}",
        f'state: {{url: "sqlite:///{folder / state}"}}',
        f"poll: {{{poll}}}",
        *([] if series is None else [f"jobs: {{series_per_cluster: {series}}}"]),
        "clusters:",
        *(f"  - {{name: {name}, url: '{url}', api_key: {key(name)}}}" for name, url in clusters),
        *(f"  - {{name: {name}, url: '{url}', api_key: {key(name)}, interval: 1d}}" for name, url in idle),
    ]
    path = folder / "bench.yml"
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def started(config: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The process of a monitor on its processor, and its log, a file beside the config; it is stopped at the end."""
    env = os.environ | environment
    log = config.with_suffix(".log")
    line = pinned(*command("run", "-c", config))
    with log.open("w") as written, subprocess.Popen(line, stderr=written, cwd=ROOT, env=env) as process:
        try:
            yield process, log
        finally:
            process.terminate()
            try:
                process.wait(30.0)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def monitor(config: Path, **environment: str) -> Iterator[Monitor]:
    """A monitor that listens."""
    with started(config, **environment) as (process, log):
        port = _port(process, log)
        with urllib3.HTTPConnectionPool("127.0.0.1", port, timeout=PATIENCE) as http:
            yield Monitor(process.pid, port, log, http)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r'"listen": ?"http://[^"]*:(\d+)"', log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"the monitor did not start:\n{log.read_text()[-2000:]}")
