"""The points of the progress of jobs that the store keeps for the charts: in SQLite, PostgreSQL and memory."""

import pytest

from monitor.jobs import JobState
from monitor.store import ClusterRef, ProgressSample, StoreUnavailableError, samples, store
from tests.stored import PROD, Stored, break_tables, close_all, count, record, run, store_url

PENDING, IMPORTING, COMMITTING = JobState.PENDING, JobState.IMPORTING, JobState.COMMITTING
KEY = ("prod", "1")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def url(request, tmp_path):
    yield store_url(request, tmp_path)
    close_all()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request, tmp_path):
    yield store_url(request, tmp_path)
    close_all()


def opened(url, **options):
    return Stored(url, flush_interval=0.0, **options)


def progressed(past, *percents, job_id="1", state="Importing", after=30.0):
    """Let a job make progress, one poll after the other, each of which is written."""
    for percent in percents:
        past.now += after - 30.0
        past.poll(record(job_id, state, percent))
        past.maintain()


def points(past, key=KEY):
    return [(sample.at, sample.state, sample.progress) for sample in past.store.samples([key]).get(key, [])]


def test_a_point_is_kept_of_each_step_and_each_state(url):
    past = opened(url)
    progressed(past, 0, state="Pending")
    progressed(past, 10, 10, 25, 20)
    progressed(past, 99, state="Committing")
    progressed(past, 100, state="Completed")

    assert points(past) == [
        (1030.0, PENDING, 0.0),
        (1060.0, IMPORTING, 0.1),
        (1120.0, IMPORTING, 0.25),
        (1150.0, IMPORTING, 0.2),
        (1180.0, COMMITTING, 0.99),
    ]


def test_points_of_several_jobs_come_in_one_answer_and_unknown_ones_have_none(url):
    past = opened(url)
    past.poll(record("1", progress=10), record("2", progress=20))
    past.maintain()

    assert past.store.samples([KEY, ("prod", "2"), ("prod", "nothing"), ("it's", "2")]) == {
        KEY: [ProgressSample(1030.0, IMPORTING, 0.1)],
        ("prod", "2"): [ProgressSample(1030.0, IMPORTING, 0.2)],
    }
    assert past.store.samples([]) == {}


def test_a_job_has_at_most_200_points_however_long_it_runs(url):
    past = opened(url)
    progressed(past, 0)
    for number in range(1, 1700):  # 14 hours
        past.poll(record("1", progress=number % 100))
        if number % 10 == 9:
            past.maintain()
    found = [at for at, _, _ in points(past)]

    assert 50 < len(found) <= samples.SAMPLES_PER_JOB
    assert found == sorted(found)
    assert found[0] == 1030.0
    assert found[-1] > past.now - 1000


def test_a_job_that_changes_its_state_all_the_time_has_at_most_200_points_too(url):
    past = opened(url)
    for number in range(300):
        progressed(past, 0, state=("Pending", "Importing")[number % 2], after=20.0)

    assert len(points(past)) <= samples.SAMPLES_PER_JOB


def test_of_too_many_points_at_once_some_are_written_and_others_the_next_time(url, monkeypatch):
    monkeypatch.setattr(samples, "SAMPLES_AT_ONCE", 5)
    past = opened(url)
    written = []
    for progress in (10, 20, 30, 40):
        past.poll(*(record(str(number), progress=progress) for number in range(20)))
        past.maintain()
        found = past.store.samples([("prod", str(number)) for number in range(20)])
        written.append(sum(map(len, found.values())))

    assert written == [5, 10, 15, 20]
    assert len(found) > 5


def test_old_points_go_and_so_do_those_of_a_clock_that_was_ahead(shared_url, monkeypatch):
    monkeypatch.setattr(store, "PRUNE_INTERVAL", 0.0)
    past = opened(shared_url, retention=86400.0)
    progressed(past, 10, 20)
    run(shared_url, "UPDATE progress_samples SET at = at + 1e9 WHERE progress > 0.15")
    progressed(past, 30)
    assert [progress for _, _, progress in points(past)] == [0.1, 0.3]
    past.now += 86400.0 + 60
    past.maintain()

    assert points(past) == []


def test_the_latest_points_stay_when_there_are_too_many_in_all(shared_url, monkeypatch):
    monkeypatch.setattr(store, "PRUNE_INTERVAL", 0.0)
    monkeypatch.setattr(samples, "SAMPLES_KEPT", 6)
    past = opened(shared_url)
    progressed(past, *range(1, 21))

    assert count(shared_url, "progress_samples") == 6
    assert [progress for _, _, progress in points(past)] == [0.15, 0.16, 0.17, 0.18, 0.19, 0.2]


def test_another_monitor_reads_them_and_goes_on(shared_url):
    first = opened(shared_url)
    progressed(first, 10, 20)
    second = first.reopened(flush_interval=0.0)
    assert [progress for _, _, progress in points(second)] == [0.1, 0.2]
    progressed(second, 20, 30)

    assert [progress for _, _, progress in points(second)] == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("shared_url", ["postgresql"], indirect=True)
def test_what_another_monitor_recorded_is_not_written_again(shared_url):
    owner = opened(shared_url)
    progressed(owner, 10)
    reader = Stored(shared_url, flush_interval=0.0, now=owner.now)
    run(shared_url, "DELETE FROM progress_samples")
    progressed(owner, 20)
    reader.store.reload(["prod"], 0.0)
    run(shared_url, "DELETE FROM progress_samples")
    reader.maintain()

    assert count(shared_url, "progress_samples") == 0


def test_a_new_cluster_of_the_same_name_has_none_of_the_old_ones(shared_url):
    first = opened(shared_url)
    progressed(first, 10)
    first.store.close()
    second = Stored(shared_url, ClusterRef("prod", "in01-2", "in01-2"), flush_interval=0.0, now=first.now)
    second.poll(record("1", progress=70))
    second.maintain()

    assert [progress for _, _, progress in points(second)] == [0.7]


def test_while_the_database_is_away_nothing_stops_and_the_next_point_is_written(shared_url):
    past = opened(shared_url)
    progressed(past, 10)
    repair = break_tables(shared_url)
    progressed(past, 20, 30)
    with pytest.raises(StoreUnavailableError):
        past.store.samples([KEY])
    repair()
    past.maintain()
    progressed(past, 40)

    assert [progress for _, _, progress in points(past)][-1] == 0.4


def test_a_row_that_cannot_be_read_costs_itself(shared_url):
    past = opened(shared_url)
    progressed(past, 10, 20)
    run(shared_url, "UPDATE progress_samples SET state = 'compacting' WHERE progress < 0.15")

    assert [progress for _, _, progress in points(past)] == [0.2]


def test_a_clock_that_steps_breaks_nothing(url):
    past = opened(url)
    progressed(past, 10, 20)
    past.now -= 7200
    progressed(past, 30)
    past.now += 86400
    progressed(past, 40)

    assert 1 <= len(points(past)) <= 4
    assert points(past)[-1][2] == 0.4


def test_a_poll_writes_no_points_they_wait_for_the_flush(url):
    past = Stored(url, PROD)
    past.maintain()
    past.poll(record("1", progress=10))
    assert points(past) == []
    past.store.flush()

    assert [progress for _, _, progress in points(past)] == [0.1]
