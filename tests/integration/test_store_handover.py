"""A cluster passes from one monitor on a PostgreSQL to another: nothing is lost, invented, or written by both."""

import pytest

from monitor.jobs import JobState
from monitor.store import JobFilter
from tests.stored import PROD, Stored, break_tables, count, record

IMPORTING, FAILED = JobState.IMPORTING, JobState.FAILED


@pytest.fixture
def url(server):
    return server.url


@pytest.fixture
def pair(url):
    """Two monitors, of which the first has polled the cluster."""
    first = Stored(url)
    first.poll(record("1", progress=10))
    first.maintain()
    return first, Stored(url, now=first.now)


def test_the_new_owner_goes_on_with_what_the_previous_one_saw_last(pair):
    first, second = pair
    first.poll(record("1", progress=40), record("2"))
    first.poll(record("1", progress=60), record("2"))
    first.store.flush()
    second.store.take_over(["prod"])
    second.now = first.now

    assert second.snapshot.tracked == first.snapshot.tracked
    assert second.poll(record("1", "Failed"), record("2")) == [("1", IMPORTING, FAILED)]
    assert count(first.url) == 2


def test_time_without_progress_goes_on_over_a_hand_over(pair):
    first, second = pair
    first.poll(record("1", progress=20))
    changed_at = first.now
    first.store.flush()
    second.store.take_over(["prod"])
    second.now = first.now + 3600
    second.poll(record("1", progress=20))

    assert second.snapshot.tracked["1"].last_change == changed_at


def test_the_previous_owner_can_record_nothing_any_more_not_even_progress(pair):
    first, second = pair
    first.poll(record("1", progress=20))
    second.store.take_over(["prod"])
    second.poll(record("1", progress=70))
    second.store.flush()
    first.store.flush()
    second.store.take_over(["prod"])

    assert second.snapshot.tracked["1"].progress == 0.7


def test_a_poll_that_ends_after_another_monitor_has_taken_over_is_dropped(pair):
    first, second = pair
    late = first.compare(record("1", "Failed"))
    second.store.take_over(["prod"])

    assert first.store.record("prod", late) is None
    assert second.poll(record("1", "Failed")) == [("1", IMPORTING, FAILED)]
    assert count(first.url) == 1


def test_who_had_a_cluster_before_takes_it_back_with_what_has_happened_since(pair):
    first, second = pair
    second.store.take_over(["prod"])
    second.poll(record("1", "Failed", reason="no such file"), record("2", progress=5))
    second.store.flush()
    first.store.take_over(["prod"])

    assert first.poll(record("1", "Failed", reason="no such file"), record("2", progress=5)) == []
    assert first.snapshot.tracked["1"].state is FAILED
    assert count(first.url) == 2


def test_a_cluster_that_nobody_has_polled_begins_with_a_baseline(url):
    new = Stored(url)
    new.store.take_over(["prod", "unknown"])

    assert new.snapshot is None
    assert new.poll(record("1", "Failed")) == []
    assert new.store.up


def test_a_cluster_of_another_identity_is_left_alone(pair, url):
    other = Stored(url, PROD.__class__("prod", "in01-2", "in01-2"))
    other.store.take_over(["prod"])
    first, _ = pair

    assert first.poll(record("1", "Failed")) == [("1", IMPORTING, FAILED)]


def test_what_cannot_be_loaded_now_is_loaded_when_the_database_is_back(pair):
    first, second = pair
    first.poll(record("1", "Failed"), log=True)
    repair = break_tables(first.url)
    second.store.take_over(["prod"])
    down = second.store.up
    repair()
    second.maintain()

    assert not down
    assert second.store.up
    assert second.snapshot.tracked["1"].state is FAILED


def test_a_database_that_is_away_keeps_nobody_from_taking_over(pair):
    _, second = pair
    second.store.availability.mark_unavailable(OSError("gone"))
    second.store.flush()
    second.store.take_over(["prod"])

    assert second.store.failures == 1
    assert second.poll(record("1", "Failed")) == [("1", IMPORTING, FAILED)]


def listed(monitor):
    return [entry.cluster for entry in monitor.store.jobs(JobFilter(), 10).entries]


def test_a_cluster_that_only_others_still_watch_is_left_to_the_one_that_polls_it(pair, url):
    """A config that lacks the cluster is rolled out: one monitor has it, and another one that polls it has not."""
    first, second = pair
    first.poll(record("1", progress=20), record("2", "Completed"))
    first.poll(record("1", progress=30))
    first.store.flush()
    second.store.forget("prod", delete=False)
    second.maintain()

    assert first.poll(record("1", "Failed"), record("2", "Completed")) == [("1", IMPORTING, FAILED)]
    assert second.maintain() == []
    assert count(url, "jobs") == 2
    assert (listed(first), listed(second)) == (["prod", "prod"], [])


def test_who_polls_a_cluster_and_is_the_first_to_have_it_removed_deletes_it_and_the_others_go_on_from_memory(pair, url):
    first, second = pair
    second.store.reload(["prod"], 0.0)
    first.store.forget("prod")
    first.maintain()
    deleted = count(url, "clusters"), count(url, "jobs")
    second.store.take_over(["prod"])
    second.now = first.now

    assert deleted == (0, 0)
    assert second.poll(record("1", progress=10)) == []
    assert second.poll(record("1", "Failed")) == [("1", IMPORTING, FAILED)]
    assert count(url) == 1
    assert second.store.up


def test_a_cluster_that_comes_back_into_the_config_is_shown_again(pair):
    first, second = pair
    second.store.forget("prod", delete=False)
    hidden = listed(second)
    second.store.watch([PROD])

    assert hidden == []
    assert listed(second) == listed(first) == ["prod"]
    assert second.snapshot.tracked == first.snapshot.tracked
