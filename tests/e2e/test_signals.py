"""Signals that come while the daemon starts."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.daemon import WAIT, Daemon, command, write_config
from tests.venvs import missing


def wait_for_mask(process: int, mask: str, number: signal.Signals) -> None:
    """Wait until a process blocks (``SigBlk``) or catches (``SigCgt``) a signal."""
    deadline = time.monotonic() + WAIT
    while True:
        assert time.monotonic() < deadline
        status = Path(f"/proc/{process}/status").read_text()
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
        wait_for_mask(process.pid, "SigBlk", signal.SIGHUP)  # before that it may still be a copy of this process
        wait_for_mask(process.pid, "SigCgt", signal.SIGTERM)
        process.send_signal(number)

        assert process.wait(timeout=WAIT) == 0
        assert "Traceback" not in process.stderr.read()


def test_a_reload_that_is_asked_for_while_it_starts_happens_once_it_is_ready(tmp_path):
    with starting(tmp_path) as process:
        wait_for_mask(process.pid, "SigBlk", signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        daemon = Daemon(process)
        daemon.wait_for("config_reloaded")

        assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_changes_nothing_about_the_end(tmp_path, number):
    with starting(tmp_path) as process:
        daemon = Daemon(process)
        daemon.wait_for("monitor_started")
        process.send_signal(number)
        process.send_signal(number)

        assert daemon.stop(number) == 0
        assert daemon.lines("monitor_stopped")
        assert "Traceback" not in daemon.text()


@pytest.mark.parametrize("when", ["while it starts", "afterwards"])
def test_as_the_first_process_of_a_container_it_ends_and_reloads(tmp_path, when):
    """The kernel drops the signals of such a process that it has no handler for."""
    alone = ["unshare", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        missing("processes cannot be counted anew here")
    config = write_config(tmp_path, "{name: prod, url: 'http://127.0.0.1:9'}")
    with subprocess.Popen([*alone, *command("run", "-c", config)], stderr=subprocess.PIPE, text=True) as process:
        first = child_of(process)
        wait_for_mask(first, "SigBlk", signal.SIGHUP)
        wait_for_mask(first, "SigCgt", signal.SIGTERM)
        daemon = Daemon(process)
        if when == "afterwards":
            daemon.wait_for("monitor_started")
            os.kill(first, signal.SIGHUP)
            daemon.wait_for("config_reloaded")
        os.kill(first, signal.SIGTERM)

        assert process.wait(timeout=WAIT) == 0
        assert "Traceback" not in daemon.text()


def child_of(process: "subprocess.Popen[str]") -> int:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + WAIT
    while not (found := children.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return int(found[0])
