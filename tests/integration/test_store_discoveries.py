"""The latest list of each discovery, from one start to the next."""

import pytest

from tests.stored import Stored, close_all, record, run


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/state.db"
    else:
        yield request.getfixturevalue("postgres").url
    close_all()


def test_the_list_of_each_discovery_is_kept(url):
    first = Stored(url)
    assert first.store.discovered("zilliz") is None
    assert first.store.keep_discovered("zilliz", '["a"]')
    assert first.store.keep_discovered("files", "[]")
    assert first.store.keep_discovered("zilliz", '["a","é"]')

    second = first.reopened().store
    assert (second.discovered("zilliz"), second.discovered("files")) == ('["a","é"]', "[]")


def test_a_store_of_version_4_gets_the_table_and_keeps_its_jobs(url):
    first = Stored(url)
    first.poll(record("1"))
    first.store.close()
    later_columns = ("durations", "last_short", "failures_in_a_row")
    run(url, *(f"ALTER TABLE outcomes DROP COLUMN {column}" for column in later_columns))
    run(url, "DROP TABLE discoveries", "UPDATE schema SET version = 4")

    second = Stored(url)
    assert second.snapshot.tracked.keys() == {"1"}
    assert second.store.up
    assert second.store.keep_discovered("zilliz", "[]")


def test_while_the_store_is_unavailable_nothing_is_kept_and_nothing_raised(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    first = Stored(url)
    run(url, "ALTER TABLE discoveries RENAME TO stolen")

    assert first.store.discovered("zilliz") is None
    assert not first.store.up
    assert not first.store.keep_discovered("zilliz", "[]")
    run(url, "ALTER TABLE stolen RENAME TO discoveries")
    first.maintain()
    assert first.store.keep_discovered("zilliz", "[]")
    close_all()


def test_a_list_is_kept_again_after_the_file_was_replaced(tmp_path):
    url = f"sqlite:///{tmp_path}/state.db"
    first = Stored(url)
    assert first.store.keep_discovered("zilliz", '["a"]')
    for file in tmp_path.glob("state.db*"):
        file.unlink()

    assert not first.store.keep_discovered("zilliz", '["b"]')
    first.maintain()
    assert first.store.keep_discovered("zilliz", '["b"]')
    assert first.reopened().store.discovered("zilliz") == '["b"]'
    close_all()
