"""While the database is away, everything goes on from memory; what was missed is written when it is back."""

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from threading import Event, Thread

import psycopg
import pytest
from structlog.testing import capture_logs

from monitor.jobs import JobState
from monitor.store import ClusterRef, StoreBusyError, StoreError, open_store
from monitor.store.urls import create_store_database
from tests.pgbouncer import running_pgbouncer
from tests.stored import Stored, break_tables, close_all, count, record, run

IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED


def events(logged):
    return [line["event"] for line in logged]


def test_while_it_is_away_everything_goes_on_and_what_was_missed_is_written_afterwards(url):
    first = Stored(url)
    first.poll(record("1"))
    repair = break_tables(url)
    with capture_logs() as logged:
        story = [first.poll(record("1", progress=50)), first.poll(record("1", "Completed")), first.poll(record("2"))]
        first.maintain()
        was_up = first.store.up
        repair()
        assert first.maintain() == []

    assert story == [[], [("1", IMPORTING, COMPLETED)], [("2", None, IMPORTING)]]
    assert events(logged) == ["store_unavailable", "store_recovered"]
    assert (was_up, first.store.up) == (False, True)
    assert first.store.failures >= 2
    assert count(url) == 2
    second = first.reopened(now=9000)
    assert second.snapshot.tracked == first.snapshot.tracked
    assert second.maintain() == []
    assert second.poll(record("1", "Completed"), record("2")) == []


def test_it_is_tried_once_and_not_by_every_cluster(tmp_path):
    names = [f"c{number}" for number in range(20)]
    fleet = Stored(f"sqlite:///{tmp_path}/state.db", *(ClusterRef(name, name) for name in names))
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        for name in names:
            fleet.poll(record("1"), cluster=name)
        took = time.monotonic() - started
        other.execute("ROLLBACK")
    fleet.maintain()

    assert took < 5
    assert fleet.store.failures == 1
    assert count(fleet.url, "jobs") == 20


def test_one_clusters_slow_write_keeps_no_thread_waiting_for_long(tmp_path):
    names = [f"c{number}" for number in range(8)]
    fleet = Stored(f"sqlite:///{tmp_path}/state.db", *(ClusterRef(name, name) for name in names))
    threads = [Thread(target=fleet.poll, args=(record("1"),), kwargs={"cluster": name}) for name in names]
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        started = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - started
        other.execute("ROLLBACK")
    with capture_logs() as logged:
        fleet.maintain()

    assert took < 5
    assert events(logged) == ["store_recovered"]
    assert count(fleet.url, "clusters") == 8


def test_a_large_write_keeps_other_polls_waiting_for_a_moment_only(tmp_path):
    database = create_store_database(f"sqlite:///{tmp_path}/state.db", connections=2)
    begun, may_end = Event(), Event()
    large = Thread(
        target=database.write_in_poll,
        args=(lambda _connection: begun.set() or may_end.wait(60),),
        kwargs={"rows": 5000},
    )
    large.start()
    assert begun.wait(60)
    started = time.monotonic()
    with pytest.raises(StoreBusyError):
        database.write_in_poll(lambda _connection: None, rows=1)
    took = time.monotonic() - started
    may_end.set()
    large.join()

    assert took < 1.5
    assert database.write_in_poll(lambda _connection: "written", rows=1) == "written"
    database.close()


def test_what_waits_is_bounded(url):
    first = Stored(url)
    first.poll()
    repair = break_tables(url)
    first.poll(*(record(str(number)) for number in range(11_000)))
    repair()
    while not first.store.up:  # a busy machine may need several attempts
        first.maintain()

    assert count(url) == 10_000
    assert count(url, "jobs") == 11_000


def test_a_poll_is_recorded_whole_or_not_at_all(url):
    first = Stored(url)
    first.poll(record("1"))
    run(url, "ALTER TABLE transitions RENAME TO stolen")
    first.poll(record("1", "Failed"))

    assert run(url, "SELECT revision FROM clusters") == [(1,)]
    assert run(url, "SELECT state FROM jobs") == [("importing",)]
    run(url, "ALTER TABLE stolen RENAME TO transitions")


