"""What the store answers about the past, from SQLite, from PostgreSQL and from memory."""

from contextlib import contextmanager

import pytest
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from monitor.jobs import Failure, JobState
from monitor.store import (
    ClusterRef,
    CursorError,
    JobFilter,
    StoreError,
    StoreUnavailableError,
    TransitionFilter,
    reading,
)
from monitor.store.urls import create_reading_database
from tests.rights import without_rights
from tests.stored import Stored, break_tables, record, store_url

IMPORTING, COMPLETED, FAILED, VANISHED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED, JobState.VANISHED
EU, US = ClusterRef("eu", "eu"), ClusterRef("us", "us")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request, tmp_path):
    return store_url(request, tmp_path)


def filled(url):
    past = Stored(url, EU, US)
    past.poll(cluster="eu")
    past.poll(cluster="us")
    past.poll(record("1", progress=50), cluster="eu")
    past.poll(record("1", collection="films", database="archive"), cluster="us")
    past.poll(record("1", "Completed"), record("2", "Failed", collection="films", reason="no such file"), cluster="eu")
    past.poll(record("1", "Completed", collection="films", database="archive"), cluster="us")
    return past


def page(past, limit=100, cursor="", **wanted):
    return past.store.transitions(TransitionFilter(**wanted), limit, cursor)


def steps(past, **wanted):
    entries = page(past, **wanted).entries
    return [(one.cluster, one.transition.job_id, one.transition.to_state) for one in entries]


def test_the_newest_comes_first_in_every_detail(url):
    first = page(filled(url))

    assert [(one.cluster, one.transition.job_id, one.transition.at) for one in first.entries] == [
        ("us", "1", 1180.0),
        ("eu", "2", 1150.0),
        ("eu", "1", 1150.0),
        ("us", "1", 1120.0),
        ("eu", "1", 1090.0),
    ]
    assert (first.complete, first.next_cursor) == (True, None)
    failed = first.entries[1].transition
    assert (failed.from_state, failed.failure, failed.reason) == (None, Failure.FILE_NOT_FOUND, "no such file")
    assert first.entries[0].transition.duration == 60.0


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"cluster": "eu"}, [("eu", "2", FAILED), ("eu", "1", COMPLETED), ("eu", "1", IMPORTING)]),
        ({"cluster": "nowhere"}, []),
        ({"database": "archive"}, [("us", "1", COMPLETED), ("us", "1", IMPORTING)]),
        ({"database": "", "collection": "films"}, [("eu", "2", FAILED)]),
        ({"cluster": "us", "job_id": "1"}, [("us", "1", COMPLETED), ("us", "1", IMPORTING)]),
        ({"states": frozenset({FAILED})}, [("eu", "2", FAILED)]),
        ({"states": frozenset({FAILED, IMPORTING}), "cluster": "us"}, [("us", "1", IMPORTING)]),
        ({"since": 1150.0}, [("us", "1", COMPLETED), ("eu", "2", FAILED), ("eu", "1", COMPLETED)]),
        ({"until": 1120.0}, [("eu", "1", IMPORTING)]),
        ({"since": 1100.0, "until": 1150.0}, [("us", "1", IMPORTING)]),
        ({"job_id": "1' OR '1'='1"}, []),
    ],
)
def test_it_finds_the_transitions_that_are_wanted(url, wanted, expected):
    assert steps(filled(url), **wanted) == expected


def test_pages_follow_each_other_though_new_ones_come_meanwhile(url):
    past = filled(url)
    whole = [one.id for one in page(past).entries]
    seen, cursor = [], ""
    for _ in range(10):
        found = page(past, limit=2, cursor=cursor)
        seen += [one.id for one in found.entries]
        cursor = found.next_cursor
        if cursor is None:
            break
        past.poll(record(str(len(seen) + 100), collection="late"), cluster="eu")

    assert seen == whole


def test_the_order_is_that_of_recording_also_where_a_poll_that_began_earlier_was_recorded_later(url):
    past = filled(url)
    past.now -= 40
    past.poll(record("3"), cluster="eu")
    first = page(past, limit=1)
    second = page(past, limit=1, cursor=first.next_cursor)

    assert [one.entries[0].transition.at for one in (first, second)] == [1170.0, 1180.0]


