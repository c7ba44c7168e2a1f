"""The promises of the store, on SQLite and on PostgreSQL."""

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from msgspec import structs
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from structlog.testing import capture_logs

from monitor.jobs import Failure, Job, JobState, Observation, StallLimits, diff
from monitor.store import NewerSchemaError, StoreError, Whose, open_store, tables
from monitor.store import store as room
from monitor.store.database import Database
from monitor.store.driving import Driver
from monitor.store.engines import engine_of
from monitor.store.tables import VERSION
from tests.postgres import running_postgres
from tests.rights import without_rights

PROD = Whose("prod", "in01-1", "in01-1")
IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED


@pytest.fixture(scope="session")
def postgres():
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    server = request.getfixturevalue("postgres")
    emptied(server)
    return server.url


OPENED = []


@pytest.fixture(autouse=True)
def _close():
    yield
    while OPENED:
        OPENED.pop().close()


class Watched:
    """A store that watches one cluster, and polls of it."""

    def __init__(self, url, *, whose=PROD, now=1000.0, **options):
        self.now = now
        self.store = open_store(url, retention=options.pop("retention", 86400.0), connections=4, clock=lambda: self.now)
        OPENED.append(self.store)
        self.store._tell_after = options.pop("tell_after", 0.0)
        self.whose = whose
        self.told = []
        self.store.watch(whose)

    @property
    def picture(self):
        return self.store.picture(self.whose.name)

    def poll(self, *jobs, gone=(), tell=True):
        """Poll once more; return the transitions as (from, to), or None where somebody else was quicker."""
        self.now += 30
        seen = Observation({job.job_id: job for job in jobs}, gone=frozenset(gone))
        difference = diff(self.picture, seen, self.now, StallLimits())
        ids = self.store.record(self.whose.name, difference)
        if ids is None:
            return None
        if tell:
            self.store.told(ids)
        return [(step.from_state, step.to_state) for step in difference.transitions]

    def maintain(self):
        """Return what the store had to tell that nobody had told."""
        told = []
        self.store.maintain(lambda *one: told.append(one))
        return [(name, step.job_id, step.from_state, step.to_state) for name, _, step in told]


def job(job_id="1", state=IMPORTING, progress=None, **facts):
    return Job(job_id, facts.pop("collection", "books"), state, progress=progress, **facts)


