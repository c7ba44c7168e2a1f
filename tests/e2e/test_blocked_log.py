"""A log that nobody reads, or that is closed, stops nothing."""

import fcntl
import os
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable

import pytest
import requests

from monitor.simulator import Lifecycle, World
from tests.daemon import WAIT, Metrics, command, write_config
from tests.fakes.simulator import SimulatorServer, set_status
from tests.integration.milvus_server import free_ports

PIPE_SIZE = 65_536


def waiting(pipe: int) -> int:
    """The bytes in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Monitor:
    """A monitor on a known port: its log cannot tell where it listens."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process

    def metrics(self) -> Metrics:
        return Metrics(requests.get(f"{self.url}/metrics", timeout=5).text)

    def shows(self, name: str, **labels: str) -> bool:
        try:
            return bool(self.metrics().named(name, **labels))
        except requests.ConnectionError:  # not started yet
            assert self.process.poll() is None
            return False

    def reloaded_at(self) -> float | None:
        return self.metrics().value("milvus_import_config_last_reload_success_timestamp_seconds")


@pytest.mark.parametrize("kind", ["blocked", "closed"])
def test_polls_reloads_and_the_end_do_not_wait_for_the_log(tmp_path, kind):
    world = World()
    cluster = world.add_cluster("milvus", generation="milvus")
    job = cluster.add_job(collection="books", lifecycle=Lifecycle.frozen("Importing", 40))
    (port,) = free_ports(1)
    reader, writer = os.pipe()
    closing = ["sh", "-c", 'exec "$@" 2>&-', "sh"] if kind == "closed" else []
    with SimulatorServer(world) as server:
        entry = f"{{name: milvus, url: '{server.url}/clusters/milvus', interval: 200ms}}"
        config = write_config(tmp_path, entry, listen=f"127.0.0.1:{port}")
        with subprocess.Popen([*closing, *command("run", "-c", config)], stderr=writer) as process:
            os.close(writer)
            monitor = Monitor(port, process)
            wait_until(lambda: monitor.shows("milvus_import_job_state", job_id=job.id))
            if kind == "blocked":
                many = [cluster.add_job(collection="books") for _ in range(300)]
                wait_until(lambda: waiting(reader) > PIPE_SIZE - 4096)
                assert many
            set_status(job, state="Failed", reason="no such file")
            wait_until(lambda: monitor.shows("milvus_import_job_failed", job_id=job.id))
            before = monitor.reloaded_at()
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: monitor.reloaded_at() != before)
            assert requests.get(f"{monitor.url}/-/healthy", timeout=5).status_code == 200
            process.send_signal(signal.SIGTERM)

            assert process.wait(timeout=10) == 0
    os.close(reader)
