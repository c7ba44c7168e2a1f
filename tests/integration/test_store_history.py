"""What the store answers about the past, from SQLite, from PostgreSQL and from memory."""

from contextlib import contextmanager

import pytest
from sqlalchemy import create_engine, text
from structlog.testing import capture_logs

from monitor.jobs import Failure, Job, JobState, Observation, StallLimits, diff
from monitor.store import CursorError, StoreError, Wanted, Whose, history, open_store, reading
from monitor.store.driving import Driver
from monitor.store.engines import engine_of
from tests.postgres import running_postgres
from tests.rights import without_rights

IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED


@pytest.fixture(scope="module")
def postgres():
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def past(request, tmp_path):
    if request.param == "memory":
        url = "memory://"
    elif request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/state.db"
    else:
        url = request.getfixturevalue("postgres").url
        engine = create_engine(engine_of(url, 2).url)
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        engine.dispose()
    past = Past(url)
    yield past
    past.store.close()


class Past:
    """A store with polls of several clusters in it, half a minute apart."""

    def __init__(self, url):
        self.now = 1000.0
        self.store = open_store(url, retention=86400.0, connections=4, clock=lambda: self.now)
        self.jobs = {}

    def poll(self, cluster, *jobs):
        self.now += 30
        if cluster not in self.jobs:
            self.store.watch(Whose(cluster, cluster))
        seen = Observation({job.job_id: job for job in jobs})
        self.jobs[cluster] = jobs
        self.store.record(cluster, diff(self.store.picture(cluster), seen, self.now, StallLimits()))

    def fill(self):
        self.poll("eu")
        self.poll("us")
        self.poll("eu", Job("1", "books", IMPORTING, progress=0.5))
        self.poll("us", Job("1", "films", IMPORTING, database="archive"))
        self.poll("eu", Job("1", "books", COMPLETED), Job("2", "films", FAILED, reason="no such file"))
        self.poll("us", Job("1", "films", COMPLETED, database="archive"))

    def found(self, limit=100, cursor="", **wanted):
        return self.store.history(Wanted(**wanted), limit, cursor)

    def steps(self, **wanted):
        return [(one.cluster, one.transition.job_id, one.transition.to_state) for one in self.found(**wanted).entries]


def test_the_newest_comes_first_in_every_detail(past):
    past.fill()
    page = past.found()

    assert [(one.cluster, one.transition.job_id, one.transition.at) for one in page.entries] == [
        ("us", "1", 1180.0),
        ("eu", "2", 1150.0),
        ("eu", "1", 1150.0),
        ("us", "1", 1120.0),
        ("eu", "1", 1090.0),
    ]
    assert (page.whole, page.next_cursor) == (True, None)
    failed = page.entries[1].transition
    assert (failed.from_state, failed.failure, failed.reason) == (None, Failure.FILE_NOT_FOUND, "no such file")
    assert page.entries[0].transition.duration == 60.0