def test_a_page_has_a_bound(url):
    past = filled(url)
    past.poll(*(record(str(number)) for number in range(1500)), cluster="eu")

    assert len(page(past, limit=10**9).entries) == 1000
    assert len(past.store.jobs(JobFilter(), 10**9).entries) == 1000
    assert len(page(past, limit=-5).entries) == 1


@pytest.mark.parametrize("cursor", ["x", "m", "-1", "1.5", "9" * 30, "m9x", "\N{SUPERSCRIPT TWO}"])
def test_a_cursor_that_no_page_gave_is_refused(url, cursor):
    with pytest.raises(CursorError, match="given by no page"):
        page(Stored(url), cursor=cursor)


def test_the_recent_transitions_have_the_ids_of_the_history(url):
    past = filled(url)
    past.poll(record("1", "Failed", reason="dropped"), record("3"), cluster="eu")
    recent = [(one.id, one.transition.job_id) for one in past.store.recent_transitions("eu")]
    past.poll(record("1", "Failed", reason="dropped"), record("3"), cluster="eu")

    assert recent == [(one.id, one.transition.job_id) for one in page(past, limit=2).entries][::-1]
    assert past.store.recent_transitions("eu") == ()
    assert past.store.recent_transitions("nowhere") == ()


def test_while_the_database_is_away_the_history_is_not_available_and_tracked_jobs_are(tmp_path):
    past = filled(f"sqlite:///{tmp_path}/state.db")
    cursor = page(past, limit=1).next_cursor
    repair = break_tables(past.url)
    with capture_logs() as logged:
        past.poll(record("4"), cluster="eu")
        away = page(past, limit=2, cursor=cursor)
        for question in (
            lambda: past.store.jobs(JobFilter(), 10),
            lambda: past.store.finished(JobFilter(), 10),
            lambda: past.store.job("eu", "1"),
        ):
            with pytest.raises(StoreUnavailableError):
                question()

    assert [line["event"] for line in logged] == ["store_unavailable"]
    assert (away.complete, away.entries, away.next_cursor) == (False, (), None)
    assert [one.id for one in past.store.recent_transitions("eu")] == [""]
    assert past.store.job("eu", "4").state is IMPORTING
    repair()
    past.maintain()
    assert page(past, limit=1).entries[0].transition.job_id == "4"
    assert page(past, limit=1).complete


# Jobs


def listed(jobs):
    return [(entry.cluster, entry.job.job_id, entry.job.state) for entry in jobs.entries]


def test_jobs_come_in_the_order_of_cluster_and_id_page_by_page(url):
    past = filled(url)
    past.poll(record("1", "Completed"), record("9"), record("10"), cluster="eu")
    first = past.store.jobs(JobFilter(), 3)
    second = past.store.jobs(JobFilter(), 3, first.after)

    assert listed(first) == [("eu", "1", COMPLETED), ("eu", "10", IMPORTING), ("eu", "2", FAILED)]
    assert listed(second) == [("eu", "9", IMPORTING), ("us", "1", COMPLETED)]
    assert second.after is None


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["us/1", "eu/1", "eu/2"]),
        ({"cluster": "eu"}, ["eu/1", "eu/2"]),
        ({"database": "archive"}, ["us/1"]),
        ({"database": "", "collection": "films"}, ["eu/2"]),
        ({"states": frozenset({FAILED, VANISHED})}, ["eu/2"]),
        ({"states": frozenset({IMPORTING})}, []),
        ({"stalled": True}, []),
        ({"stalled": False, "collection": "films"}, ["us/1", "eu/2"]),
        ({"listed": True}, ["us/1", "eu/2"]),
        ({"listed": False}, ["eu/1"]),
        ({"text": "FILM"}, ["us/1", "eu/2"]),
        ({"text": "no SUCH"}, ["eu/2"]),
        ({"text": "archive", "cluster": "us"}, ["us/1"]),
        ({"text": "%"}, []),
        ({"text": "_"}, []),
        ({"text": "' OR 1=1 --"}, []),
        ({"cluster": "nowhere"}, []),
    ],
)
def test_it_finds_the_finished_jobs_that_are_wanted_latest_first(url, wanted, expected):
    past = filled(url)
    past.poll(record("2", "Failed", collection="films", reason="no such file"), record("9"), cluster="eu")
    past.store.maintain(lambda *_: None)
    past = past.reopened() if url != "memory://" else past
    found = past.store.finished(JobFilter(**wanted), 10)
    everything = {f"{entry.cluster}/{entry.job.job_id}" for entry in past.store.jobs(JobFilter(**wanted), 10).entries}

    assert [f"{entry.cluster}/{entry.job.job_id}" for entry in found.entries] == expected
    assert found.total == len(expected)
    assert everything - {"eu/9"} == set(expected)


