"""A second monitor on one SQLite file is refused, and never one that comes after the first has ended."""

import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from monitor.store import StoreError, open_store
from monitor.store.file_lock import FileLock

HOLD = """
import sys
from pathlib import Path
from monitor.store.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]), "host-a:17")
print("held", flush=True)
sys.stdin.read()
"""


def test_the_file_of_a_running_monitor_is_refused_and_that_of_a_killed_one_is_not(tmp_path):
    file = tmp_path / "state.db"
    command = [sys.executable, "-c", HOLD, str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=r"state\.db is used by another monitor \(host-a:17\): stop that one, use"):
            FileLock(file, "host-b:18")
        other.send_signal(signal.SIGKILL)
        other.wait(timeout=60)
        with closing(FileLock(file, "host-b:18")):
            pass

    assert (tmp_path / "state.db.lock").stat().st_mode & 0o777 == 0o600
    assert not file.exists()


def test_a_lock_can_be_taken_again_after_it_was_closed(tmp_path):
    file = tmp_path / "state.db"
    first = FileLock(file, "one")
    first.close()
    first.close()
    with closing(FileLock(file, "two")), pytest.raises(StoreError, match=r"\(two\)"):
        FileLock(file, "three")


def test_the_file_is_still_held_after_the_store_has_recovered(tmp_path):
    file = tmp_path / "state.db"
    store = open_store(f"sqlite:///{file}", retention=86400.0, connections=2, holder="one")
    store.availability.mark_unavailable(OSError("the disk is full"))
    store.maintain(lambda *_: None)

    with pytest.raises(StoreError, match=r"\(one\)"):
        FileLock(file, "two")
    store.close()
    with closing(FileLock(file, "two")):
        pass