@pytest.mark.parametrize(
    ("wanted", "steps"),
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
def test_it_finds_what_is_wanted(past, wanted, steps):
    past.fill()

    assert past.steps(**wanted) == steps


def test_pages_follow_each_other_though_new_ones_come_meanwhile(past):
    past.fill()
    whole = [one.id for one in past.found().entries]
    seen, cursor = [], ""
    for _ in range(10):
        page = past.found(limit=2, cursor=cursor)
        seen += [one.id for one in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            break
        past.poll("eu", Job(str(len(seen) + 100), "late", IMPORTING))

    assert seen == whole


def test_the_order_is_that_of_recording_also_where_a_poll_that_began_earlier_was_recorded_later(past):
    past.fill()
    past.now -= 40
    past.poll("eu", Job("3", "slow", IMPORTING))
    first = past.found(limit=1)
    second = past.found(limit=1, cursor=first.next_cursor)

    assert [page.entries[0].transition.at for page in (first, second)] == [1170.0, 1180.0]


def test_a_page_has_a_bound(past, monkeypatch):
    monkeypatch.setattr("monitor.store.store.PAGE_LIMIT", 2)
    past.fill()

    assert len(past.found(limit=10**9).entries) == 2
    assert len(past.found(limit=-5).entries) == 1


@pytest.mark.parametrize("cursor", ["x", "m", "-1", "1.5", "9" * 30, "m9x", "\N{SUPERSCRIPT TWO}"])
def test_a_cursor_that_no_page_gave_is_refused(past, cursor):
    with pytest.raises(CursorError, match="given by no page"):
        past.found(cursor=cursor)


def test_the_latest_transitions_have_the_ids_of_the_history(past):
    past.fill()
    past.poll("eu", Job("1", "books", FAILED, reason="dropped"), Job("3", "books", IMPORTING))
    latest = [(one.id, one.transition.job_id) for one in past.store.latest("eu")]
    past.poll("eu", Job("1", "books", FAILED, reason="dropped"), Job("3", "books", IMPORTING))

    assert latest == [(one.id, one.transition.job_id) for one in past.found(limit=2).entries][::-1]
    assert past.store.latest("eu") == ()
    assert past.store.latest("nowhere") == ()


def test_memory_is_bounded_in_number_and_in_time(monkeypatch):
    monkeypatch.setattr(history, "RECENT", 3)
    past = Past("memory://")
    past.fill()

    assert past.steps() == [("us", "1", COMPLETED), ("eu", "2", FAILED), ("eu", "1", COMPLETED)]
    past.now += 86400 - 1
    assert past.steps() == [("us", "1", COMPLETED)]
    assert past.steps(since=0.0) == [("us", "1", COMPLETED)]


def ill(past, monkeypatch):
    nowhere = engine_of("sqlite:////nowhere/at/all.db", 2)
    monkeypatch.setattr(past.store._database, "_engine", nowhere)
    monkeypatch.setattr(past.store._database, "_driver", Driver(nowhere))


def test_while_the_database_is_ill_memory_answers_and_says_so(tmp_path, monkeypatch):
    past = Past(f"sqlite:///{tmp_path}/state.db")
    past.fill()
    cursor = past.found(limit=1).next_cursor
    with capture_logs() as logged, monkeypatch.context() as patch:
        ill(past, patch)
        page = past.found(limit=1)
        assert past.store.up
        past.poll("eu", Job("4", "books", IMPORTING))
        assert not past.store.up
        later = past.found(limit=2)
        with pytest.raises(CursorError, match="another place"):
            past.found(cursor=cursor)

    assert [line["event"] for line in logged] == ["history_unavailable", "store_unavailable"]
    assert (page.entries[0].transition.at, page.whole) == (1180.0, False)
    assert [one.transition.job_id for one in later.entries] == ["4", "1"]
    assert past.found(limit=2, cursor=later.next_cursor).entries[0].transition.job_id == "2"
    past.store.maintain(lambda *_: None)
    assert past.found(limit=1).entries[0].transition.job_id == "4"
    assert past.found(limit=1).whole
    with pytest.raises(CursorError, match="another place"):
        past.found(cursor=later.next_cursor)
    past.store.close()


@contextmanager
def copied(*endings):
    """A copy of a store that is in use, of the files with these endings, where nothing can be written."""
    with without_rights() as folder:
        (folder / "kept").mkdir()
        past = Past(f"sqlite:///{folder}/state.db")
        past.fill()
        if "-wal" not in endings:
            past.store.close()
        for ending in endings:
            copy = folder / "kept" / f"state.db{ending}"
            copy.write_bytes((folder / f"state.db{ending}").read_bytes())
            copy.chmod(0o444)
        past.store.close()
        (folder / "kept").chmod(0o555)
        yield folder / "kept" / "state.db"
        (folder / "kept").chmod(0o755)


@pytest.mark.parametrize("endings", [("",), ("", "-wal", "-shm")], ids=["ended", "in use"])
def test_a_copy_in_a_folder_that_cannot_be_written_can_be_read(endings):
    with copied(*endings) as file, reading(f"sqlite:///{file}") as database:
        assert len(database.history(Wanted(), None, 10).entries) == 5


def test_a_copy_of_which_a_part_waits_to_be_put_in_is_one_sentence_that_says_what_to_do():
    with copied("", "-wal") as file:
        with pytest.raises(StoreError) as refused, reading(f"sqlite:///{file}") as database:
            database.history(Wanted(), None, 10)

        assert str(refused.value) == (
            f"{file} cannot be read: unable to open database file; its folder cannot be written: "
            "copy it and its -wal, where there is one, to a folder that can"
        )


def test_after_a_restart_the_database_still_knows(tmp_path):
    first = Past(f"sqlite:///{tmp_path}/state.db")
    first.fill()
    before = first.found()
    first.store.close()
    second = Past(f"sqlite:///{tmp_path}/state.db")

    assert second.found() == before
    second.store.close()
