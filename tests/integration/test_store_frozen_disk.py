"""SQLite on a disk that stops answering: a file system of its own is frozen for real."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from threading import Event, Thread, Timer

import pytest

from monitor.jobs import JobState
from monitor.store.worker import Worker
from tests.stored import Stored, count, record
from tests.venvs import missing

IMPORTING, FAILED = JobState.IMPORTING, JobState.FAILED
LONGEST_FREEZE = 60.0
"""Seconds after which the disk goes on in any case: a test that hangs on it could not even be killed."""


@pytest.fixture
def disk(tmp_path):
    """A folder on a small file system of its own."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("mkfs.ext4", "mount", "fsfreeze"))):
        missing("a file system is mounted and frozen, which needs root")
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, folder], check=False).returncode:
        missing("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def frozen(folder):
    subprocess.run(["fsfreeze", "-f", folder], check=True)
    thawed = Event()

    def thaw():
        if not thawed.is_set():
            thawed.set()
            subprocess.run(["fsfreeze", "-u", folder], check=True)

    timer = Timer(LONGEST_FREEZE, thaw)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        thaw()


def test_a_frozen_disk_keeps_no_poll_waiting_and_nothing_is_lost(disk):
    url = f"sqlite:///{disk}/state.db"
    first = Stored(url)
    first.poll(record("1"), record("2"))
    with frozen(disk):
        steps = first.poll(record("1", "Failed"), record("2"))
        was_up = first.store.up
        more_steps = first.poll(record("1", "Failed"), record("2", "Failed"))
        first.maintain()
        recovered = first.store.up
        snapshot = first.snapshot
    while not first.store.up:
        first.maintain()
    first.store.close()
    again = Stored(url)

    assert steps == [("1", IMPORTING, FAILED)]
    assert more_steps == [("2", IMPORTING, FAILED)]
    assert not was_up
    assert not recovered
    assert {job.state for job in snapshot.tracked.values()} == {FAILED}
    assert count(url) == 2
    assert {job.state for job in again.snapshot.tracked.values()} == {FAILED}


def test_a_function_that_hangs_is_given_up_and_the_next_ones_are_not_waited_for():
    worker, may_end = Worker("test"), Event()
    with pytest.raises(TimeoutError, match="has not answered for"):
        worker.run(may_end.wait, 0.01)
    with pytest.raises(TimeoutError, match="does not answer"):
        worker.run(lambda: 1, 60)
    may_end.set()
    while worker.is_hanging:
        pass

    assert worker.run(lambda: 2, 60) == 2
    worker.end()
    assert worker.run(lambda: 3, 60) == 3
    with pytest.raises(TimeoutError, match="own"):
        worker.run(raise_timeout, 60)
    worker.end()


def test_a_function_that_is_waited_for_does_not_hang():
    worker, started, may_end = Worker("test"), Event(), Event()
    caller = Thread(target=worker.run, args=(lambda: started.set() or may_end.wait(), 60))
    caller.start()
    started.wait()
    was_hanging = worker.is_hanging
    may_end.set()
    caller.join()
    worker.end()

    assert not was_hanging


def raise_timeout():
    raise TimeoutError("own")
