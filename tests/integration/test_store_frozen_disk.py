"""SQLite on a disk that stops answering: a file system of its own is frozen for real."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from threading import Event, Thread, Timer
from threading import enumerate as enumerate_threads

import pytest

from monitor.jobs import JobState
from monitor.store.schema import VERSION
from monitor.store.schema_version import check_version
from monitor.store.urls import create_store_database
from monitor.store.worker import Worker, Workers
from tests.daemon import WAIT, started, write_config
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
    """Freeze a disk; yield what thaws it earlier than at the end."""
    subprocess.run(["fsfreeze", "-f", folder], check=True)
    thawed = Event()

    def thaw():
        if not thawed.is_set():
            thawed.set()
            subprocess.run(["fsfreeze", "-u", folder], check=True)

    timer = Timer(LONGEST_FREEZE, thaw)
    timer.start()
    try:
        yield thaw
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


def test_what_a_page_asks_of_a_frozen_disk_is_given_up_once(disk):
    url = f"sqlite:///{disk}/state.db"
    first = Stored(url)
    first.poll(record("1"))
    first.store.close()
    database = create_store_database(url, 4)
    with frozen(disk):
        with pytest.raises(TimeoutError, match="has not answered for"):
            database.read_for_page(check_version)
        is_busy = database.is_busy
        with pytest.raises(TimeoutError, match="does not answer"):
            database.read_for_page(check_version)
    while database.is_busy:
        pass
    version = database.read_for_page(check_version)
    database.close()

    assert is_busy
    assert version == VERSION


def test_the_daemon_starts_and_stops_with_a_frozen_disk_and_says_what_keeps_its_process(disk, tmp_path):
    config = write_config(
        tmp_path, "{name: prod, url: 'http://127.0.0.1:9'}", state=f"{{url: 'sqlite:///{disk}/state.db'}}"
    )
    with started("run", "-c", config) as daemon:
        daemon.wait_for("cluster_unreachable")
        daemon.stop()
    with frozen(disk) as thaw, started("run", "-c", config) as daemon:
        daemon.wait_for("store_unavailable")
        daemon.wait_for("cluster_unreachable")
        page = daemon.get("/api/v1/transitions").json()
        up = daemon.metrics().value("milvus_import_store_up")
        daemon.process.terminate()
        stopped = daemon.wait_for("monitor_stopped")
        thaw()
        code = daemon.process.wait(WAIT)

    assert not page["complete"]
    assert up == 0
    assert stopped["level"] == "warning"
    assert "the disk of the store does not answer" in stopped["message"]
    assert code == 0


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


def test_the_end_waits_for_what_is_still_running_and_ends_every_thread():
    workers, started_event, may_end = Workers("test-reads"), Event(), Event()
    caller = Thread(target=workers.run, args=(lambda: started_event.set() or may_end.wait(), 60))
    caller.start()
    started_event.wait()
    was_busy = workers.is_busy
    Timer(0.01, may_end.set).start()
    workers.end()
    is_busy = workers.is_busy
    caller.join()
    workers.end()

    assert was_busy
    assert not is_busy
    assert "test-reads" not in {thread.name for thread in enumerate_threads()}


def raise_timeout():
    raise TimeoutError("own")