def run(url, *statements):
    """Run statements beside the store; return what the last one found."""
    engine = create_engine(engine_of(url, 2).url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            result = connection.execute(text(statement))
        return result.scalar() if result.returns_rows else None


def emptied(server):
    run(server.url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")


def count(url, table="transitions"):
    return run(url, f"SELECT count(*) FROM {table}")


def test_a_picture_outlives_a_restart_in_every_detail(url):
    first = Watched(url)
    first.poll()
    first.poll(job("1", IMPORTING, 0.4, total_rows=10, created_at=5.5), job("2", FAILED, reason="zwölf „Dateien“\n☃"))
    first.poll(job("1", IMPORTING, 0.6), job("3", COMPLETED))
    before = first.picture
    first.store.close()

    assert Watched(url).picture == before


def test_what_happened_during_a_restart_is_reported_and_nothing_twice(url):
    first = Watched(url)
    first.poll(job("1", IMPORTING, 0.4), job("2", IMPORTING), job("3", COMPLETED))
    first.store.close()
    second = Watched(url, now=90_000)

    assert second.poll(job("1", FAILED, reason="no such file"), job("3", COMPLETED), gone={"2"}) == [
        (IMPORTING, FAILED),
        (IMPORTING, JobState.VANISHED),
    ]
    assert second.poll(job("1", FAILED, reason="no such file"), job("3", COMPLETED)) == []


def test_the_stall_clock_goes_on_where_it_was(url):
    first = Watched(url)
    first.poll(job(progress=0.4))
    since = first.picture.jobs["1"].last_change
    first.store.close()
    second = Watched(url, now=5000)
    second.poll(job(progress=0.4))

    assert second.picture.jobs["1"].last_change == since
    assert second.picture.jobs["1"].stalled


def test_a_poll_that_changes_nothing_writes_nothing(url, monkeypatch):
    watched = Watched(url)
    watched.poll(job(progress=0.4), job("2", COMPLETED))
    monkeypatch.setattr(Database, "record", lambda *_: pytest.fail("it wrote"))
    for _ in range(3):
        assert watched.poll(job(progress=0.4), job("2", COMPLETED)) == []


def test_a_transition_that_was_recorded_and_not_logged_is_logged_at_the_next_start_once(url):
    first = Watched(url)
    first.poll()
    first.poll(job("1", FAILED, reason="quota exceeded"), tell=False)
    second = Watched(url)

    assert second.maintain() == [("prod", "1", None, FAILED)]
    assert second.maintain() == []
    assert Watched(url).maintain() == []


def test_a_transition_that_was_logged_is_not_logged_again(url):
    first = Watched(url)
    first.poll()
    first.poll(job("1"))
    assert first.maintain() == []
    first.poll(job("1", COMPLETED))
    first.store.close()

    assert Watched(url).maintain() == []


def test_one_that_is_about_to_be_logged_here_is_left_alone(url):
    watched = Watched(url)
    watched.poll()
    watched.poll(job("1"), tell=False)

    assert watched.maintain() == []


def test_what_a_poll_records_between_two_looks_is_told_by_the_poll_alone(tmp_path):
    watched = Watched(f"sqlite:///{tmp_path}/state.db")
    watched.poll()
    watched.maintain()
    watched.poll(job("1"), tell=False)
    watched.store._about_to_tell.clear()  # as it is for a moment between the commit and the note of it

    assert watched.maintain() == []


def test_a_transition_of_another_monitor_is_left_to_it_for_a_while(url):
    first = Watched(url)
    first.poll()
    first.poll(job("1"), tell=False)
    other = Watched(url, now=first.now, tell_after=10.0)

    assert other.maintain() == []
    other.now += 11
    assert other.maintain() == [("prod", "1", None, IMPORTING)]


def test_what_is_told_after_the_fact_is_whole(url):
    first = Watched(url)
    first.poll()
    first.poll(job("1", progress=0.5))
    first.maintain()
    first.poll(job("1", FAILED, reason="disk quota exceeded"), tell=False)
    told = []
    Watched(url).store.maintain(lambda *one: told.append(one))

    ((name, cluster_id, step),) = told
    assert (name, cluster_id) == ("prod", "in01-1")
    assert (step.reason, step.failure, step.progress, step.duration) == (
        "disk quota exceeded",
        Failure.QUOTA_EXCEEDED,
        0.5,
        30.0,
    )


def test_two_monitors_record_each_transition_once_and_see_the_same(url):
    one, two = Watched(url), Watched(url)
    assert one.poll() == []
    assert two.poll() is None
    story = [
        (one.poll(job("1")), two.poll(job("1"))),
        (two.poll(job("1", COMPLETED)), one.poll(job("1", COMPLETED))),
    ]

    assert story == [([(None, IMPORTING)], None), ([(IMPORTING, COMPLETED)], None)]
    assert count(url) == 2
    assert one.picture == two.picture


def test_an_older_observation_that_comes_later_undoes_nothing(url):
    one, two = Watched(url), Watched(url)
    one.poll(job("1"))
    two.poll(job("1"))
    one.poll(job("1", COMPLETED))

    assert two.poll(job("1", IMPORTING, 0.9)) is None
    assert two.poll(job("1", COMPLETED)) == []
    assert count(url) == 1


def test_a_name_that_stands_for_another_cluster_begins_anew(url):
    first = Watched(url)
    first.poll(job("1"))
    first.store.close()
    other = Watched(url, whose=replace(PROD, identity="in01-2"))

    assert other.picture is None
    assert other.poll(job("9", FAILED)) == []
    assert Watched(url, whose=replace(PROD, identity="in01-2")).picture == other.picture


def test_a_forgotten_cluster_leaves_its_transitions(url):
    watched = Watched(url)
    watched.poll()
    watched.poll(job("1"))
    watched.store.forget("prod")

    assert Watched(url).picture is None
    assert (count(url), count(url, "jobs"), count(url, "clusters")) == (1, 0, 0)


def test_old_transitions_and_retired_jobs_are_pruned(url):
    watched = Watched(url, retention=3600)
    watched.poll()
    for number in range(5):
        watched.poll(job(str(number), COMPLETED))
    watched.poll()
    watched.maintain()
    assert (count(url), count(url, "jobs")) == (5, 5)
    watched.now += 8 * 86400
    watched.poll(job("9", COMPLETED))
    watched.store._prune_at = 0.0
    watched.maintain()

    assert (count(url), count(url, "jobs")) == (1, 1)


# When the store is ill


def ill(watched, monkeypatch):
    """Cut the store off, as a database that is gone does; return how to make it well again."""
    database = watched.store._database
    well = database._engine, database._driver
    nowhere = engine_of("sqlite:////nowhere/at/all.db", 2)

    def go(engine, driver):
        monkeypatch.setattr(database, "_engine", engine)
        monkeypatch.setattr(database, "_driver", driver)

    go(nowhere, Driver(nowhere))
    return lambda: go(*well)


def test_while_the_store_is_ill_everything_goes_on_and_what_was_missed_is_written_afterwards(url, monkeypatch):
    watched = Watched(url)
    watched.poll(job("1"))
    cure = ill(watched, monkeypatch)
    with capture_logs() as logged:
        told = [watched.poll(job("1", progress=0.5)), watched.poll(job("1", COMPLETED)), watched.poll(job("2"))]
        watched.maintain()
        sick = watched.store.up
        cure()
        assert watched.maintain() == []

    assert told == [[], [(IMPORTING, COMPLETED)], [(None, IMPORTING)]]
    assert [line["event"] for line in logged] == ["store_unavailable", "store_recovered"]
    assert (sick, watched.store.up) == (False, True)
    assert watched.store.failures >= 2
    assert count(url) == 2
    watched.store.close()
    assert Watched(url).picture == watched.picture
    assert Watched(url).maintain() == []


def test_a_poll_that_began_before_the_stored_picture_could_be_read_takes_nothing_of_it_away(url, monkeypatch):
    watched = Watched(url)
    watched.poll(job("1"))
    watched.store.close()
    after = Watched(url, whose=replace(PROD, name="other"))
    cure = ill(after, monkeypatch)
    after.whose = PROD
    after.store.watch(PROD)
    baseline = diff(after.picture, Observation({"1": job("1", FAILED)}), 2000.0, StallLimits())
    cure()
    after.maintain()

    assert baseline.baseline
    assert after.store.record("prod", baseline) is None
    assert after.poll(job("1", FAILED)) == [(IMPORTING, FAILED)]


def test_what_waits_for_a_store_that_is_ill_is_bounded(url, monkeypatch):
    monkeypatch.setattr(room, "UNSAVED_LIMIT", 3)
    watched = Watched(url)
    watched.poll()
    cure = ill(watched, monkeypatch)
    for number in range(10):
        watched.poll(job(str(number)))
    cure()
    watched.maintain()

    assert count(url) == 3


def test_a_store_that_is_gone_at_the_start_costs_no_transition(postgres):
    url = postgres.url
    emptied(postgres)
    first = Watched(url)
    first.poll(job("1"))
    first.store.close()
    postgres.stop()
    try:
        with capture_logs() as logged:
            second = Watched(url)
            meanwhile = second.poll(job("1", COMPLETED))
    finally:
        postgres.start()
    second.maintain()

    assert [line["event"] for line in logged] == ["store_unavailable"]
    assert meanwhile == []
    assert second.store.up
    assert second.poll(job("1", COMPLETED)) == [(IMPORTING, COMPLETED)]


def test_a_database_that_is_locked_by_somebody_else_is_illness_and_no_end(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    watched = Watched(url)
    watched.poll(job("1"))
    blocker = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with capture_logs() as logged:
        assert watched.poll(job("1", COMPLETED)) == [(IMPORTING, COMPLETED)]
    blocker.execute("ROLLBACK")
    blocker.close()
    watched.maintain()

    assert [line["event"] for line in logged] == ["store_unavailable"]
    assert watched.store.up
    assert count(url) == 1


@pytest.mark.parametrize("damage", ["cut in the middle", "nothing but its header", "pages overwritten"])
def test_a_corrupt_file_is_set_aside_and_a_fresh_one_begun(tmp_path, damage):
    file = tmp_path / "state.db"
    url = f"sqlite:///{file}"
    first = Watched(url)
    first.poll(*(job(str(number), reason="x" * 200) for number in range(2000)))
    first.store.close()
    content = bytearray(file.read_bytes())
    if damage == "cut in the middle":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "nothing but its header":
        file.write_bytes(content[:16] + b"\xff" * 8192)
    else:
        content[8192 : 8192 + 40_960] = b"\xff" * 40_960
        file.write_bytes(content)
    with capture_logs() as logged:
        second = Watched(url)

    (event,) = [line for line in logged if line["event"] == "store_set_aside"]
    assert Path(event["kept_as"]).stat().st_size > 0
    assert second.store.up
    assert second.poll(job("1")) == []
    second.store.close()
    assert set(Watched(url).picture.jobs) == {"1"}


@pytest.mark.parametrize("content", [b"clusters: []\n", b"SQLite", b"\0" * 8192], ids=["config", "short", "zeros"])
def test_a_file_that_is_no_database_is_refused_in_one_sentence_and_left_as_it_is(tmp_path, content):
    file = tmp_path / "config.yml"
    file.write_bytes(content)
    with pytest.raises(StoreError) as refused:
        open_store(f"sqlite:///{file}", retention=1, connections=1)

    assert str(refused.value) == (
        f"{file} is no SQLite database, and is left as it is: name another place with state.url or --state, "
        "or move the file away"
    )
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == content


def test_an_empty_file_becomes_a_database(tmp_path):
    (tmp_path / "state.db").touch()
    url = f"sqlite:///{tmp_path}/state.db"
    first = Watched(url)
    first.poll(job("1"))
    first.store.close()

    assert set(Watched(url).picture.jobs) == {"1"}


def test_a_store_of_a_newer_monitor_is_refused_and_left_alone(url):
    Watched(url).store.close()
    run(url, "UPDATE schema SET version = 99")

    with pytest.raises(NewerSchemaError, match="has version 99"):
        Watched(url)
    assert count(url, "schema") == 1


def test_a_folder_that_does_not_exist_is_one_clear_sentence(tmp_path):
    with pytest.raises(StoreError, match=r"the folder of the store, .*nowhere, does not exist"):
        open_store(f"sqlite:///{tmp_path}/nowhere/state.db", retention=1, connections=1)


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_one_clear_sentence(tmp_path, kind):
    place = tmp_path / "state.db"
    place.mkdir() if kind == "folder" else os.mkfifo(place)
    with pytest.raises(
        StoreError, match=r"^.*/state\.db is no file, .*: name another place with state\.url or --state$"
    ):
        open_store(f"sqlite:///{place}", retention=1, connections=1)


@pytest.mark.parametrize("refused", ["the folder", "the file", "a new file", "the way there"])
def test_a_place_that_cannot_be_written_is_one_clear_sentence_at_the_start(refused):
    with without_rights() as folder:
        file = folder / "state.db"
        if refused != "a new file":
            open_store(f"sqlite:///{file}", retention=1, connections=1).close()
        which = file if refused == "the file" else folder
        which.chmod({"the file": 0o444, "the way there": 0o000}.get(refused, 0o555))
        with pytest.raises(StoreError) as error:
            open_store(f"sqlite:///{file}", retention=1, connections=1)

    assert str(error.value) == (
        f"the store needs to write {which}, and cannot (Permission denied): let the monitor do so, "
        "or name another place with state.url or --state"
    )


@pytest.fixture
def written_by_version_1(url):
    """A store that the program wrote when its schema had version 1, killed before it noted what it had logged."""
    kind = url.partition(":")[0]
    statements = (SAMPLES / f"store-1-{kind}.sql").read_text(encoding="utf-8")
    if kind == "sqlite":
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(statements)
    else:
        with psycopg.connect(url) as connection:
            connection.execute(statements)
    return url


SAMPLES = Path(__file__).parents[1] / "samples"
BOOKS = Whose("books", "in01-books//", "in01-books")
THEN = 1795536300.0


def test_a_store_of_version_1_is_brought_up_and_nothing_of_it_is_lost(written_by_version_1):
    first = Watched(written_by_version_1, whose=BOOKS, now=THEN)
    followed = sorted((one.job.collection, one.job.state.value) for one in first.picture.jobs.values())
    told = [step[2:] for step in first.maintain()]
    history = run(written_by_version_1, "SELECT count(*) FROM transitions")
    running = next(one for one in first.picture.jobs.values() if one.job.state is IMPORTING)
    step = first.poll(
        *(structs.replace(one.job, state=FAILED) if one is running else one.job for one in listed(first.picture))
    )
    first.store.close()
    second = Watched(written_by_version_1, whose=BOOKS, now=THEN + 60)

    assert followed == [
        ("novels", "completed"),
        ("novels", "importing"),
        ("novels", "vanished"),
        ("old", "completed"),
        ("poems", "failed"),
    ]
    assert first.picture.outcomes["", "poems"].last_failed is True
    assert first.picture.baseline_at is None
    assert told == [(None, IMPORTING), (IMPORTING, COMPLETED)]
    assert (history, step) == (5, [(IMPORTING, FAILED)])
    assert run(written_by_version_1, "SELECT version FROM schema") == VERSION
    assert second.picture.jobs == first.picture.jobs
    assert second.maintain() == []


def listed(picture):
    return [one for one in picture.jobs.values() if one.missing_since is None]


def test_a_step_that_fails_leaves_the_older_store_as_it_was(written_by_version_1, monkeypatch):
    def broken(connection):
        connection.exec_driver_sql("ALTER TABLE clusters ADD COLUMN half_way FLOAT")
        connection.exec_driver_sql("SELECT nonsense")

    monkeypatch.setattr(tables, "STEPS", (broken,))
    database = Database(engine_of(written_by_version_1, 2))
    with pytest.raises(SQLAlchemyError):
        database.migrate()
    database.close()

    assert run(written_by_version_1, "SELECT version FROM schema") == 1
    with pytest.raises(SQLAlchemyError):
        run(written_by_version_1, "SELECT half_way FROM clusters")


def test_the_baselines_time_outlives_a_restart(url):
    first = Watched(url)
    first.poll()
    at = first.now
    first.store.close()

    assert Watched(url, now=5000.0).picture.baseline_at == at == first.picture.baseline_at
