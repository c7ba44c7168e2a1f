"""The processes of a bench: who answers, the monitor as a user starts it, and what each of them has used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import urllib3

from tests.daemon import command
from tests.venvs import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE: Final = 300.0
"""Seconds that a process may take to be ready."""

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


@contextmanager
def replay(*arguments: object) -> Iterator[int]:
    """A server of `replay.py` on the other processor; gives its port."""
    line = ["taskset", "-c", str(THERE), sys.executable, "-m", "tests.bench.replay", *map(str, arguments)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@dataclass(frozen=True)
class Monitor:
    """A running monitor."""

    pid: int
    port: int
    http: urllib3.HTTPConnectionPool

    def scrape(self) -> bytes:
        """Return the metrics as text."""
        return self.http.request("GET", "/metrics").data

    def total(self, metric: str) -> float:
        """Return the sum of a metric over all its series."""
        lines = re.findall(rb"^" + metric.encode() + rb"(?:\{.*\})? (\S+)$", self.scrape(), re.MULTILINE)
        return sum(map(float, lines))

    def wait_until_ready(self) -> None:
        """Wait until every cluster has been polled."""
        end = time.monotonic() + PATIENCE
        while self.http.request("GET", "/-/ready").status != 200:
            if time.monotonic() > end:
                raise AssertionError("the monitor did not become ready")
            time.sleep(0.05)


def write_config(
    folder: Path, clusters: Sequence[tuple[str, str]], *, state: str = "memory://", **poll: object
) -> Path:
    """Write a config of clusters, given as name and URL, and return its path."""
    settings = {"concurrency": 32, "timeout": "10s", "requests_per_second": 1000} | poll
    lines = [
        "listen: 127.0.0.1:0",
        "log: {format: json, level: info}",
        f'state: {{url: "{state}"}}',
        f"poll: {{{', '.join(f'{key}: {value}' for key, value in settings.items())}}}",
        "clusters:",
        *(f"  - {{name: {name}, url: '{url}'}}" for name, url in clusters),
    ]
    path = folder / "bench.yml"
    path.write_text("\n".join(lines) + "\n")
    return path


@contextmanager
def monitor(config: Path, log: Path) -> Iterator[Monitor]:
    """The monitor on this processor, its log in a file."""
    line = ["taskset", "-c", str(HERE), *command("run", "-c", config)]
    with log.open("w") as written, subprocess.Popen(line, stderr=written, cwd=ROOT) as process:
        try:
            port = _port(process, log)
            with urllib3.HTTPConnectionPool("127.0.0.1", port, timeout=60.0) as http:
                yield Monitor(process.pid, port, http)
        finally:
            process.terminate()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        found = re.search(r'"listen": ?"http://[^"]*:(\d+)"', log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(f"the monitor did not start:\n{log.read_text()[-2000:]}")
