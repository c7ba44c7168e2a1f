"""Expected imports, over restarts and from monitor to monitor: each event is logged once."""

import pytest
from structlog.testing import capture_logs

from monitor.config import Expectation
from monitor.expectations import ExpectationChecks
from tests.clusters import cluster
from tests.stored import Stored, close_all, record, run, store_url

MIDNIGHT = 1_780_272_000.0  # 2026-06-01 in UTC
NIGHTLY = Expectation(name="nightly", collection="books", starts="0 2 * * *", start_within=1800, complete_within=14400)
ALL = Expectation(name="all", collection="*", starts="0 2 * * *", complete_within=14400)
PROD = cluster("https://example.com", name="prod", cluster_id="in01-1")


def hours(at):
    return MIDNIGHT + at * 3600


class Monitor:
    """A monitor that polls one cluster."""

    def __init__(self, stored, expectations=(NIGHTLY,)):
        self.stored = stored
        self.shown = []
        self.checks = ExpectationChecks(
            stored.store,
            expectations=lambda: expectations,
            polled=lambda: [(PROD, stored.now)],
            show=lambda _, samples: setattr(self, "shown", samples),
            labels=lambda one: {"milvus_cluster": one.name},
            clock=lambda: stored.now,
        )

    def poll(self, at, *records):
        """Poll at an hour, and check; return what was logged."""
        self.stored.now = hours(at) - 30
        self.stored.poll(*records)
        return self.check(at)

    def check(self, at):
        self.stored.now = hours(at)
        with capture_logs() as logs:
            self.checks.check()
        return [(line["event"], line["expectation"]) for line in logs if line["event"].startswith("expectation_")]

    def states(self):
        return {(sample.expectation, sample.database, sample.collection): sample.state for sample in self.shown}


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def stored(request, tmp_path):
    yield Stored(store_url(request, tmp_path), now=hours(1))
    close_all()


def polled(monitor, since, until, *records):
    """Poll every half hour, and return what was logged."""
    logged = []
    for half in range(int(since * 2), int(until * 2) + 1):
        logged += monitor.poll(half / 2, *records)
    return logged


def test_an_import_that_never_began_is_late_and_missed_though_nothing_of_it_was_ever_seen(stored):
    monitor = Monitor(stored)

    assert polled(monitor, 1, 6) == [("expectation_late", "nightly"), ("expectation_missed", "nightly")]
    assert monitor.states() == {("nightly", "", "books"): "missed"}
    assert monitor.shown[0].deadline == hours(6)


def test_an_import_that_completes_is_met_once_and_one_that_only_a_glob_matches_has_to_be_known(stored):
    monitor = Monitor(stored, (NIGHTLY, ALL))
    polled(monitor, 1, 1.5)
    assert monitor.states() == {("nightly", "", "books"): "waiting"}

    assert monitor.poll(2.2, record("1", "Importing", 10)) == []
    assert set(monitor.states().values()) == {"running"}
    assert monitor.poll(3, record("1", "Completed", 100)) == [
        ("expectation_met", "nightly"),
        ("expectation_met", "all"),
    ]
    assert polled(monitor, 3.5, 8, record("1", "Completed", 100)) == []
    assert monitor.states() == {("nightly", "", "books"): "completed", ("all", "", "books"): "completed"}


@pytest.mark.parametrize("stored", ["sqlite", "postgresql"], indirect=True)
def test_a_restart_neither_repeats_an_event_nor_forgets_a_state(stored):
    polled(Monitor(stored), 1, 6)
    after = Monitor(stored.reopened())

    assert after.check(6.1) == []
    assert after.states() == {("nightly", "", "books"): "missed"}
    assert polled(after, 6.5, 9) == []


@pytest.mark.parametrize("stored", ["postgresql"], indirect=True)
def test_a_cluster_that_changes_hands_is_judged_by_one_monitor_at_a_time(stored):
    first, second = Monitor(stored), Monitor(Stored(stored.url, now=hours(1)))
    polled(first, 1, 2)
    second.check(2.4)
    first.check(2.4)

    logged = [event for monitor in (second, first, second, first) for event in monitor.check(2.6)]
    assert logged == [("expectation_late", "nightly")]


def test_the_database_of_a_collection_may_become_known_later(stored):
    monitor = Monitor(stored)
    polled(monitor, 1, 2.5)
    assert monitor.states() == {("nightly", "", "books"): "late_start"}

    assert monitor.poll(3, record("1", "Importing", 10, database="shop")) == []
    assert monitor.states() == {("nightly", "shop", "books"): "running"}


