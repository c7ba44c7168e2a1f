"""What a monitor has logged is logged by no other one, although the database went away before it could be noted."""

from contextlib import contextmanager

import psycopg
import pytest

from monitor.jobs import JobState
from tests.stored import Stored, close_all, record, run

IMPORTING, FAILED = JobState.IMPORTING, JobState.FAILED
STEP = ("1", IMPORTING, FAILED)
LOG_AFTER = 10.0


@pytest.fixture
def pair(server):
    """Two monitors, of which the first has polled the cluster."""
    first = Stored(server.url)
    first.poll(record("1"))
    first.maintain()
    yield first, Stored(server.url, now=first.now)
    close_all()


def logged_by_others(*monitors, after):
    """Return what monitors log of others, at a maintenance each so many seconds later."""
    logged = []
    for each in monitors:
        each.now += after
        logged += each.maintain()
    return logged


def marks(monitor):
    return run(monitor.url, "SELECT to_state, logged FROM transitions")


def lose_answers(patched):
    """Let each commit be done, and its answer be lost."""
    commit = psycopg.Connection.commit

    def commit_and_lose_the_answer(connection):
        commit(connection)
        raise psycopg.OperationalError("the connection was lost")

    patched.setattr(psycopg.Connection, "commit", commit_and_lose_the_answer)


@contextmanager
def nothing_can_be_noted(monitor):
    """Let PostgreSQL refuse to change transitions."""
    run(
        monitor.url,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'refused'; END$$",
        "CREATE TRIGGER refuse BEFORE UPDATE ON transitions FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    yield
    run(monitor.url, "DROP FUNCTION refuse CASCADE")


@contextmanager
def stopped(server):
    server.stop()
    yield
    server.start()


def test_an_outage_that_begins_before_it_is_noted_is_no_reason_for_others_to_log_it(pair, server):
    first, second = pair
    second.now += 30
    steps = first.poll(record("1", "Failed"))
    with stopped(server):
        away = first.maintain() + second.maintain()
    by_second = logged_by_others(second, after=20 * LOG_AFTER)
    first.maintain()
    by_second += logged_by_others(second, after=2 * LOG_AFTER)

    assert steps == [STEP]
    assert (away, by_second) == ([], [])
    assert marks(first) == [("failed", True)]


def test_who_died_in_an_outage_is_replaced_in_the_log_some_seconds_after_it(pair, server):
    first, second = pair
    second.now += 30
    first.poll(record("1", "Failed"), log=False)
    with stopped(server):
        second.maintain()
    at_once = logged_by_others(second, after=LOG_AFTER)
    later = logged_by_others(second, after=LOG_AFTER)

    assert at_once == []
    assert later == [("prod", *STEP)]


def test_who_was_suspended_before_it_could_record_leaves_the_log_to_who_took_over(pair, server):
    first, second = pair
    with stopped(server):
        by_first = first.poll(record("1", "Failed"), is_ours=False)
    second.maintain()
    second.store.take_over(["prod"])
    second.now = first.now
    by_second = second.poll(record("1", "Failed"))
    first.maintain()
    second.maintain()

    assert (by_first, by_second) == (None, [STEP])
    assert logged_by_others(second, first, after=2 * LOG_AFTER) == []
    assert marks(first) == [("failed", True)]


def test_a_lost_answer_and_an_owner_that_takes_over_before_the_database_is_asked(pair, monkeypatch):
    first, second = pair
    with monkeypatch.context() as patched:
        lose_answers(patched)
        steps = first.poll(record("1", "Failed"))
    second.store.take_over(["prod"])
    second.now = first.now
    by_second = second.poll(record("1", "Failed"), record("2"))
    first.maintain()

    assert (steps, by_second) == ([STEP], [("2", None, IMPORTING)])
    assert logged_by_others(second, first, after=2 * LOG_AFTER) == []


def test_a_lost_answer_that_is_recognised_while_the_database_goes_away_again(pair, monkeypatch):
    first, second = pair
    second.now += 30
    with monkeypatch.context() as patched:
        lose_answers(patched)
        steps = first.poll(record("1", "Failed"))
    with nothing_can_be_noted(first):
        first.maintain()
    first.maintain()

    assert steps == [STEP]
    assert logged_by_others(second, first, after=2 * LOG_AFTER) == []


def test_who_logs_for_another_and_cannot_note_it_does_not_do_so_again(pair):
    first, second = pair
    second.now = first.now + 30
    first.poll(record("1", "Failed"), log=False)
    second.now += LOG_AFTER
    with nothing_can_be_noted(first):
        once = second.maintain()
    again = logged_by_others(second, first, after=2 * LOG_AFTER)

    assert once == [("prod", *STEP)]
    assert again == []


def test_a_monitor_that_ends_notes_what_it_has_logged_also_where_nothing_else_can_be_written(pair):
    first, second = pair
    second.now += 30
    first.poll(record("1", "Failed"), record("2", progress=10))
    first.poll(record("1", "Failed"), record("2", progress=20))
    run(first.url, "ALTER TABLE jobs RENAME TO stolen")
    first.store.close()
    run(first.url, "ALTER TABLE stolen RENAME TO jobs")

    assert logged_by_others(second, after=2 * LOG_AFTER) == []


def test_a_poll_that_ends_after_the_monitor_has_ended_is_noted_at_once(pair):
    first, second = pair
    second.now += 30
    first.store.close()
    steps = first.poll(record("1", "Failed"))

    assert steps == [STEP]
    assert logged_by_others(second, after=2 * LOG_AFTER) == []


def test_what_is_logged_while_the_monitor_ends_is_noted_all_the_same(pair):
    first, second = pair
    second.now += 30
    ids = first.store.record("prod", first.compare(record("1", "Failed")))
    first.store.close()
    first.store.mark_logged(ids)

    assert logged_by_others(second, after=2 * LOG_AFTER) == []
