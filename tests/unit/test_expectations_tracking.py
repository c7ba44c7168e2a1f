"""How an expected import goes: imports in, the state and the events out."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from monitor.config import Expectation
from monitor.cron import Cron
from monitor.expectations.occurrences import occurrences
from monitor.expectations.tracking import begin_evaluation, evaluate, first_record
from monitor.jobs import Job, JobState

HOUR = 3600.0
MIDNIGHT = 1_780_272_000.0  # 2026-06-01 in UTC
NIGHTLY = Expectation(
    name="nightly", collection="books", starts="0 2 * * *", start_within=1800.0, complete_within=4 * HOUR, min_rows=10
)


def hours(at):
    return MIDNIGHT + at * HOUR


def job(number, begun, state, ended=None, rows=None, **facts):
    end = None if ended is None else hours(ended)
    return Job(
        job_id=str(number),
        collection="books",
        state=JobState(state),
        first_seen=hours(begun),
        state_since=end or hours(begun),
        last_change=end or hours(begun),
        finished_at=end,
        imported_rows=rows,
        **facts,
    )


def as_seen(one, seen):
    """A job as a poll at a time sees it."""
    if one.finished_at is None or one.finished_at <= seen:
        return one
    return replace(one, state=JobState.IMPORTING, finished_at=None, completed_at=None, imported_rows=None)


class Followed:
    """An expected import, on a cluster that is polled every minute."""

    def __init__(self, expectation=NIGHTLY, since=1.0):
        self.expectation = expectation
        self.record = first_record(expectation, "prod", "", "books", hours(since))
        self.events = []
        self.unknown = 0

    def until(self, at, jobs=()):
        while (seen := self.record.seen_until + 60.0) < hours(at):
            self.evaluate(seen, jobs)
        return self.evaluate(hours(at), jobs)

    def evaluate(self, seen, jobs):
        """Evaluate once, with no poll since the previous evaluation."""
        known = [as_seen(one, seen) for one in jobs if one.first_seen <= seen]
        result = evaluate(self.expectation, begin_evaluation(self.expectation, self.record, seen), known)
        self.record = result.record
        self.events += [event.name for event in result.events]
        self.unknown += result.unknown
        return self.record.state


def test_an_import_that_never_began_starts_late_and_is_missed():
    nightly = Followed()

    assert nightly.until(2.4) == "waiting"
    assert nightly.until(2.6) == "late_start"
    assert nightly.until(5.9) == "late_start"
    assert nightly.until(6.1) == "missed"
    assert nightly.until(25.9) == "missed"
    assert nightly.until(26.1) == "waiting"
    assert nightly.events == ["late", "missed"]


@pytest.mark.parametrize(
    ("jobs", "state", "events"),
    [
        ([job(1, 2.1, "importing")], "late", ["late"]),
        ([job(1, 2.1, "completed", 3, 10)], "completed", ["met"]),
        ([job(1, 1.95, "completed", 3)], "completed", ["met"]),  # a little early; its rows are not known
        ([job(1, 2.1, "completed", 3, 9)], "too_few_rows", ["missed"]),
        ([job(1, 2.1, "failed", 3)], "missed", ["missed"]),
        ([job(1, 2.1, "vanished", 3)], "missed", ["missed"]),
        ([job(1, 1.5, "completed", 3)], "missed", ["late", "missed"]),  # it belongs to the day before
        ([job(1, 2.1, "failed", 3), job(2, 3.5, "completed", 4)], "completed", ["met"]),
        ([job(1, 2.1, "completed", 3, 5), job(2, 3.5, "completed", 4, 50)], "completed", ["missed", "met"]),
        ([job(1, 2.1, "completed", 3), job(2, 3.5, "failed", 4)], "missed", ["met", "missed"]),
        ([job(1, 2.1, "completed", 3), job(2, 3.5, "importing")], "completed", ["met"]),
        ([job(1, 2.1, "completed", 3), job(2, 5.5, "failed", 7)], "completed", ["met"]),
        ([job(1, 2.1, "completed", 3), job(2, 14, "failed", 15)], "completed", ["met"]),
        ([job(1, 3, "completed", 4)], "completed", ["late", "met"]),
        ([job(1, 2.1, "completed", 8)], "completed", ["late", "met"]),
        ([job(1, 9, "completed", 10)], "completed", ["late", "missed", "met"]),
    ],
)
def test_the_last_import_of_the_occurrence_counts(jobs, state, events):
    nightly = Followed()

    assert nightly.until(25.9, jobs) == state
    assert nightly.events == events


def test_an_import_is_running_until_it_has_ended():
    nightly = Followed()
    jobs = [job(1, 2.1, "completed", 3)]

    assert [nightly.until(at, jobs) for at in (2.05, 2.2, 2.9, 3.1)] == ["waiting", "running", "running", "completed"]


def test_an_occurrence_that_passed_while_the_monitor_was_down_is_judged_by_the_list():
    for jobs, state in (([], "missed"), ([job(1, 6.5, "completed", 6.5)], "completed")):
        nightly = Followed()
        nightly.until(4.9, [job(2, 2.1, "failed", 3)])
        assert nightly.evaluate(hours(6.5), [job(2, 2.1, "failed", 3), *jobs]) == state


def test_after_a_long_gap_an_import_that_is_not_listed_is_not_missed():
    nightly = Followed()
    nightly.until(1.9)

    assert nightly.evaluate(hours(7), []) == "waiting"
    assert nightly.record.occurrence == hours(26)
    assert (nightly.events, nightly.unknown) == ([], 1)


def test_after_a_long_gap_an_import_that_is_listed_counts():
    listed = [job(1, 7, "completed", 3, completed_at=hours(3)), job(2, 7, "completed", 7)]
    for one in listed:
        nightly = Followed()
        nightly.until(1.9)
        assert nightly.evaluate(hours(7), [one]) == "completed"
        assert nightly.events == ["met"]


def test_imports_of_several_occurrences_in_a_gap_are_none_missed():
    hourly = Expectation(name="hourly", collection="books", starts="0 * * * *", complete_within=HOUR / 2)
    books = Followed(hourly, since=0.9)
    books.until(2.9, [job(1, 1.1, "completed", 1.2), job(2, 2.1, "completed", 2.2)])
    books.evaluate(hours(4.7), [job(3, 4.7, "completed", 4.7), job(4, 4.7, "completed", 4.7)])

    assert books.events == ["met"] * 4


def test_what_started_before_it_was_expected_is_never_missed():
    assert Followed(since=3).until(25.9) == "waiting"
    running = Followed(since=3)
    assert running.until(3.1, [job(1, 2.1, "completed", 5)]) == "running"
    assert running.until(5.1, [job(1, 2.1, "completed", 5)]) == "completed"


def test_a_restart_repeats_no_event_and_keeps_the_state():
    nightly = Followed()
    nightly.until(6.1)
    nightly.evaluate(hours(6.2), [])

    assert (nightly.record.state, nightly.events) == ("missed", ["late", "missed"])


def test_an_import_that_the_store_has_forgotten_stays_complete():
    nightly = Followed()
    nightly.until(3.1, [job(1, 2.1, "completed", 3)])

    assert nightly.until(20, []) == "completed"


def test_a_changed_start_begins_anew():
    nightly = Followed()
    nightly.until(6.1)
    nightly.expectation = NIGHTLY.model_copy(update={"starts": "0 4 * * *", "cron": Cron("0 4 * * *", "UTC")})

    assert nightly.until(9) == "waiting"
    assert nightly.record.occurrence == hours(28)


def test_the_occurrences_of_a_period_include_one_that_has_not_ended_when_it_begins():
    starts = [occurrence.starts for occurrence in occurrences(NIGHTLY, hours(3), hours(51), 10)]

    assert starts == [hours(2), hours(26), hours(50)]
    assert [occurrence.starts for occurrence in occurrences(NIGHTLY, hours(3), hours(51), 2)] == starts[-2:]


def test_an_import_in_a_skipped_hour_is_judged_as_on_any_day():
    berlin = Expectation(
        name="b", collection="books", starts="30 2 * * *", timezone="Europe/Berlin", complete_within=HOUR
    )
    books = Followed(berlin)
    skipped = datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()  # 02:00 is 03:00
    books.record = first_record(berlin, "prod", "", "books", skipped - HOUR)
    for minute in range(4 * 60):
        books.evaluate(skipped - HOUR + minute * 60, [])

    assert books.record.occurrence == skipped + HOUR / 2
    assert (books.record.state, books.events) == ("missed", ["missed"])


def test_after_so_long_a_gap_that_occurrences_are_left_out_none_counts_as_complete():
    often = Expectation(name="often", collection="books", starts="* * * * *", complete_within=50.0)
    books = Followed(often, since=1.99)
    books.until(2, [job(1, 1.999, "completed", 1.9999)])
    assert books.record.state == "completed"
    books.events.clear()

    books.evaluate(hours(9), [])
    assert books.events == []


def test_starts_that_are_added_are_not_missed_before_the_config_had_them():
    hourly = Expectation(name="nightly", collection="books", starts="0 * * * *", complete_within=HOUR / 3)
    nightly = Followed()
    nightly.until(14.5, [job(1, 2.1, "completed", 3)])
    nightly.expectation = hourly

    nightly.until(14.9)
    assert nightly.events == ["met"]
    assert nightly.until(15.4) == "missed"
    assert nightly.events == ["met", "missed"]


def test_many_occurrences_in_a_gap_are_judged_look_by_look():
    often = Expectation(name="often", collection="books", starts="* * * * *", complete_within=50.0)
    books = Followed(often, since=1)
    books.until(1.5)
    missed = len(books.events)

    books.evaluate(hours(1.5) + 7000, [])
    books.evaluate(hours(1.5) + 7005, [])
    assert len(books.events) - missed == 7005 // 60


def test_a_clock_that_was_ahead_for_a_while_does_not_end_the_checks():
    nightly = Followed()
    nightly.until(1.5)
    nightly.evaluate(hours(100 * 24), [])

    nightly.evaluate(hours(1.6), [])
    assert nightly.until(6.1) == "missed"
    assert nightly.events == ["late", "missed"]
