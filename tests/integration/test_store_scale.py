"""A store with much in it: no query reads all that has finished."""

import sqlite3
import time
from contextlib import closing

import pytest
from sqlalchemy import create_engine, event

from monitor.jobs import JobState
from monitor.store import ClusterRef, JobFilter, TransitionFilter, open_store
from tests.stored import Stored, close_all, record

FINISHED = 50_000
REFS = [ClusterRef(f"c{number}", f"c{number}") for number in range(1000)]

FACTS = (
    '\'{"job_id":"\' || value || \'","collection":"books","state":"completed","first_seen":1000.0,"state_since":1000.0,'
    '"last_change":1000.0,"finished_at":1000.0}\''
)


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A store of 1,000 clusters in which 50,000 jobs have finished."""
    file = tmp_path_factory.mktemp("store") / "state.db"
    fleet = Stored(f"sqlite:///{file}", *REFS)
    for ref in REFS[:100]:
        fleet.poll(record("running", progress=10), record("bad", "Failed"), cluster=ref.name)
    close_all()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "WITH RECURSIVE numbers(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM numbers WHERE value < ?) "
            "INSERT INTO jobs (cluster, job_id, facts, collection, state, finished_at) "
            f"SELECT 'c' || (value % 1000), value, {FACTS}, 'books', 'completed', 1000.0 + value FROM numbers",
            (FINISHED,),
        )
        connection.commit()
    return fleet.url


@pytest.fixture
def plans(monkeypatch):
    """How SQLite finds what each query asks for, by the text of the query."""
    found = {}
    engines = []

    def remember(*arguments, **options):
        engines.append(create_engine(*arguments, **options))
        event.listen(engines[-1], "before_cursor_execute", explain)
        return engines[-1]

    def explain(_connection, cursor, statement, parameters, _context, many):
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            some = parameters[0] if many else parameters
            rows = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", some).fetchall()
            found[statement] = [row[-1] for row in rows]

    monkeypatch.setattr("monitor.store.sqlite.create_engine", remember)
    yield found
    close_all()


def scans(plans):
    """The steps that read a whole table, or sort all that they have read; to read in the order of an index is none."""
    return {
        (statement[:200], step)
        for statement, steps in plans.items()
        for step in steps
        if "FROM jobs" in statement and not statement.startswith("SELECT anon_1")
        if step.startswith("USE TEMP B-TREE FOR ORDER BY")
        or (step.startswith(("SCAN jobs", "SCAN transitions")) and "INDEX" not in step)
    }


def test_start_polls_and_maintenance_use_indexes(url, plans):
    fleet = Stored(url, *REFS, now=5000.0)
    fleet.poll(record("running", progress=20), record("bad", "Failed"), record("7001", "Completed"), cluster="c1")
    fleet.poll(record("running", "Completed"), record("bad", "Failed"), cluster="c1")
    fleet.store.close()

    assert scans(plans) == set()
    assert any("jobs_unfinished" in step for steps in plans.values() for step in steps)
    assert any("jobs_listed" in step for steps in plans.values() for step in steps)


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(),
        JobFilter(cluster="c7"),
        JobFilter(cluster="c7", database="", collection="books"),
        JobFilter(cluster="c7", states=frozenset({JobState.FAILED})),
        JobFilter(states=frozenset({JobState.FAILED})),
        JobFilter(text="nothing like it"),
    ],
    ids=str,
)
def test_pages_use_indexes(url, plans, wanted):
    store = open_store(url, retention=1e9, connections=2)
    started = time.monotonic()
    store.finished(wanted, 50)
    store.jobs(wanted, 50)
    took = time.monotonic() - started
    store.close()

    assert scans(plans) == set()
    assert took < 1


def test_transitions_are_pruned_and_logged_by_index(url, plans):
    store = open_store(url, retention=1e9, connections=2, clock=lambda: 5000.0)
    store.watch(REFS)
    store.maintain(lambda *_: None)
    store.transitions(TransitionFilter(cluster="c7"))
    store.close()
    transitions = {step for steps in plans.values() for step in steps if "transitions" in step}

    assert any("transitions_not_logged" in step for step in transitions)
    assert any("transitions_by_time" in step for step in transitions)


def test_the_start_of_a_large_fleet_takes_few_queries(url, plans):
    queries = []
    store = open_store(url, retention=1e9, connections=2)
    plans.clear()
    store.watch(REFS)
    queries = list(plans)
    store.close()

    assert len(queries) <= 10
