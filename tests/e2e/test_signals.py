"""Signals that come while the daemon starts."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.daemon import WAIT, Daemon, command, write_config


def wait_for_mask(process: "subprocess.Popen[str]", mask: str, number: signal.Signals) -> None:
    """Wait until a process blocks (``SigBlk``) or catches (``SigCgt``) a signal."""
    deadline = time.monotonic() + WAIT
    while True:
        assert time.monotonic() < deadline
        status = Path(f"/proc/{process.pid}/status").read_text()
        bits = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith(mask))
        if bits >> (number - 1) & 1:
            return
        time.sleep(0.005)


def starting(tmp_path: Path) -> "subprocess.Popen[str]":
    config = write_config(tmp_path, "{name: prod, url: 'http://127.0.0.1:9'}")
    return subprocess.Popen(command("run", "-c", config), stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_daemon_that_is_stopped_while_it_starts_ends_without_a_word(tmp_path, number):
    with starting(tmp_path) as process:
        wait_for_mask(process, "SigBlk", signal.SIGHUP)  # before that it may still be a copy of this process
        wait_for_mask(process, "SigCgt", signal.SIGTERM)
        process.send_signal(number)

        assert process.wait(timeout=WAIT) == 0
        assert "Traceback" not in process.stderr.read()


def test_a_reload_that_is_asked_for_while_it_starts_happens_once_it_is_ready(tmp_path):
    with starting(tmp_path) as process:
        wait_for_mask(process, "SigBlk", signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        daemon = Daemon(process)
        daemon.wait_for("config_reloaded")

        assert daemon.stop() == 0
