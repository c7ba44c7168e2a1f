"""The monitor as a user starts it: a process, its log read as it comes, its endpoints asked over HTTP."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

Line = dict[str, Any]
WAIT = 60.0


class Metrics:
    """One scrape, asked by name and labels."""

    def __init__(self, text: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]

    def named(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Every sample of that name that has these labels among its own."""
        return [
            (sample.labels, sample.value)
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def value(self, name: str, **labels: str) -> float | None:
        """The one sample of that name with these labels, or None."""
        found = self.named(name, **labels)
        assert len(found) <= 1, found
        return found[0][1] if found else None


class Daemon:
    """A running monitor."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._written: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="daemon-log", daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self._written.append(line)
                self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()

    def text(self) -> str:
        """Everything written to standard error so far."""
        with self._more:
            return "".join(self._written)

    def written(self, begin: int = 0) -> list[str]:
        """The lines written to standard error from that one on, of which the last may be under way."""
        with self._more:
            return self._written[begin:]

    def tail(self) -> str:
        with self._more:
            return f"the end of the daemon's log:\n{''.join(self._written[-40:])}"

    def lines(self, event: str, **fields: Any) -> list[Line]:
        """Every line logged so far with that event and these fields."""
        with self._more:
            entries = [json.loads(line) for line in self._written if line.startswith("{")]
        return [entry for entry in entries if entry["event"] == event and fields.items() <= entry.items()]

    def wait_for(
        self, event: str, count: int = 1, *, where: Callable[[Line], bool] = lambda _: True, **fields: Any
    ) -> Line:
        """Return the last of `count` lines of that event, once they are logged; fails after a minute."""

        def logged() -> list[Line]:
            return [line for line in self.lines(event, **fields) if where(line)]

        with self._more:
            self._more.wait_for(lambda: len(logged()) >= count or self._ended, timeout=WAIT)
        found = logged()
        assert len(found) >= count, f"{event} {fields} was not logged {count} times; {self.tail()}"
        return found[count - 1]

    def get(self, path: str, **arguments: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=5, **arguments)

    def metrics(self) -> Metrics:
        answer = self.get("/metrics")
        assert answer.status_code == 200, self.tail()
        return Metrics(answer.text)

    def stop(self, number: int = signal.SIGTERM, within: float = 20) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"the daemon did not stop within {within} s; {self.tail()}") from None
        finally:
            self._reader.join(timeout=5)


def command(*arguments: object) -> list[str]:
    """The command line of the monitor."""
    return [sys.executable, "-m", "monitor", *map(str, arguments)]


def finished(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the monitor to its end."""
    return subprocess.run(
        command(*arguments), check=False, capture_output=True, text=True, timeout=WAIT, env=os.environ | environment
    )


@contextmanager
def started(*arguments: object, prefix: Sequence[str] = (), **environment: str) -> Iterator[Daemon]:
    """The monitor, started with these arguments, by another command where one is given; stopped at the end."""

    with subprocess.Popen(
        [*prefix, *command(*arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    ) as process:
        daemon = Daemon(process)
        try:
            daemon.url = daemon.wait_for("monitor_started")["listen"]
            yield daemon
        finally:
            if process.poll() is None:
                daemon.stop()


def write_config(folder: Path, *clusters: str, name: str = "config.yml", **sections: str) -> Path:
    """Write a config file whose log is JSON at debug level, on any free port, and return its path."""
    known = {
        "listen": "127.0.0.1:0",
        "log": "{format: json, level: debug}",
        "state": '{url: "memory://"}',
        "poll": "{interval: 200ms, timeout: 5s}",
    }
    lines = [f"{section}: {value}" for section, value in (known | sections).items()]
    path = folder / name
    path.write_text("\n".join([*lines, "clusters:", *(f"  - {cluster}" for cluster in clusters)]) + "\n")
    return path