def test_finished_jobs_are_counted_and_turned_over(url):
    past = Stored(url)
    past.poll(*(record(str(number), "Completed", complete_time=str(500 + number)) for number in range(25)))
    pages = [past.store.finished(JobFilter(cluster="prod"), 10, offset) for offset in (0, 10, 20)]

    assert [len(one.entries) for one in pages] == [10, 10, 5]
    assert {one.total for one in pages} == {25}
    assert [entry.job.job_id for one in pages for entry in one.entries] == [str(number) for number in range(24, -1, -1)]


def test_a_cluster_that_is_no_longer_watched_is_not_shown(tmp_path):
    past = filled(f"sqlite:///{tmp_path}/state.db")
    past.store.close()
    later = Stored(past.url, EU)

    assert {entry.cluster for entry in later.store.jobs(JobFilter(), 10).entries} == {"eu"}
    assert {entry.cluster for entry in later.store.finished(JobFilter(), 10).entries} == {"eu"}


# Reading without a monitor


@contextmanager
def copied(*endings):
    """A copy of a store that is in use, of the files with these endings, where nothing can be written."""
    with without_rights() as folder:
        (folder / "copy").mkdir()
        past = filled(f"sqlite:///{folder}/state.db")
        if "-wal" not in endings:
            past.store.close()
        for ending in endings:
            copy = folder / "copy" / f"state.db{ending}"
            copy.write_bytes((folder / f"state.db{ending}").read_bytes())
            copy.chmod(0o444)
        past.store.close()
        (folder / "copy").chmod(0o555)
        yield folder / "copy" / "state.db"
        (folder / "copy").chmod(0o755)


def test_what_is_stored_can_be_read_without_a_monitor(url):
    past = filled(url)
    if url == "memory://":
        with pytest.raises(StoreError, match="kept in memory"), reading(url):
            pass
        return
    with reading(url) as store:
        assert len(store.transitions(TransitionFilter(), 10).entries) == 5
        assert store.stored_snapshots([EU])["eu"].tracked == past.store.snapshot("eu").tracked
        assert store.stored_snapshots([ClusterRef("eu", "another")]) == {}
    past.store.close()


def test_reading_can_change_nothing(postgres, tmp_path):
    for url in (f"sqlite:///{tmp_path}/state.db", postgres.url):
        Stored(url).store.close()
        database = create_reading_database(url)
        with pytest.raises(DBAPIError, match=r"read.?only"):
            database.read(lambda connection: connection.exec_driver_sql("DELETE FROM jobs"))
        database.close()


@pytest.mark.parametrize("endings", [("",), ("", "-wal", "-shm")], ids=["ended", "in use"])
def test_a_copy_in_a_folder_that_cannot_be_written_can_be_read(endings):
    with copied(*endings) as file, reading(f"sqlite:///{file}") as store:
        assert len(store.transitions(TransitionFilter(), 10).entries) == 5


def test_a_copy_of_which_a_part_waits_to_be_put_in_is_one_sentence_that_says_what_to_do():
    with copied("", "-wal") as file:
        with pytest.raises(StoreError) as refused, reading(f"sqlite:///{file}") as store:
            store.transitions(TransitionFilter(), 10)

        assert str(refused.value) == (
            f"{file} cannot be read: unable to open database file; its folder cannot be written: "
            "copy it and its -wal, where there is one, to a folder that can"
        )


def test_after_a_restart_the_database_still_knows(tmp_path):
    past = filled(f"sqlite:///{tmp_path}/state.db")
    before = page(past)

    assert page(past.reopened()) == before
