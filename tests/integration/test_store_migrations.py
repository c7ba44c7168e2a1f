"""Stores that older versions of the program wrote come along with all that is in them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from monitor.jobs import Failure, JobState, TypicalDuration, typical_duration
from monitor.store import (
    ClusterRef,
    ExpectationRecord,
    JobFilter,
    ProgressSample,
    StoreError,
    TransitionFilter,
    migrations,
    open_store,
    reading,
)
from monitor.store.schema import VERSION
from tests.stored import Stored, close_all, count, record, run

SAMPLES = Path(__file__).parents[1] / "samples"
BOOKS = ClusterRef("books", "in01-books//", "in01-books")
EMPTY = ClusterRef("empty", "in01-empty//", "in01-empty")
IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED


def write_postgres(url, version):
    """Put what a version wrote into the database of PostgreSQL, and return its URL."""
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        connection.execute(_sample(version, "postgresql"))
    return url


def _sample(version, kind):
    return (SAMPLES / f"store-{version}-{kind}.sql").read_text(encoding="utf-8")


@pytest.fixture(params=["sqlite", "postgresql"])
def write(request, tmp_path):
    """Put what a version wrote into a database, and return its URL."""

    def written(version):
        if request.param == "postgresql":
            return write_postgres(request.getfixturevalue("postgres").url, version)
        with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
            connection.executescript(_sample(version, "sqlite"))
        return f"sqlite:///{tmp_path}/state.db"

    yield written
    close_all()


def test_version_1_is_brought_up_and_nothing_of_it_is_lost(write):
    url = write(1)
    first = Stored(url, BOOKS, EMPTY, now=1795536300.0, retention=1e9)
    snapshot = first.store.snapshot("books")
    jobs = {entry.job.job_id: entry.job for entry in first.store.jobs(JobFilter(), 100).entries}
    failed = next(job for job in jobs.values() if job.state is FAILED)

    assert sorted((job.collection, job.state.value) for job in jobs.values()) == [
        ("novels", "completed"),
        ("novels", "importing"),
        ("novels", "vanished"),
        ("old", "completed"),
        ("poems", "failed"),
    ]
    assert (failed.reason, failed.failure) == ("disk quota\nexceeded: é", Failure.QUOTA_EXCEEDED)
    assert sorted(job.state.value for job in snapshot.tracked.values()) == ["failed", "importing", "vanished"]
    assert snapshot.outcomes["", "poems"].last_failed is True
    assert snapshot.baseline_at is None
    assert first.store.snapshot("empty").tracked == {}
    assert [step[2:] for step in first.maintain()] == [(None, IMPORTING), (IMPORTING, COMPLETED)]
    assert count(url) == 5
    assert run(url, "SELECT name, revision FROM clusters ORDER BY name") == [("books", 17), ("empty", 1)]
    assert run(url, "SELECT version FROM schema") == [(VERSION,)]


def test_version_2_is_brought_up_and_nothing_of_it_is_lost(write):
    url = write(2)
    first = Stored(url, BOOKS, EMPTY, now=1795539000.0, retention=1e9)
    snapshot = first.store.snapshot("books")
    jobs = {entry.job.job_id: entry.job for entry in first.store.jobs(JobFilter(), 100).entries}
    running, vanished, unknown = jobs["11"], jobs["13"], jobs["15"]

    assert {job_id: (job.state.value, job.missing_since is not None) for job_id, job in jobs.items()} == {
        "10": ("completed", True),
        "11": ("importing", False),
        "12": ("failed", True),
        "13": ("vanished", True),
        "14": ("completed", True),
        "15": ("unknown", True),
        "16": ("failed", False),
    }
    assert (running.progress, running.imported_rows, running.created_at) == (0.5, 500, 1795535000.5)
    assert (running.stalled, running.peak_rows, len(running.samples)) == (True, 500, 5)
    assert (vanished.describe_sent_at, vanished.described_at) == (1795536150.0, 1795536150.0)
    assert (unknown.raw_state, jobs["12"].database, jobs["16"].failure) == (
        "Compacting",
        "archive",
        Failure.FILE_NOT_FOUND,
    )
    assert jobs["10"].finished_at == jobs["10"].completed_at == 1795530000.0
    assert set(snapshot.tracked) == {"11", "12", "13", "15", "16"}
    assert {key: outcome.last_failed for key, outcome in snapshot.outcomes.items()} == {
        ("", "old"): False,
        ("archive", "poems"): True,
        ("", "songs"): False,
        ("", "films"): True,
    }
    assert snapshot.baseline_at == 1795536060.0
    assert [step[1:] for step in first.maintain()] == [("16", None, FAILED)]
    steps = first.store.transitions(TransitionFilter()).entries
    assert [(entry.id, entry.transition.job_id) for entry in steps][:2] == [(str(count(url)), "16"), ("7", "15")]


def test_version_3_is_brought_up_and_an_aborted_import_wakes_nobody(write):
    first = Stored(write(3), BOOKS, now=1795539100.0)
    outcomes = first.store.snapshot("books").outcomes

    assert {key: (outcome.last_failed, outcome.last_aborted) for key, outcome in outcomes.items()} == {
        ("", "films"): (True, True),
        ("", "songs"): (True, False),
        ("", "novels"): (False, False),
    }
    assert set(first.store.snapshot("books").tracked) == {"1", "2", "3", "4"}
    assert first.poll(record("1", "Completed", collection="poems", imported_rows=0), cluster="books") == [
        ("1", IMPORTING, COMPLETED)
    ]
    assert first.reopened().store.snapshot("books").tracked["1"].incomplete


def test_version_6_is_brought_up_and_progress_is_kept_from_then_on(write):
    first = Stored(write(6), BOOKS, now=1795540100.0, flush_interval=0.0)
    assert set(first.store.snapshot("books").tracked) == {"1", "3"}
    assert first.store.samples([("books", "1")]) == {}
    first.poll(record("1", progress=40, collection="poems"), cluster="books")
    first.maintain()

    assert first.store.samples([("books", "1")]) == {("books", "1"): [ProgressSample(1795540130.0, IMPORTING, 0.4)]}
    assert first.store.discovered("clusters.d") == "[]"


def test_version_7_is_brought_up_and_the_durations_of_its_imports_are_known(write):
    first = Stored(write(7), BOOKS, now=1795550000.0)
    outcomes = first.store.snapshot("books").outcomes

    assert outcomes["", "books"].durations == "60.0 90.0 120.0 150.0 180.0 210.0 240.0"
    assert typical_duration(outcomes["", "books"]) == TypicalDuration(150.0, 105.0, 195.0)
    assert typical_duration(outcomes["", "poems"]) is None
    assert [outcomes["", name].failures_in_a_row for name in ("books", "poems")] == [0, 2]


def test_version_6_is_brought_up_and_expected_imports_are_kept_from_then_on(write):
    first = Stored(write(6), BOOKS, now=1795540100.0)
    times = {"deadline": 2.0, "known_since": 0.0, "gap_from": 0.0, "gap_to": 0.0, "seen_until": 1.5}
    record = ExpectationRecord("books", "nightly", "", "poems", occurrence=1.0, state="waiting", **times)
    assert first.store.expectations.load(["books"]) == []
    first.store.expectations.transact(lambda connection: first.store.expectations.write(connection, record))

    assert first.store.expectations.load(["books"]) == [replace(record, revision=1)]


def test_jobs_that_finished_in_an_older_store_are_no_news_when_they_are_listed_again(write):
    first = Stored(write(2), BOOKS, now=1795539000.0)

    assert first.poll(
        record("10", "Completed", collection="old"),
        record("11", progress=50, collection="novels", total_rows=1000, imported_rows=500),
        record("14", "Completed", collection="songs"),
        cluster="books",
    ) == []  # fmt: skip
    assert first.poll(record("14", "Failed", collection="songs"), cluster="books") == [("14", COMPLETED, FAILED)]


def test_a_job_that_cannot_be_migrated_costs_itself(write):
    url = write(2)
    run(
        url, "UPDATE jobs SET facts = '{\"job\"' WHERE job_id = '11'", "UPDATE jobs SET facts = '7' WHERE job_id = '16'"
    )
    with capture_logs() as logged:
        first = Stored(url, BOOKS, now=1795539000.0)

    assert [(line["event"], line["rows"]) for line in logged if "migrated" in line["message"]] == [
        ("store_rows_skipped", 2)
    ]
    assert set(first.store.snapshot("books").tracked) == {"12", "13", "15"}
    assert count(url, "jobs") == 7


def test_a_step_that_fails_leaves_the_older_store_as_it_was(write, monkeypatch):
    url = write(1)

    def broken(connection):
        connection.exec_driver_sql("ALTER TABLE clusters ADD COLUMN half_way FLOAT")
        connection.exec_driver_sql("SELECT nonsense")

    monkeypatch.setattr(migrations, "STEPS", (*migrations.STEPS[:1], broken))
    with capture_logs() as logged:
        store = open_store(url, retention=1, connections=1)
    store.close()

    assert "store_unavailable" in [line["event"] for line in logged]
    assert run(url, "SELECT version FROM schema") == [(1,)]
    with pytest.raises((sqlite3.Error, psycopg.Error)):
        run(url, "SELECT half_way FROM clusters")


def test_an_older_store_is_not_changed_by_reading_it(write):
    url = write(2)
    with pytest.raises(StoreError, match="written by an older version"), reading(url):
        pass

    assert run(url, "SELECT version FROM schema") == [(2,)]


def test_a_migrated_database_has_the_indexes_of_a_new_one(write):
    query = (
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if (url := write(2)).startswith("sqlite")
        else "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
    )
    open_store(url, retention=1, connections=1).close()
    migrated = sorted(run(url, query))
    for table in (
        "schema",
        "clusters",
        "jobs",
        "outcomes",
        "transitions",
        "discoveries",
        "cluster_status",
        "progress_samples",
        "expectations",
    ):
        run(url, f"DROP TABLE {table}")
    open_store(url, retention=1, connections=1).close()

    assert migrated == sorted(run(url, query))
