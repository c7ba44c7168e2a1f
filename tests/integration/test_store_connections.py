"""Connections of the store to PostgreSQL: polls take turns on a few that stay open."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import text

from monitor.store.database import KEPT_CONNECTIONS
from monitor.store.urls import create_store_database
from tests.postgres import running_postgres

POLLS = 12


@pytest.fixture(scope="module")
def url():
    with running_postgres() as server:
        yield server.url


@pytest.fixture
def database(url):
    opened = create_store_database(url, POLLS)
    yield opened
    opened.close()


def session(connection):
    """The process of PostgreSQL that serves a connection."""
    return connection.execute(text("SELECT pg_backend_pid()")).scalar()


def test_polls_that_come_together_take_turns_on_a_few_connections(database, monkeypatch):
    monkeypatch.setattr("monitor.store.database.CONNECTION_WAIT", 60.0)
    with ThreadPoolExecutor(POLLS) as polls:
        sessions = {*polls.map(lambda _: database.read(session), range(20 * POLLS))}

    assert len(sessions) <= KEPT_CONNECTIONS


def test_transactions_that_wait_for_something_keep_no_poll_from_the_database(database, monkeypatch):
    monkeypatch.setattr("monitor.store.database.CONNECTION_WAIT", 0.01)
    together = Barrier(POLLS)

    def wait_for_the_others(connection):
        together.wait(20.0)
        return session(connection)

    with ThreadPoolExecutor(POLLS) as polls:
        sessions = {*polls.map(lambda _: database.read(wait_for_the_others), range(POLLS))}
    kept = {database.read(session) for _ in range(POLLS)}

    assert len(sessions) == POLLS
    assert kept <= sessions