@pytest.mark.parametrize("way", ["full", "file damaged"])
def test_whatever_sqlite_refuses_is_unavailability_and_names_the_file(tmp_path, way):
    first = Stored(f"sqlite:///{tmp_path}/state.db")
    first.poll(*(record(str(number)) for number in range(50)))
    file = tmp_path / "state.db"
    if way == "full":
        refuse_transitions(file)
        first = first.reopened()
    else:
        first = first.reopened()
        run(first.url, "PRAGMA user_version = 7")  # or SQLite would go on with the pages that it has in memory
        with file.open("r+b") as opened:
            opened.seek(4096)
            opened.write(b"\xff" * 4096 * 30)
    with capture_logs() as logged:
        steps = first.poll(*(record(str(number), "Failed", reason="x" * 4000) for number in range(50)))

    assert len(steps) in {50, 0} or first.snapshot is None
    assert [(line["event"], line.get("file")) for line in logged][:1] == [("store_unavailable", str(file))]
    assert not first.store.up


def refuse_transitions(file):
    """Let every write of a transition fail, as a full disk does."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON transitions BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
        connection.commit()


def test_a_cluster_that_is_forgotten_while_it_is_away_stays_forgotten(url):
    first = Stored(url)
    first.poll(record("1"))
    repair = break_tables(url)
    first.poll(record("1", "Failed"))
    first.store.forget("prod")
    repair()
    first.maintain()

    assert first.store.snapshot("prod") is None
    assert count(url) == 0


# At the start


def test_a_database_that_is_away_at_the_start_costs_no_transition(server):
    first = Stored(server.url)
    first.poll(record("1"), record("2"), record("3", "Completed"))
    first.store.close()
    server.stop()
    try:
        with capture_logs() as logged:
            second = Stored(server.url, now=2000)
            steps = [
                second.poll(record("1", "Completed"), record("2"), record("3", "Completed")),
                second.poll(record("1", "Completed"), record("2", "Failed"), record("4")),
            ]
    finally:
        server.start()
    second.maintain()

    assert events(logged) == ["store_unavailable"]
    assert run(server.url, "SELECT missing_since FROM jobs WHERE job_id = '3'") == [(None,)]
    assert steps == [[], [("2", IMPORTING, FAILED), ("4", None, IMPORTING)]]
    assert second.store.up
    assert [row[0] for row in run(server.url, "SELECT job_id FROM transitions WHERE logged")] == ["2", "4"]
    assert second.poll(record("1", "Completed"), record("2", "Failed"), record("4")) == [("1", IMPORTING, COMPLETED)]
    assert second.snapshot.outcomes["", "books"].last_failed is False
    assert second.reopened(now=9000).maintain() == []


def test_the_first_baseline_of_all_is_stored_when_the_database_comes(server):
    server.stop()
    try:
        first = Stored(server.url)
        first.poll(record("1"), record("2", "Completed"))
        first.poll(record("1", "Failed"), record("2", "Completed"))
    finally:
        server.start()
    first.maintain()
    second = first.reopened(now=2000)

    assert second.snapshot.baseline_at == 1030
    assert second.poll(record("1", "Failed"), record("2", "Completed")) == []
    assert count(server.url) == 1


def test_a_poll_that_began_before_the_stored_snapshot_could_be_read_counts_no_more(server):
    first = Stored(server.url)
    first.poll(record("1"))
    first.store.close()
    server.stop()
    try:
        second = Stored(server.url)
        baseline = second.compare(record("1", "Failed"))
    finally:
        server.start()
    second.maintain()

    assert baseline.baseline
    assert second.store.record("prod", baseline) is None
    assert second.poll(record("1", "Failed")) == [("1", IMPORTING, FAILED)]


def test_two_that_start_on_an_empty_database_do_not_collide(server):
    stores = []
    with capture_logs() as logged:
        threads = [Thread(target=lambda: stores.append(Stored(server.url))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert events(logged) == []
    assert [one.store.up for one in stores] == [True] * 4


# What comes back is not what went away


@pytest.mark.parametrize("gone", ["deleted", "replaced by an older copy"])
def test_a_file_that_is_deleted_or_replaced_is_noticed_and_written_anew(tmp_path, gone):
    file = tmp_path / "state.db"
    first = Stored(f"sqlite:///{file}")
    first.poll(record("1"), record("2", "Completed"))
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
    first.poll(record("1", "Failed"), record("2", "Completed"), record("3", "Completed"))
    first.maintain()
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"state.db{ending}").unlink()
    if gone != "deleted":
        shutil.move(tmp_path / "copy.db", file)
    with capture_logs() as logged:
        first.maintain()
    second = first.reopened(now=5000)

    assert events(logged) == ["store_unavailable", "store_recovered"]
    assert second.snapshot.tracked == first.snapshot.tracked
    assert second.snapshot.baseline_at == first.snapshot.baseline_at
    assert second.poll(record("1", "Failed"), record("2", "Completed"), record("3", "Completed")) == []


def test_a_transition_right_after_the_file_was_deleted_is_in_the_new_one(tmp_path):
    first = Stored(f"sqlite:///{tmp_path}/state.db")
    first.poll(record("1"))
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"state.db{ending}").unlink()
    with capture_logs() as logged:
        steps = first.poll(record("1", "Failed"))
        first.maintain()

    assert steps == [("1", IMPORTING, FAILED)]
    assert events(logged) == ["store_unavailable", "store_recovered"]
    assert run(first.url, "SELECT job_id, to_state, logged FROM transitions") == [("1", "failed", 1)]


def test_a_database_that_went_back_in_time_is_brought_up_to_date(server):
    first = Stored(server.url)
    first.poll(record("1"), record("2"))
    run(server.url, "CREATE TABLE saved AS SELECT * FROM jobs")
    first.poll(record("1", "Completed"), record("2"))
    first.poll(record("1", "Completed"), record("2", "Failed"))
    run(
        server.url,
        "DELETE FROM jobs",
        "INSERT INTO jobs SELECT * FROM saved",
        "UPDATE clusters SET revision = 1",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    )
    first.store.availability.mark_unavailable(ConnectionError("the primary is gone"))
    first.maintain()
    second = first.reopened(now=5000)

    assert second.snapshot.tracked == first.snapshot.tracked
    assert second.poll(record("1", "Completed"), record("2", "Failed")) == []


# Two monitors on one database


@contextmanager
def stopped(server):
    server.stop()
    try:
        yield
    finally:
        server.start()


def recorded(server, job_id):
    rows = run(server.url, f"SELECT from_state, to_state FROM transitions WHERE job_id = '{job_id}' ORDER BY id")
    return [(before and JobState(before), JobState(after)) for before, after in rows]


def test_what_another_monitor_has_recorded_as_finished_is_no_news_during_an_outage(server):
    one, two = Stored(server.url), Stored(server.url)
    one.poll(record("1"), record("2", "Completed"))
    two.poll(record("1"), record("2", "Completed"))
    one.poll(record("1", "Completed"), record("2", "Completed"))
    two.now += 60
    missed = two.poll(record("1", "Completed"), record("2", "Completed"))
    with stopped(server):
        during = [two.poll(record("1", "Completed"), record("2", "Completed")) for _ in range(3)]
        shown = two.snapshot.count_states()
    two.maintain()

    assert (missed, during) == (None, [[], [], []])
    assert shown == {COMPLETED: 2}
    assert two.poll(record("1", "Completed"), record("2", "Completed")) == []
    assert recorded(server, "1") == [(IMPORTING, COMPLETED)]
    assert recorded(server, "2") == []


def test_a_failure_first_seen_while_nothing_is_known_is_shown_at_once_and_reported_afterwards(server):
    first = Stored(server.url)
    first.poll(record("1", "Completed"))
    first = first.reopened()
    with stopped(server):
        during = first.poll(record("1", "Completed"), record("2", "Failed"))
        tracked = set(first.snapshot.tracked)
    first.maintain()

    assert (during, tracked) == ([], {"2"})
    assert first.poll(record("1", "Completed"), record("2", "Failed")) == [("2", None, FAILED)]
    assert recorded(server, "1") == []
    assert recorded(server, "2") == [(None, FAILED)]


def test_a_finished_job_that_takes_a_step_during_an_outage_keeps_its_past(server):
    first = Stored(server.url)
    first.poll(record("1"))
    first.poll(record("1", "Completed"))
    with stopped(server):
        during = first.poll(record("1", "Failed")), first.poll()
        returned = first.poll(record("1", "Failed"))
    first.maintain()
    first = first.reopened()

    assert during == ([("1", COMPLETED, FAILED)], [])
    assert returned == []
    assert first.poll(record("1", "Failed")) == []
    assert recorded(server, "1") == [(IMPORTING, COMPLETED), (COMPLETED, FAILED)]
    assert first.snapshot.tracked["1"].first_seen == 1030


def test_finished_jobs_that_a_list_lacks_for_once_are_no_news_during_an_outage(server):
    first = Stored(server.url)
    first.poll(record("1"), record("2"))
    first.poll(record("1", "Completed"), record("2"))
    first.poll(record("2"))
    with stopped(server):
        during = first.poll(record("1", "Completed"), record("2"))
    first.maintain()

    assert during == []
    assert recorded(server, "1") == [(IMPORTING, COMPLETED)]


@pytest.mark.parametrize("written", [False, True])
def test_a_list_that_was_empty_after_the_start_makes_no_news_during_an_outage(url, written):
    first = Stored(url)
    first.poll(record("1"), record("2"))
    first.poll(record("1", "Completed"), record("2"))
    second = first.reopened(flush_interval=0.0)
    second.poll()
    if written:
        second.maintain()
    repair = break_tables(url)
    during = second.poll(record("1", "Completed"), record("2"), record("3"))
    repair()
    second.maintain()
    afterwards = [second.poll(record("1", "Completed"), record("2"), record("3")) for _ in range(2)]

    assert ("1", None, COMPLETED) not in during
    assert ("1", None, COMPLETED) not in [step for steps in afterwards for step in steps or ()]
    assert run(url, "SELECT count(*) FROM transitions WHERE job_id = '1'") in ([(1,)], [[1]])


def test_jobs_that_left_in_parts_make_no_news_during_an_outage(url):
    first = Stored(url, flush_interval=0.0)
    ended = [record(str(number), "Completed") for number in range(6)]
    first.poll(record("running"))
    first.poll(record("running"), *ended)
    first.maintain()
    for listed in (ended[:3], [], [record("running")]):
        first.poll(*listed)
        first.maintain()
    repair = break_tables(url)
    during = first.poll(record("running"), *ended)
    repair()

    assert during == []


def test_what_two_log_during_one_outage_is_recorded_once(server):
    one, two = Stored(server.url), Stored(server.url)
    one.poll(), two.poll()
    with stopped(server):
        both = [
            (one.poll(record("1")), two.poll(record("1"))),
            (two.poll(record("1", "Completed")),),
        ]
        one.now = two.now = two.now + 1
    one.maintain()
    two.maintain()
    one.poll(record("1", "Completed")), two.poll(record("1", "Completed"))

    assert both == [([("1", None, IMPORTING)],) * 2, ([("1", IMPORTING, COMPLETED)],)]
    assert recorded(server, "1") == [(None, IMPORTING), (IMPORTING, COMPLETED)]
    assert [one.maintain(), two.maintain()] == [[], []]


def test_a_job_that_ends_where_it_began_has_all_its_steps_recorded(server):
    one, two = Stored(server.url), Stored(server.url)
    one.poll(record("1")), two.poll(record("1"))
    with stopped(server):
        two.now += 30
        two.poll(record("1", "Failed")), two.poll(record("1"))
    one.now += 10
    one.poll(record("1"), record("2"))
    two.maintain()
    two.maintain()

    assert recorded(server, "1") == [(IMPORTING, FAILED), (FAILED, IMPORTING)]


def test_what_was_logged_is_recorded_also_where_the_next_poll_is_outdated(server):
    one, two = Stored(server.url), Stored(server.url)
    one.poll(record("1"), record("2")), two.poll(record("1"), record("2"))
    with stopped(server):
        two.poll(record("1"), record("2", "Failed"))
    two.store.availability.up = True  # as if it had recovered in the middle of the poll
    one.poll(record("1", "Completed"), record("2"))
    outdated = two.poll(record("1", "Completed"), record("2", "Failed"))
    two.maintain()

    assert outdated is None
    assert recorded(server, "2") == [(IMPORTING, FAILED)]


# PostgreSQL


def test_connections_that_the_server_has_closed_meanwhile_are_no_unavailability(server):
    first = Stored(server.url)
    first.poll()
    close = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
    )
    run(server.url, close)
    with capture_logs() as logged:
        first.poll(record("1"))

    assert events(logged) == []
    assert count(server.url) == 1


def test_a_commit_whose_answer_is_lost_is_recognised(server, monkeypatch):
    first = Stored(server.url)
    first.poll(record("1"))
    commit = psycopg.Connection.commit

    def commit_and_lose_the_answer(connection):
        commit(connection)
        raise psycopg.OperationalError("the connection was lost")

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "commit", commit_and_lose_the_answer)
        steps = first.poll(record("1", "Failed"))
    first.maintain()
    first.now += 60

    assert steps == [("1", IMPORTING, FAILED)]
    assert first.poll(record("1", "Failed")) == []
    assert first.maintain() == []
    assert run(server.url, "SELECT to_state, logged FROM transitions") == [("failed", True)]


def test_a_lock_of_somebody_else_ends_the_wait(server):
    first = Stored(server.url)
    first.poll()
    with psycopg.connect(server.url) as other:
        other.execute("LOCK TABLE clusters")
        started = time.monotonic()
        steps = first.poll(record("1"))
        took = time.monotonic() - started

    first.maintain()
    assert steps == [("1", None, IMPORTING)]
    assert took < 4
    assert first.store.up
    assert count(server.url) == 1


@contextmanager
def frozen(server):
    """Stop every process of the server, as a host does that hangs."""
    main = int((server.folder / "data" / "postmaster.pid").read_text().split()[0])
    listed = subprocess.run(["ps", "--ppid", str(main), "-o", "pid="], capture_output=True, text=True, check=True)
    processes = [main, *map(int, listed.stdout.split())]
    try:
        send(signal.SIGSTOP, processes)
        yield
    finally:
        send(signal.SIGCONT, processes)


def send(number, processes):
    """Send a signal to processes, some of which may just have ended."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def test_a_server_that_freezes_keeps_no_poll_waiting_for_long(server):
    first = Stored(server.url)
    first.poll()
    with frozen(server):
        started = time.monotonic()
        steps = first.poll(record("1"))
        took = time.monotonic() - started
        again = time.monotonic()
        first.poll(record("1"), record("2"))
        took_again = time.monotonic() - again
    first.maintain()

    assert steps == [("1", None, IMPORTING)]
    assert took < 4
    assert took_again < 0.1
    assert first.store.up
    assert count(server.url) == 2


