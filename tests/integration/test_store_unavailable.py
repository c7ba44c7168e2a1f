"""A database that refuses a poll, for whatever reason, is illness and no end; what it refused is written afterwards."""

import sqlite3
from contextlib import closing

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError
from structlog.testing import capture_logs

from monitor.jobs import Job, JobState, Observation, StallLimits, diff
from monitor.store import Whose, open_store
from monitor.store.database import Database
from monitor.store.engines import engine_of
from tests.postgres import running_postgres

IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
LONG = "x" * 4000


class Watched:
    """A store that watches one cluster."""

    def __init__(self, url):
        self.now = 1000.0
        self.url = url
        self.store = open_store(url, retention=86400.0, connections=4, clock=lambda: self.now)
        self.store.watch(Whose("prod", "prod"))

    @property
    def picture(self):
        return self.store.picture("prod")

    def poll(self, *jobs):
        self.now += 30
        seen = Observation({job.job_id: job for job in jobs})
        difference = diff(self.picture, seen, self.now, StallLimits())
        ids = self.store.record("prod", difference)
        self.store.told(ids)
        return ids, [(step.job_id, step.to_state) for step in difference.transitions]

    def maintain(self):
        self.store.maintain(lambda *_: pytest.fail("all of it was told"))

    def pragma(self, text):
        """Say something to the connection that writes."""
        driver = self.store._database._driver
        if driver._kept is not None:
            driver._kept.close()  # the pool has it again, and gives it to whoever asks next
            driver._kept = None
        with self.store._database._engine.connect() as connection:
            result = connection.exec_driver_sql(f"PRAGMA {text}")
            return result.scalar() if result.returns_rows else None


@pytest.fixture
def watched(tmp_path):
    watched = Watched(f"sqlite:///{tmp_path}/state.db")
    watched.poll(*(Job(str(number), "books", IMPORTING) for number in range(50)))
    yield watched
    watched.store.close()


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server


def full(watched):
    """No room is left."""
    pages = watched.pragma("page_count")
    watched.pragma(f"max_page_count = {pages}")
    return lambda: watched.pragma("max_page_count = 1000000")


def read_only(watched):
    """Nothing can be written."""
    watched.pragma("query_only = 1")
    return lambda: watched.pragma("query_only = 0")


def without_a_table(watched):
    """Somebody has taken a table away; it comes back."""
    with closing(sqlite3.connect(watched.store._database._engine.url.database)) as beside:
        beside.execute("ALTER TABLE transitions RENAME TO stolen")

    def cure():
        with closing(sqlite3.connect(watched.store._database._engine.url.database)) as beside:
            beside.execute("ALTER TABLE stolen RENAME TO transitions")

    return cure


@pytest.mark.parametrize(
    ("ail", "message"),
    [(full, "full"), (read_only, "readonly"), (without_a_table, "no such table")],
    ids=["full", "read-only", "without a table"],
)
def test_a_poll_that_the_database_refuses_is_kept_and_written_when_it_is_well(watched, ail, message):
    cure = ail(watched)
    with capture_logs() as logged:
        refused = watched.poll(*(Job(str(number), "books", FAILED, reason=LONG) for number in range(50)))
        sick = watched.store.up
        cure()
        watched.maintain()
    ids, steps = watched.poll(
        *(Job(str(number), "books", FAILED, reason=LONG) for number in range(50)), Job("x", "n", FAILED)
    )
    before = watched.picture
    watched.store.close()

    assert refused == ([], [(str(number), FAILED) for number in range(50)])
    assert [line["event"] for line in logged] == ["store_unavailable", "store_recovered"]
    assert message in logged[0]["message"]
    assert logged[0]["file"] == watched.store._database._engine.url.database
    assert (sick, watched.store.up) == (False, True)
    assert (len(ids), steps) == (1, [("x", FAILED)])
    assert Watched(watched.url).picture == before