def test_an_import_will_be_complete_as_usual_or_at_its_pace(stored):
    monitor = Monitor(stored)
    monitor.poll(-9)
    for number in range(5):  # each takes an hour
        monitor.poll(number - 8, record(f"a{number}", "Importing", 10))
        monitor.poll(number - 7, record(f"a{number}", "Completed", 100))
    polled(monitor, 1, 2)
    assert monitor.shown[0].predicted == hours(3)

    monitor.poll(2.5, record("1", "Importing", 10))
    assert monitor.shown[0].predicted == pytest.approx(hours(3.5), abs=60)
    monitor.poll(4, record("1", "Completed", 100))
    assert monitor.shown[0].predicted is None


def test_nothing_is_judged_while_the_store_is_away(stored):
    monitor = Monitor(stored)
    polled(monitor, 1, 2)
    stored.store.availability.mark_unavailable(OSError("gone"))

    assert monitor.check(7) == []
    assert monitor.states() == {("nightly", "", "books"): "waiting"}


def test_what_is_expected_no_longer_is_not_shown(stored):
    expectations = [NIGHTLY]
    monitor = Monitor(stored, expectations)
    polled(monitor, 1, 2)
    monitor.checks._expectations = lambda: ()

    monitor.check(2.1)
    assert monitor.shown == []
    assert stored.store.expectations.load(["prod"]) == []


def test_what_cannot_be_judged_is_logged_along_with_what_can(stored):
    hourly = Expectation(name="hourly", collection="books", starts="0 * * * *", complete_within=3600)
    monitor = Monitor(stored, (hourly,))
    polled(monitor, 1, 2)
    monitor.poll(2.1, record("1", "Importing", 10))

    assert monitor.poll(5.5, record("1", "Completed", 100)) == [
        ("expectation_met", "hourly"),
        ("expectation_not_judged", "hourly"),
    ]


def test_an_import_that_is_stored_a_little_later_is_not_missed(stored, monkeypatch):
    monitor = Monitor(stored)
    polled(monitor, 1, 2)
    monitor.poll(2.1, record("1", "Importing", 10))
    stored.now = hours(5.99)
    stored.poll(record("1", "Completed", 100))
    with monkeypatch.context() as patch:
        patch.setattr(stored.store, "finished_imports", lambda _, since: {key: [] for key in since})
        assert monitor.check(5.99 + 50 / 3600) == []

    assert monitor.check(5.99 + 95 / 3600) == [("expectation_met", "nightly")]


def test_an_event_is_logged_once_though_its_transaction_fails(stored, monkeypatch):
    monitor = Monitor(stored)
    polled(monitor, 1, 2)
    transact = stored.store.expectations.transact

    def fail(work):
        def work_and_fail(connection):
            work(connection)
            raise OSError("no space left")

        transact(work_and_fail)

    with monkeypatch.context() as patch:
        patch.setattr(stored.store.expectations, "transact", fail)
        assert monitor.check(2.6) == [("expectation_late", "nightly")]
    assert not stored.store.up
    stored.store.availability.mark_recovered()

    assert monitor.check(2.7) == []
    assert monitor.states() == {("nightly", "", "books"): "late_start"}
    assert polled(monitor, 3, 6.5) == [("expectation_missed", "nightly")]


def test_an_import_whose_database_only_the_config_tells_goes_on_when_it_begins(stored):
    monitor = Monitor(stored, (NIGHTLY.model_copy(update={"database": "shop"}),))
    assert polled(monitor, 1, 2.5) == [("expectation_late", "nightly")]

    assert polled(monitor, 3, 6.5, record("1", "Importing", 10)) == []
    assert monitor.states() == {("nightly", "", "books"): "late"}


@pytest.mark.parametrize("stored", ["sqlite"], indirect=True)
def test_a_record_that_cannot_be_read_is_begun_anew_and_the_others_go_on(stored):
    expectations = NIGHTLY, NIGHTLY.model_copy(update={"name": "films", "collection": "films"})
    polled(Monitor(stored, expectations), 1, 1.5)
    run(stored.url, "UPDATE expectations SET occurrence = 'x' WHERE expectation = 'nightly'")

    logged = polled(Monitor(stored.reopened(), expectations), 1.5, 2.5)
    assert logged == [("expectation_late", "nightly"), ("expectation_late", "films")]


def test_a_cluster_is_evaluated_again_only_after_a_poll_or_a_minute(stored):
    monitor = Monitor(stored)
    polled(monitor, 1, 2)
    seen = stored.now
    monitor.checks._polled = lambda: [(PROD, seen)]
    shown = monitor.shown

    monitor.check(2 + 5 / 3600)
    assert monitor.shown is shown
    monitor.check(2 + 61 / 3600)
    assert monitor.shown is not shown