def test_a_start_with_a_frozen_server_tries_it_once_for_all_clusters(server):
    refs = [ClusterRef(f"cluster-{number}", f"id-{number}") for number in range(20)]
    with frozen(server), capture_logs() as logged:
        first = Stored(server.url, *refs)
        attempts, was_up = first.store.failures, first.store.up
        first.poll(cluster="cluster-1")
        steps = first.poll(record("1"), cluster="cluster-1")
    first.maintain()

    assert (attempts, was_up) == (1, False)
    assert steps == [("1", None, IMPORTING)]
    assert events(logged) == ["store_unavailable"]
    assert first.store.up
    assert count(server.url) == 1


def test_a_pooler_that_has_no_connection_left_is_given_up_like_a_frozen_server(server):
    with running_pgbouncer(server, "session", pool_size=1) as pooler:
        with psycopg.connect(pooler.url) as other, capture_logs() as logged:
            other.execute("SELECT 1")
            first = Stored(pooler.url)
            was_up = first.store.up
            first.poll()
            steps = first.poll(record("1"))
        first.maintain()
        first.store.close()

        assert not was_up
        assert [line["message"] for line in logged] == ["PostgreSQL, or a pooler before it, has not answered for 2 s"]
        assert steps == [("1", None, IMPORTING)]
        assert first.store.up
        assert count(server.url) == 1