def test_a_poll_is_recorded_whole_or_not_at_all(watched):
    database = watched.store._database
    cure = without_a_table(watched)
    difference = diff(watched.picture, Observation({"1": Job("1", "books", FAILED)}), 2000.0, StallLimits())
    with pytest.raises(OperationalError):
        database.record(Whose("prod", "prod"), 1, watched.picture, difference)
    cure()
    stored = database.load(Whose("prod", "prod"))

    assert stored.revision == 1
    assert stored.picture == watched.picture


def test_a_file_that_goes_bad_while_it_is_used_is_illness(watched, tmp_path):
    watched.store.close()
    watched = Watched(watched.url)
    watched.pragma("shrink_memory")  # or it would go on with the pages that it has in memory
    with (tmp_path / "state.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 30)
    with capture_logs() as logged:
        refused = watched.poll(Job("1", "books", FAILED))
    watched.store.close()

    assert refused == ([], [("1", FAILED)])
    assert "store_unavailable" in [line["event"] for line in logged]
    assert not watched.store.up
    assert watched.picture.jobs["1"].job.state is FAILED


def test_the_outcome_of_a_collection_is_replaced_and_the_others_stay(watched):
    watched.poll(Job("1", "books", COMPLETED), Job("2", "films", FAILED), Job("3", "songs", IMPORTING))
    watched.poll(Job("1", "books", COMPLETED), Job("2", "films", FAILED), Job("3", "songs", COMPLETED))
    watched.poll(Job("1", "books", FAILED), Job("2", "films", FAILED), Job("3", "songs", COMPLETED))
    outcomes = watched.picture.outcomes
    watched.store.close()
    after = Watched(watched.url).picture.outcomes

    assert after == outcomes
    assert {name: one.last_failed for (_, name), one in after.items()} == {"books": True, "films": True, "songs": False}


def test_a_connection_that_is_cut_in_a_transaction_is_sqlalchemys_error_and_not_used_again(postgres, caplog):
    database = Database(engine_of(postgres.url, 2))
    database.migrate()
    whose = Whose("prod", "prod")
    first = diff(None, Observation({"1": Job("1", "books", IMPORTING)}), 1000.0, StallLimits())
    second = diff(first.picture, Observation({"1": Job("1", "books", FAILED)}), 1030.0, StallLimits())
    database.record(whose, 0, first.picture, first)

    def cut_within():
        with database._driver.writing() as cursor:
            write = database._next(cursor, whose, 1, second.picture)
            with psycopg.connect(postgres.url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state LIKE 'idle in%'")
            write.put_jobs(second.changed)

    with pytest.raises(DBAPIError):
        cut_within()
    assert [record for record in caplog.records if record.name.startswith("sqlalchemy")] == []
    numbers = database.record(whose, 1, first.picture, second)
    stored = database.load(whose)
    database.close()

    assert len(numbers) == 1
    assert (stored.revision, stored.picture) == (2, second.picture)


def test_a_poll_that_ends_after_the_store_was_closed_is_recorded_all_the_same(watched):
    watched.store.close()

    ids, _ = watched.poll(*(Job(str(number), "books", COMPLETED) for number in range(50)))

    assert len(ids) == 50


def test_a_cluster_that_is_forgotten_just_before_its_baseline_is_written_stays_forgotten(watched):
    store, whose = watched.store, Whose("new", "new")
    store.watch(whose)
    store.up = False
    store.record("new", diff(None, Observation({"x": Job("x", "books", IMPORTING)}), watched.now, StallLimits()))
    held = store._held["new"]

    class Late:
        """A lock that is given only once the cluster has been forgotten."""

        def __init__(self):
            self.lock, self.asked = held.lock, 0

        def __enter__(self):
            self.asked += 1
            if self.asked == 1:
                store.forget("new")
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()

    held.lock = Late()
    watched.maintain()

    assert held.lock.asked == 2
    assert store._database.load(whose) is None
