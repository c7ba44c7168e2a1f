"""Polls that are recorded at the same time share one transaction in a SQLite file, and nothing else."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Event

import pytest

from monitor.jobs import Job, JobState, Observation, StallLimits, diff
from monitor.store import Whose, open_store
from monitor.store import database as room
from monitor.store import together as gathering

NAMES = [f"cluster-{number}" for number in range(5)]
IMPORTING, COMPLETED = JobState.IMPORTING, JobState.COMPLETED


class Arrivals(list):
    """Those that wait for a transaction; says when as many as are expected have come."""

    def __init__(self, expected):
        super().__init__()
        self.expected = expected
        self.all_here = Event()

    def append(self, one):
        super().append(one)
        if len(self) == self.expected:
            self.all_here.set()


class Fleet:
    """A store of several clusters."""

    def __init__(self, file):
        self.file = file
        self.store = open_store(f"sqlite:///{file}", retention=86400.0, connections=8, clock=lambda: 1000.0)
        for name in NAMES:
            self.store.watch(Whose(name, name))

    def poll(self, name, *jobs):
        seen = Observation({job.job_id: job for job in jobs})
        return self.store.record(name, diff(self.store.picture(name), seen, 1000.0, StallLimits()))

    def poll_at_once(self, jobs, monkeypatch):
        """Poll clusters at the same time; return what each poll came to, and what SQLite was told."""
        together = self.store._database._together
        together._waiting = arrivals = Arrivals(len(jobs))
        said = []
        writer = self.store._database._driver._kept.driver_connection
        writer.set_trace_callback(said.append)
        with monkeypatch.context() as patch, ThreadPoolExecutor(len(jobs)) as pool:
            patch.setattr(gathering.time, "sleep", lambda _: arrivals.all_here.wait(10))
            polls = {name: pool.submit(self.poll, name, one) for name, one in jobs.items()}
            came_to = {name: poll.exception(10) or poll.result() for name, poll in polls.items()}
        writer.set_trace_callback(None)
        return came_to, said

    def recorded(self):
        """Return the ids of the recorded transitions, by cluster."""
        with closing(sqlite3.connect(self.file)) as beside:
            rows = beside.execute("SELECT cluster, id FROM transitions").fetchall()
        return {name: [number for cluster, number in rows if cluster == name] for name, _ in rows}


@pytest.fixture
def fleet(tmp_path):
    fleet = Fleet(tmp_path / "state.db")
    for name in NAMES:
        fleet.poll(name)
    yield fleet
    fleet.store.close()


def job(state=IMPORTING, collection="books"):
    return Job("1", collection, state)


def test_polls_that_come_at_the_same_time_are_one_transaction_and_each_gets_its_own_ids(fleet, monkeypatch):
    came_to, said = fleet.poll_at_once({name: job() for name in NAMES}, monkeypatch)

    assert [one for one in said if one in {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"}] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert all(len(ids) == 1 for ids in came_to.values())
    assert came_to == fleet.recorded()
    again = Fleet(fleet.file)
    assert [again.store.picture(name) for name in NAMES] == [fleet.store.picture(name) for name in NAMES]
    again.store.close()


def test_what_is_wrong_with_one_poll_is_its_own_affair(fleet, monkeypatch):
    stale, unwritable, *fine = NAMES
    other = Fleet(fleet.file)
    before = {stale: other.poll(stale, job())}
    jobs = {name: job() for name in NAMES} | {unwritable: job(collection="\ud800")}

    came_to, _ = fleet.poll_at_once(jobs, monkeypatch)

    assert came_to[stale] is None
    assert isinstance(came_to[unwritable], UnicodeEncodeError)
    assert fleet.store.picture(stale) == other.store.picture(stale)
    assert fleet.recorded() == before | {name: came_to[name] for name in fine}
    assert len(fleet.poll(unwritable, job())) == 1
    other.store.close()


def test_when_the_file_is_full_every_poll_goes_on_in_memory_and_is_written_later(fleet, monkeypatch):
    writer = fleet.store._database._driver._kept.driver_connection
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")

    came_to, _ = fleet.poll_at_once({name: job(collection="x" * 9000) for name in NAMES}, monkeypatch)
    assert came_to == {name: [] for name in NAMES}
    assert not fleet.store.up
    assert fleet.recorded() == {}

    writer.execute("PRAGMA max_page_count = 1000000")
    fleet.store.maintain(lambda *_: pytest.fail("all of it was told"))
    assert {name: len(ids) for name, ids in fleet.recorded().items()} == dict.fromkeys(NAMES, 1)


def test_while_another_program_holds_the_file_all_wait_for_it_once_and_go_on_in_memory(fleet, monkeypatch):
    with closing(sqlite3.connect(fleet.file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        came_to, said = fleet.poll_at_once({name: job() for name in NAMES}, monkeypatch)

    assert came_to == {name: [] for name in NAMES}
    assert said.count("BEGIN IMMEDIATE") == 1
    fleet.store.maintain(lambda *_: pytest.fail("all of it was told"))
    assert {name: len(ids) for name, ids in fleet.recorded().items()} == dict.fromkeys(NAMES, 1)


def test_a_poll_that_changes_many_jobs_waits_for_nobody_and_keeps_nobody_waiting(fleet, monkeypatch):
    monkeypatch.setattr(gathering.time, "sleep", lambda _: pytest.fail("it waited"))
    jobs = [Job(str(number), "books", IMPORTING) for number in range(room._FEW + 1)]

    assert len(fleet.poll(NAMES[0], *jobs)) == len(jobs)