def test_the_stop_does_not_wait_for_a_frozen_server(server):
    first = Stored(server.url)
    first.poll(record("1", progress=10))
    first.poll(record("1", progress=20))
    with frozen(server):
        started = time.monotonic()
        first.store.close()
        took = time.monotonic() - started

    assert took < 2


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_conflicts_are_no_unavailability(server, isolation):
    run(server.url, f"ALTER ROLE postgres SET default_transaction_isolation = '{isolation}'")
    try:
        with capture_logs() as logged:
            one, two = Stored(server.url), Stored(server.url)
            one.poll(), two.poll()
            for number in range(10):
                records = [record(str(other)) for other in range(number)]
                threads = [Thread(target=store.poll, args=records) for store in (one, two)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
    finally:
        run(server.url, "ALTER ROLE postgres RESET default_transaction_isolation")

    assert events(logged) == []
    assert count(server.url) == run(server.url, "SELECT count(DISTINCT (job_id, to_state)) FROM transitions")[0][0] > 5


def test_options_of_the_url_are_kept(server):
    run(server.url, "CREATE SCHEMA imports")
    try:
        first = Stored(f"{server.url}&options=-csearch_path%3Dimports&application_name=mine")
        first.poll(record("1"))
        names = run(server.url, "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname IS NOT NULL")

        assert count(server.url, "imports.jobs") == 1
        assert ("mine",) in names
    finally:
        close_all()
        run(server.url, "DROP SCHEMA imports CASCADE")


def test_missing_rights_are_one_sentence_that_says_which_and_granted_ones_are_used(server):
    run(server.url, "CREATE ROLE app LOGIN", "CREATE SCHEMA imports", "ALTER ROLE app SET search_path = imports")
    try:
        with capture_logs() as logged:
            nothing = Stored(server.url.replace("postgres@", "app@", 1))
            run(server.url, "GRANT USAGE ON SCHEMA imports TO app")
            Stored(nothing.url)
            run(server.url, "GRANT CREATE ON SCHEMA imports TO app")
            nothing.maintain()
    finally:
        close_all()
        run(server.url, "DROP SCHEMA imports CASCADE", "DROP OWNED BY app", "DROP ROLE app")

    needed = "the user of state.url has to own the tables, or to create them in the first schema of its search_path"
    assert [line.get("message") for line in logged] == [
        f"no schema has been selected to create in: {needed}",
        f"permission denied for schema imports: {needed}",
        None,
    ]
    assert logged[-1]["event"] == "store_recovered"


def test_a_primary_that_turns_read_only_is_left_for_the_one_that_has_taken_its_place(server):
    with server.standby() as standby:
        hosts = f"{server.folder},{standby.folder}"
        first = Stored(f"postgresql://postgres@/postgres?host={hosts}&target_session_attrs=read-write")
        first.poll(record("1"))
        wait_until_replayed(server, standby)
        standby.promote()
        set_read_only(server, "on")
        try:
            with capture_logs() as logged:
                steps = first.poll(record("1", "Failed"))
                first.maintain()
            written = run(standby.url, "SELECT job_id, to_state, logged FROM transitions")
            left_behind = count(server.url)
        finally:
            set_read_only(server, "off")
            close_all()

    assert steps == [("1", IMPORTING, FAILED)]
    assert [(line["event"], line.get("message", "")) for line in logged] == [
        ("store_unavailable", "cannot execute UPDATE in a read-only transaction"),
        ("store_recovered", ""),
    ]
    assert written == [("1", "failed", True)]
    assert left_behind == 0


def wait_until_replayed(server, standby):
    [(written,)] = run(server.url, "SELECT pg_current_wal_lsn()")
    wait_until(lambda: run(standby.url, f"SELECT pg_last_wal_replay_lsn() >= '{written}'") == [(True,)])


def set_read_only(server, value):
    """Make a server refuse to write, also in sessions that it has."""
    run(server.url, f"ALTER SYSTEM SET default_transaction_read_only = {value}", "SELECT pg_reload_conf()")
    wait_until(lambda: run(server.url, "SHOW default_transaction_read_only") == [(value,)])


def wait_until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_of_several_hosts_the_one_that_answers_is_used(server):
    first = Stored(f"postgresql://postgres@/postgres?host=/nowhere,{server.folder}&target_session_attrs=read-write")
    first.poll(record("1"))

    assert first.store.up
    assert count(server.url, "jobs") == 1


@pytest.mark.parametrize(("encoding", "usable"), [("LATIN1", False), ("SQL_ASCII", True), ("UTF8", True)])
def test_a_database_whose_encoding_lacks_characters_is_refused(server, encoding, usable):
    run(server.url, f"CREATE DATABASE other ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")
    url = server.url.replace("/postgres?", "/other?")
    try:
        if usable:
            first = Stored(url)
            first.poll(record("1", "Failed", reason="文件不存在"))
            assert first.reopened().snapshot.tracked["1"].reason == "文件不存在"
        else:
            with pytest.raises(StoreError, match="its encoding LATIN1 has not every character; create it with UTF8"):
                Stored(url)
    finally:
        close_all()
        run(server.url, "DROP DATABASE other WITH (FORCE)")


@pytest.mark.parametrize("url", ["postgresql://me:sec%zzret@host/db", "postgresql://me:secret@host/db?secret=secret"])
def test_a_url_that_cannot_be_understood_is_one_sentence_without_the_password(url):
    with pytest.raises(StoreError) as refused:
        open_store(url, retention=1, connections=1)

    understood = "write special characters as %XX, and only parameters of libpq"
    assert str(refused.value) == f"the URL of PostgreSQL cannot be understood: {understood}"


def test_a_poll_that_ends_after_the_store_was_closed_is_recorded_all_the_same(tmp_path):
    first = Stored(f"sqlite:///{tmp_path}/state.db")
    first.poll(record("1"))
    first.store.close()

    assert first.poll(record("1", "Completed")) == [("1", IMPORTING, COMPLETED)]
    assert count(first.url) == 1
    first.store.close()
