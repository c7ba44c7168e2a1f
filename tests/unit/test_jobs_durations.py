"""How long imports usually take: polls in, the typical duration of the collection out."""

import pytest
from structlog.testing import capture_logs

from monitor.jobs import (
    CollectionOutcome,
    Job,
    JobState,
    TypicalDuration,
    append_duration,
    import_duration,
    typical_duration,
)
from monitor.poll_log import log_changes
from tests.jobs import poll, record

HOUR = 3600.0


def after(durations, *last, start=10_000.0, snapshot=None):
    """Return what polls change during which imports take so many seconds, and then lists are seen, 30 s apart."""
    now = start
    snapshot = snapshot or poll(None, now=now - 30).snapshot
    for number, seconds in enumerate(durations):
        for at, state in ((now, "Importing"), (now + seconds, "Completed")):
            changes = poll(snapshot, record(f"{now:.0f}-{number}", state), now=at)
            snapshot = changes.snapshot
        now += seconds + 30
    for records in last:
        changes = poll(snapshot, *records, now=now)
        snapshot = changes.snapshot
        now += 30
    return changes


def outcome(changes):
    return changes.snapshot.outcomes["", "books"]


def test_nothing_is_typical_below_five_imports():
    assert typical_duration(None) is None
    assert typical_duration(outcome(after([60] * 4))) is None
    assert typical_duration(outcome(after([60] * 5))) == TypicalDuration(60, 60, 60)


def test_the_last_twenty_imports_count():
    assert typical_duration(outcome(after([600] * 20 + [60, 120] * 10))) == TypicalDuration(90, 60, 120)
    assert len(outcome(after([600] * 50)).durations.split()) == 20


def test_failed_imports_do_not_count():
    changes = after([60] * 5, [record("x")], [record("x", "Failed")])

    assert typical_duration(outcome(changes)) == TypicalDuration(60, 60, 60)


def test_an_import_of_a_tenth_of_the_usual_time_is_reported_once():
    quick = after([720] * 5, [record("x")], [record("x", "Completed")])
    again = poll(quick.snapshot, record("x", "Completed"), now=100_000)
    usual = after([720], snapshot=quick.snapshot, start=200_000)

    assert [(one.job.job_id, one.duration, one.typical) for one in quick.short] == [("x", 30, 720)]
    assert (outcome(quick).last_short, outcome(again).last_short, outcome(usual).last_short) == (True, True, False)
    assert again.short == usual.short == ()


def test_an_import_between_two_polls_was_short_too():
    assert [one.duration for one in after([720] * 5, [], [record("x", "Completed")]).short] == [30]


def test_an_import_that_the_list_may_have_lacked_all_the_time_was_not_short():
    changes = after([720] * 5, [record("y")], [], [record("y"), record("x", "Completed")])

    assert changes.short == ()


def test_an_import_that_usually_takes_seconds_is_not_short():
    job = record("x", "Completed", create_time="1000", complete_time="1001")

    assert after([30] * 5, [job]).short == ()


def test_what_is_usual_changes_with_the_imports():
    changes = after([720] * 5 + [30] * 11, [record("x")], [record("x", "Completed")])

    assert typical_duration(outcome(changes)).median == 30
    assert changes.short == ()


@pytest.mark.parametrize(
    ("facts", "duration"),
    [
        ({"first_seen": 1000.0}, 60),
        ({"first_seen": 1000.0, "created_at": 940.0, "completed_at": 1040.0}, 100),
        ({"first_seen": 900.0}, None),  # it was running at the baseline
        ({"first_seen": 1060.0}, 30),  # at most
        ({"first_seen": 1060.0, "created_at": 900.0, "completed_at": 1050.0}, 150),
        ({"first_seen": 1000.0, "created_at": 1050.0, "completed_at": 1040.0}, None),
        ({"first_seen": 2000.0}, None),  # the clock was set back
    ],
)
def test_the_times_of_the_server_count_else_those_of_the_polls(facts, duration):
    job = Job("1", "books", JobState.COMPLETED, state_since=1060.0, last_change=1060.0, **facts)

    assert import_duration(job, baseline_at=900.0, polled_at=1030.0) == duration


def test_completed_jobs_of_a_baseline_count_where_the_server_gives_their_times():
    jobs = [record(str(n), "Completed", create_time=f"{n}", complete_time=f"{n + 100}") for n in range(1, 6)]

    assert typical_duration(outcome(poll(None, *jobs, record("9", "Completed"), now=HOUR))).median == 100


@pytest.mark.parametrize(
    "durations", ["x", "1 2 3 4 five", "nan nan nan nan nan", "1 1 1 1 -1", "inf " * 9, "1e300 " * 9]
)
def test_damage_in_the_store_is_not_typical(durations):
    assert typical_duration(CollectionOutcome(durations=durations)) is None
    assert append_duration(durations, 60.0).endswith("60.0")


def test_streaks_of_failures_end_with_a_success_and_do_not_count_aborts():
    snapshot, streaks = poll(None, now=0).snapshot, []
    ends = ["no such file", "aborted by user", "timeout", "", "no such file"]
    for number, reason in enumerate(ends):
        for state in ("Importing", "Failed" if reason else "Completed"):
            changes = poll(snapshot, record(str(number), state, reason=reason), now=30.0 * number + 1)
            snapshot = changes.snapshot
        streaks.append(outcome(changes).failures_in_a_row)

    assert streaks == [1, 1, 2, 0, 1]


def test_an_unusually_short_import_is_logged_with_both_times():
    with capture_logs() as logged:
        log_changes(after([720] * 5, [record("x")], [record("x", "Completed")]), 100_000.0, {"milvus_cluster": "prod"})
    short = [line for line in logged if line["event"] == "import_job_short"]

    assert [(line["log_level"], line["milvus_cluster"], line["job_id"]) for line in short] == [("warning", "prod", "x")]
    assert (short[0]["duration_seconds"], short[0]["typical_duration_seconds"]) == (30, 720)
