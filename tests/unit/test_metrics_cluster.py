"""The metrics of one cluster through its life: what appears, what goes, what stays."""

import random
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry

from monitor.jobs import Policy
from monitor.metrics import ClusterMetrics, Exposition
from tests.clusters import cluster
from tests.daemon import Metrics
from tests.jobs import poll, record

PENDING, IMPORTING, COMPLETED, FAILED = ("Pending", "Importing", "Completed", "Failed")
T = 1_750_000_000.0
DAY = 86_400.0
JOB_FAMILIES = (
    *("job_state", "job_stalled", "job_first_seen_timestamp_seconds", "job_last_change_timestamp_seconds"),
    *("job_progress_ratio", "job_imported_rows", "job_total_rows", "job_eta_seconds"),
)


def job(job_id="1", state=IMPORTING, progress=None, **facts):
    return record(job_id, state, None if progress is None else progress * 100, **facts)


class Watched:
    """A cluster polled every 30 s, and what a scrape shows of it."""

    def __init__(self, *, bounds=None, **settings):
        self.cluster = cluster("http://milvus", name="prod", interval=30.0, **settings)
        self.metrics = ClusterMetrics(self.cluster, ["timeout", "connection"], **bounds or {})
        self.snapshot = None
        self.exposition = Exposition(CollectorRegistry())
        self.exposition.show([self.metrics])
        self.last = T

    def poll(self, at, *records, absent=(), duration=0.1, bad_records=0):
        self.last = T + at
        config = self.cluster
        policy = Policy(config.stall_after, config.pending_after, config.uncommitted_after, config.failed_retention)
        diff = poll(self.snapshot, *records, now=T + at, policy=policy, absent=absent)
        self.snapshot = diff.snapshot
        self.metrics.poll_succeeded(diff, now=T + at, duration=duration, bad_records=bad_records)
        return self

    def fail(self, at, kind="timeout"):
        self.last = T + at
        self.metrics.poll_failed(kind, now=T + at, duration=5.0)
        return self

    def scrape(self, at=None):
        return Metrics(self.exposition.scrape("", self.last if at is None else T + at)[0].decode())

    def value(self, name, at=None, **labels):
        return self.scrape(at).value(f"milvus_import_{name}", **labels)

    def ids(self, name, at=None):
        return [labels["job_id"] for labels, _ in self.scrape(at).named(f"milvus_import_{name}")]


def test_an_unfinished_job_has_its_series_and_loses_them_when_it_completes():
    watched = Watched()
    for step in range(4):
        watched.poll(step * 30, job(progress=0.2 + step / 10, imported_rows=step, total_rows=9))
    running = watched.scrape()
    finished = watched.poll(120, job(state=COMPLETED, progress=1.0)).scrape()

    for family in JOB_FAMILIES:
        assert len(running.named(f"milvus_import_{family}", job_id="1")) == 1, family
        assert finished.named(f"milvus_import_{family}") == [], family
    assert running.value("milvus_import_job_progress_ratio") == pytest.approx(0.5)
    assert running.value("milvus_import_job_imported_rows") == 3
    assert running.value("milvus_import_job_first_seen_timestamp_seconds") == T
    assert running.value("milvus_import_job_last_change_timestamp_seconds") == T + 90
    assert running.value("milvus_import_jobs", state="importing") == 1
    assert finished.value("milvus_import_jobs", state="completed") == 1


def test_who_takes_a_cluster_over_shows_what_lasts_and_goes_on_counting_where_it_was():
    watched = Watched().poll(0, job(), job("2", FAILED)).poll(30, job(), job("2", FAILED)).fail(60)
    before = watched.scrape()
    stored = poll(watched.snapshot, job(), job("2", FAILED), job("3", FAILED), now=T + 3600).snapshot
    watched.metrics.take_over(stored, T + 3600)
    taken_over = watched.scrape(3600)
    watched.snapshot = stored
    polled = watched.poll(3630, job(), job("2", FAILED), job("3", FAILED)).scrape()

    assert before.value("milvus_import_cluster_up") == 0
    assert before.value("milvus_import_cluster_failure", reason="timeout") == 1
    for name in ("cluster_up", "cluster_failure", "cluster_last_success_timestamp_seconds", "job_progress_ratio"):
        assert taken_over.named(f"milvus_import_{name}") == [], name
    assert {labels["job_id"] for labels, _ in taken_over.named("milvus_import_job_failed")} == {"2", "3"}
    assert [scrape.value("milvus_import_polls_total") for scrape in (before, taken_over, polled)] == [3, 3, 4]
    assert polled.value("milvus_import_cluster_up") == 1


def test_what_the_api_does_not_say_is_absent_and_not_0():
    scrape = Watched().poll(0, job()).scrape()

    assert scrape.value("milvus_import_job_state", state="importing", job_id="1", database="") == 1
    for family in ("job_progress_ratio", "job_imported_rows", "job_total_rows", "job_eta_seconds"):
        assert scrape.named(f"milvus_import_{family}") == []


def test_the_time_left_appears_once_it_is_no_guess_and_goes_when_the_job_stands_still():
    watched = Watched().poll(0, job(progress=0.1)).poll(30, job(progress=0.2))
    before = watched.value("job_eta_seconds")
    known = watched.poll(60, job(progress=0.3)).value("job_eta_seconds")
    late = watched.poll(300, job(progress=0.3)).value("job_eta_seconds")

    assert before is None
    assert known == pytest.approx(210)
    assert late is None


def test_a_carriage_return_in_a_name_takes_no_time_left_from_another_job():
    watched = Watched()
    for step in range(4):
        watched.poll(step * 30, job("1", collection="a\rb"), job("2", progress=0.1 + step / 10))

    assert watched.ids("job_eta_seconds") == ["2"]


def test_a_job_has_one_state_at_a_time():
    watched = Watched().poll(0, job(state=PENDING))
    first = watched.scrape().named("milvus_import_job_state")
    second = watched.poll(30, job()).scrape().named("milvus_import_job_state")

    assert [(labels["state"], value) for labels, value in first] == [("pending", 1)]
    assert [(labels["state"], value) for labels, value in second] == [("importing", 1)]


def test_a_job_that_stops_moving_is_marked_stalled_and_unmarked_when_it_moves():
    watched = Watched(stall_after=60).poll(0, job(progress=0.1))
    moving = watched.value("job_stalled", state="importing")
    stalled = watched.poll(90, job(progress=0.1)).value("job_stalled", state="importing")
    resumed = watched.poll(120, job(progress=0.2)).value("job_stalled", state="importing")

    assert (moving, stalled, resumed) == (0, 1, 0)


def test_a_stalled_job_stays_shown_as_stalled_while_its_cluster_cannot_be_polled():
    watched = Watched(stall_after=60).poll(0, job(progress=0.1), job("2", progress=0.1))
    watched.poll(90, job(progress=0.1), job("2", progress=0.2)).fail(120)

    assert watched.ids("job_stalled", at=100_000) == ["1"]
    assert watched.ids("job_state", at=100_000) == []


def test_a_failed_job_is_shown_with_the_class_of_its_reason_and_not_with_its_text():
    watched = Watched().poll(0, job()).poll(30, job(state=FAILED, reason="disk quota exceeded, file=s3://secret"))

    assert watched.value("job_failed", job_id="1", collection="books", reason="quota_exceeded") == 1
    assert watched.value("job_state", job_id="1", state="failed") == 1
    assert b"secret" not in watched.exposition.scrape("", T + 30)[0]


def test_a_failure_stays_until_its_retention_has_passed_though_the_server_has_forgotten_it():
    watched = Watched(failed_retention=DAY).poll(0, job()).poll(30, job(state=FAILED))

    assert watched.poll(60).ids("job_failed") == ["1"]
    assert watched.poll(DAY + 29).ids("job_failed") == ["1"]
    assert watched.poll(DAY + 31).ids("job_failed") == []
    assert watched.ids("job_state") == []


def test_a_failure_that_is_still_listed_goes_after_its_retention_too():
    watched = Watched(failed_retention=60).poll(0, job()).poll(30, job(state=FAILED)).poll(91, job(state=FAILED))

    assert watched.ids("job_failed") == []
    assert watched.value("jobs", state="failed") == 1


def test_a_failure_stays_while_the_cluster_is_out_of_reach_and_goes_in_time():
    watched = Watched(failed_retention=DAY).poll(0, job()).poll(30, job(state=FAILED)).fail(60)

    assert watched.ids("job_failed", at=1000) == ["1"]
    assert watched.ids("job_failed", at=DAY) == ["1"]
    assert watched.fail(DAY + 31).ids("job_failed") == []


def test_a_vanished_job_keeps_its_state_and_is_no_failure():
    watched = Watched().poll(0, job()).poll(30, absent={"1"})

    assert watched.value("job_state", job_id="1", state="vanished") == 1
    assert watched.ids("job_failed") == []
    assert watched.value("jobs_finished_total", state="vanished") == 1
    assert watched.scrape().named("milvus_import_jobs") == []


def test_a_job_missing_from_the_list_is_still_shown_and_no_longer_counted_as_listed():
    watched = Watched().poll(0, job()).poll(30)

    assert watched.ids("job_state") == ["1"]
    assert watched.scrape().named("milvus_import_jobs") == []


def test_unfinished_jobs_stay_for_five_intervals_after_the_last_success_and_then_go():
    watched = Watched().poll(0, job("run", progress=0.5), job("bad", state=FAILED)).fail(30)

    assert watched.ids("job_stalled", at=149) == ["run"]
    assert watched.ids("job_progress_ratio", at=149) == ["run"]
    for family in (*JOB_FAMILIES[1:], "jobs"):
        assert watched.scrape(152).named(f"milvus_import_{family}") == [], family
    assert watched.ids("job_state", at=152) == ["bad"]
    assert watched.value("jobs_finished_total", at=10_000, state="failed", collection="books") == 0
    assert watched.value("cluster_up", at=10_000) == 0
    assert watched.fail(9000).poll(9030, job("run")).ids("job_stalled") == ["run"]


def test_what_is_stale_goes_by_the_interval_of_the_cluster_and_not_by_that_of_its_failures():
    watched = Watched().poll(0, job())
    watched.metrics.set_interval(10.0, 10.0)
    active = [watched.ids("job_state", at=at) for at in (49, 52)]
    watched.fail(10).metrics.set_interval(10.0, 100.0)

    assert active == [["1"], []]
    assert watched.ids("job_state", at=52) == []
    assert watched.value("poll_interval_seconds") == 100


def test_jobs_do_not_flicker_where_a_poll_takes_longer_than_five_intervals():
    watched = Watched().poll(0, job(), duration=200.0)

    assert watched.ids("job_state", at=200 + 30 + 200) == ["1"]
    assert watched.ids("job_state", at=200 + 5 * 200 + 1) == []


def test_a_cluster_is_down_from_its_first_failed_poll_and_up_with_the_next_success():
    watched = Watched()
    unknown = watched.value("cluster_up")
    down = watched.fail(0).value("cluster_up")
    never = watched.value("cluster_last_success_timestamp_seconds")
    up = watched.poll(30).scrape()

    assert (unknown, down, never) == (None, 0, None)
    assert up.value("milvus_import_cluster_up") == 1
    assert up.value("milvus_import_cluster_last_success_timestamp_seconds") == T + 30
    assert up.value("milvus_import_cluster_last_poll_duration_seconds") == 0.1
    assert watched.fail(60).value("cluster_last_success_timestamp_seconds") == T + 30
    assert watched.value("cluster_last_poll_duration_seconds") == 5


def test_polls_failures_misses_bad_records_and_requests_are_counted():
    watched = Watched().poll(0, bad_records=2).fail(30, "connection").fail(60, "connection").poll(90, bad_records=1)
    watched.metrics.set_usage({"list": 7}, {"describe": 1.5})
    watched.metrics.poll_missed(3)
    scrape = watched.scrape()

    assert scrape.value("milvus_import_polls_total") == 4
    assert scrape.value("milvus_import_polls_missed_total") == 3
    assert scrape.value("milvus_import_bad_records_total") == 3
    assert scrape.value("milvus_import_poll_failures_total", reason="connection") == 2
    assert scrape.value("milvus_import_poll_failures_total", reason="timeout") == 0
    assert scrape.value("milvus_import_api_requests_total", endpoint="list") == 7
    assert scrape.value("milvus_import_api_requests_total", endpoint="describe") == 0
    assert scrape.value("milvus_import_api_throttled_seconds_total", endpoint="describe") == 1.5


def test_finished_jobs_of_a_collection_begin_at_0_as_soon_as_it_is_known():
    watched = Watched().poll(0, job())
    before = [watched.value("jobs_finished_total", state=state) for state in ("completed", "failed", "vanished")]
    watched.poll(30, job(state=FAILED))
    after = [watched.value("jobs_finished_total", state=state) for state in ("completed", "failed", "vanished")]

    assert before == [0, 0, 0]
    assert after == [0, 1, 0]


def test_jobs_that_had_finished_before_the_baseline_are_not_counted_as_finished():
    watched = Watched().poll(0, job("1", COMPLETED), job("2", FAILED))

    assert watched.value("jobs_finished_total", state="completed") == 0
    assert watched.value("jobs_finished_total", state="failed") == 0
    assert {value for _, value in watched.scrape().named("milvus_import_job_transitions_total")} == {0}


def test_transitions_are_counted_from_new_to_the_end():
    watched = Watched().poll(0).poll(30, job(state=PENDING)).poll(60, job()).poll(90, job(state=COMPLETED))
    steps = watched.scrape().named("milvus_import_job_transitions_total")

    assert [(labels["from_state"], labels["to_state"], value) for labels, value in steps if value] == [
        ("new", "pending", 1),
        ("pending", "importing", 1),
        ("importing", "completed", 1),
    ]


def test_the_usual_transitions_and_the_durations_begin_at_0_so_that_an_increase_sees_the_first():
    scrape = Watched().scrape()
    steps = [
        *(("new", state) for state in ("pending", "importing", "uncommitted", "committing", "completed", "failed")),
        *(("pending", "importing"), ("importing", "uncommitted"), ("uncommitted", "committing")),
        *(("importing", state) for state in ("completed", "failed", "vanished")),
    ]

    for before, after in steps:
        assert scrape.value("milvus_import_job_transitions_total", from_state=before, to_state=after) == 0
    for state in ("completed", "failed", "vanished"):
        assert scrape.value("milvus_import_job_duration_seconds_count", state=state) == 0
        assert scrape.value("milvus_import_job_duration_seconds_bucket", state=state, le="+Inf") == 0


def test_a_transition_that_is_not_usual_appears_when_it_happens():
    watched = Watched().poll(0, job(state=IMPORTING)).poll(30, job(state=PENDING))

    assert watched.value("job_transitions_total", from_state="importing", to_state="pending") == 1


def test_durations_are_of_jobs_that_were_seen_unfinished():
    watched = Watched().poll(0).poll(30, job("seen"), job("late", FAILED)).poll(75, job("seen", COMPLETED))
    scrape = watched.poll(105, job("seen", FAILED)).scrape()
    name = "milvus_import_job_duration_seconds"

    assert scrape.value(f"{name}_count", state="completed") == 1
    assert scrape.value(f"{name}_sum", state="completed") == 45
    assert scrape.value(f"{name}_bucket", state="completed", le="30.0") == 0
    assert scrape.value(f"{name}_bucket", state="completed", le="60.0") == 1
    assert scrape.value(f"{name}_bucket", state="completed", le="+Inf") == 1
    assert scrape.value(f"{name}_count", state="failed") == 0


def test_the_buckets_of_a_duration_only_grow():
    watched = Watched().poll(0, *(job(str(number)) for number in range(5)))
    for number, at in enumerate((5, 60, 61, 5000, 200_000)):
        watched.poll(at, *(job(str(one), COMPLETED if one <= number else IMPORTING) for one in range(5)))
    buckets = [
        value for _, value in watched.scrape().named("milvus_import_job_duration_seconds_bucket", state="completed")
    ]

    assert buckets == [1, 1, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 5]
    assert all(low <= high for low, high in pairwise(buckets))


def test_a_clock_that_goes_back_takes_nothing_from_a_counter():
    watched = Watched().poll(100, job()).poll(0, job(state=COMPLETED))

    assert watched.value("job_duration_seconds_sum", state="completed") == 0
    assert watched.value("job_duration_seconds_count", state="completed") == 1


def test_the_outcome_of_a_collection_is_its_latest_finished_job():
    watched = Watched().poll(0, job("1"))
    none_yet = watched.value("collection_last_finished_failed")
    failed = watched.poll(30, job("1", FAILED), job("2")).value("collection_last_finished_failed", collection="books")
    never = watched.value("collection_last_completed_timestamp_seconds")
    completed = watched.poll(60, job("1", FAILED), job("2", COMPLETED)).value("collection_last_finished_failed")

    assert (none_yet, failed, never, completed) == (None, 1, None, 0)
    assert watched.value("collection_last_completed_timestamp_seconds") == T + 60
    assert watched.fail(90).value("collection_last_finished_failed", at=10_000) == 0


def test_the_bound_leaves_out_whole_jobs_and_counts_their_series():
    watched = Watched(series_per_cluster=10).poll(0, *(job(str(number)) for number in range(4)))
    scrape = watched.scrape()

    for family in JOB_FAMILIES[:4]:
        assert len(scrape.named(f"milvus_import_{family}")) == 2
    assert scrape.value("milvus_import_cluster_series_dropped") == 8
    assert scrape.value("milvus_import_jobs", state="importing") == 4


def test_what_there_was_no_room_for_is_no_longer_counted_when_it_is_too_old():
    watched = Watched(series_per_cluster=2, failed_retention=600).poll(0, job("old", FAILED))
    listed = [job("old", FAILED), job("new", FAILED)]
    found = [watched.poll(at, *listed).value("cluster_series_dropped") for at in (500, 590, 610)]

    assert found == [2, 2, 0]
    assert watched.ids("job_failed") == ["new"]


def test_a_text_that_failed_half_way_is_made_anew(monkeypatch):
    watched = Watched().poll(0, job("a", progress=0.1), job("b", progress=0.1))
    with monkeypatch.context() as patch:
        patch.setattr("monitor.metrics.job_texts.recent_pace", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watched.poll(30, job("a", progress=0.2), job("b", COMPLETED))
    watched.poll(60, job("a", progress=0.2), job("b", COMPLETED))

    assert watched.ids("job_progress_ratio") == ["a"]
    assert watched.value("job_progress_ratio", job_id="a") == 0.2
    assert watched.value("jobs", state="importing") == 1


def test_within_the_bound_failures_come_first_then_stalled_jobs_then_the_oldest():
    watched = Watched(series_per_cluster=10, stall_after=60)
    names = ("stuck", "moved", "still", "bad")
    watched.poll(0, *(job(name, progress=0.1) for name in names[:1]))
    watched.poll(50, *(job(name) for name in names))
    watched.poll(61, job("stuck", progress=0.1), job("moved", PENDING), job("still"), job("bad", FAILED))
    with_room_for_one = watched.ids("job_state")
    watched.cluster = cluster("http://milvus", name="prod", interval=30.0, series_per_cluster=14, stall_after=60)
    watched.metrics.reconfigure(watched.cluster)

    assert with_room_for_one == ["stuck", "bad"]
    assert watched.ids("job_stalled") == ["stuck", "moved"]
    assert watched.ids("job_failed") == ["bad"]


def test_no_smaller_job_takes_the_place_of_one_that_did_not_fit():
    watched = Watched(series_per_cluster=7).poll(0, job("a")).poll(1, job("a"), job("b", progress=0.5), job("small"))

    assert watched.ids("job_stalled") == ["a"]
    assert watched.value("cluster_series_dropped") == 9


def test_a_bound_of_0_shows_no_job_and_still_counts_and_polls():
    watched = Watched(series_per_cluster=0).poll(0, job("1")).poll(30, job("1", FAILED), job("2"))
    scrape = watched.scrape()

    for family in (*JOB_FAMILIES, "job_failed"):
        assert scrape.named(f"milvus_import_{family}") == []
    assert scrape.value("milvus_import_cluster_series_dropped") > 0
    assert scrape.value("milvus_import_jobs_finished_total", state="failed") == 1
    assert scrape.value("milvus_import_cluster_up") == 1


def test_collections_have_a_bound_of_their_own():
    watched = Watched(series_per_cluster=15, bounds={"collection_series": 0})
    watched.poll(0, *(job(str(number), collection=f"c{number}") for number in range(5)))
    shown = watched.scrape().named("milvus_import_jobs")

    assert len(shown) == 3
    assert watched.value("cluster_series_dropped") > 0


def test_within_the_bound_of_collections_those_whose_latest_import_failed_come_first():
    watched = Watched(series_per_cluster=24, bounds={"collection_series": 0})
    watched.poll(
        0, *(job(str(number), FAILED if number == 4 else COMPLETED, collection=f"c{number}") for number in range(5))
    )
    outcomes = watched.scrape().named("milvus_import_collection_last_finished_failed")

    assert ("c4", 1) in [(labels["collection"], value) for labels, value in outcomes]
    assert len(outcomes) == 3


def test_where_the_order_of_finished_jobs_is_unknown_no_outcome_is_claimed():
    watched = Watched().poll(0, job("a", COMPLETED, complete_time=str(T - 60)), job("b", FAILED))

    assert watched.scrape().named("milvus_import_collection_last_finished_failed") == []
    assert watched.value("collection_last_completed_timestamp_seconds") == T - 60


def test_a_collection_that_is_first_seen_with_a_failed_job_is_scraped_with_0_before_it_counts():
    watched = Watched().poll(0)
    seen = watched.poll(30, job(state=FAILED)).value("jobs_finished_total", collection="books", state="failed")
    unchanged = watched.poll(60, job(state=FAILED)).value("jobs_finished_total", collection="books", state="failed")
    next_one = watched.poll(90, job(state=FAILED), job("2", FAILED))

    assert (seen, unchanged) == (0, 1)
    assert next_one.value("jobs_finished_total", collection="books", state="failed") == 2


def test_a_collection_that_nobody_has_scraped_waits_with_all_its_jobs_until_somebody_has():
    watched = Watched().poll(0).poll(30, job(state=FAILED)).poll(60, job(state=FAILED), job("2", FAILED))
    first = watched.value("jobs_finished_total", collection="books", state="failed")

    assert first == 0
    assert watched.poll(90).value("jobs_finished_total", collection="books", state="failed") == 2


def test_a_failure_counts_also_where_the_cluster_cannot_be_polled_afterwards():
    watched = Watched().poll(0).poll(30, job(state=FAILED))
    watched.scrape()
    watched.fail(60)

    assert watched.value("jobs_finished_total", collection="books", state="failed") == 1


def test_the_counters_of_collections_are_bounded():
    watched = Watched(bounds={"collections_limit": 2}).poll(
        0, *(job(str(number), collection=f"c{number}") for number in range(3))
    )
    watched.poll(30, *(job(str(number), COMPLETED, collection=f"c{number}") for number in range(3)))
    counted = watched.scrape().named("milvus_import_jobs_finished_total", state="completed")

    assert [(labels["collection"], value) for labels, value in counted] == [("c0", 1), ("c1", 1)]
    assert watched.value("job_transitions_total", from_state="importing", to_state="completed") == 3


def test_a_restored_snapshot_shows_its_failures_and_starts_its_counters_and_no_unfinished_jobs():
    before = Watched().poll(0, job("run"), job("ok")).poll(30, job("run"), job("bad", FAILED), job("ok", COMPLETED))
    watched = Watched()
    watched.metrics.restore(before.snapshot, T + 60)
    watched.last = T + 60

    assert watched.ids("job_failed") == ["bad"]
    assert watched.ids("job_state") == ["bad"]
    assert watched.value("collection_last_completed_timestamp_seconds") == T + 30
    assert watched.value("jobs_finished_total", state="failed") == 0
    watched.snapshot = before.snapshot
    assert watched.poll(90, job("run"), job("bad", FAILED), job("ok", COMPLETED)).ids("job_stalled") == ["run"]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_goes_and_changes_the_text_is_that_of_the_latest_snapshot(seed):
    chance = random.Random(seed)
    watched = Watched(series_per_cluster=chance.choice((20, 1000)), failed_retention=100.0)
    for at in range(0, 600, 30):
        states = (PENDING, IMPORTING, IMPORTING, COMPLETED, FAILED)
        listed = [str(number) for number in range(8) if chance.random() < 0.8]
        watched.poll(
            at,
            *(job(job_id, chance.choice(states), chance.choice((None, 0.1, 0.2, 0.3))) for job_id in listed),
            absent={str(number) for number in range(8) if chance.random() < 0.1} - {*listed},
        )
        anew = ClusterMetrics(watched.cluster, ())
        anew.restore(watched.snapshot, T + at)
        anew.poll_succeeded(
            poll(watched.snapshot, *watched.snapshot.listing.records.values(), now=T + at),
            now=T + at,
            duration=0.1,
            bad_records=0,
        )
        exposition = Exposition(CollectorRegistry())
        exposition.show([anew])
        both = [each.scrape("", T + at)[0].decode().splitlines() for each in (watched.exposition, exposition)]
        of_jobs = [sorted(line for line in lines if 'job_id="' in line) for lines in both]

        assert of_jobs[0] == of_jobs[1]


def test_what_was_recorded_in_a_poll_whose_text_failed_is_counted(monkeypatch):
    watched = Watched().poll(0, job("a"))
    with monkeypatch.context() as patch:
        patch.setattr("monitor.metrics.job_texts.recent_pace", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            watched.poll(30, job("a", FAILED))
    down = watched.fail(60)

    assert down.value("cluster_up") == 0
    assert watched.poll(90, job("a", FAILED)).ids("job_failed") == ["a"]
    assert watched.value("jobs_finished_total", state="failed") == 1


def test_new_settings_show_at_once_and_what_was_counted_stays():
    watched = Watched().poll(0, job())
    watched.metrics.reconfigure(cluster("http://other", name="prod", interval=60.0))
    watched.metrics.set_interval(60.0, 60.0)

    assert watched.value("cluster_info", url="http://other", api="v2") == 1
    assert watched.value("polls_total") == 1
    assert watched.ids("job_state", at=299) == ["1"]


def test_a_paused_cluster_shows_no_trouble_and_after_it_resumes_what_was_seen_last():
    watched = Watched(stall_after=60.0).poll(0, job("1"), job("2"), job("3"))
    watched.poll(120, job("1", FAILED, reason="timeout"), job("2"), job("3", COMPLETED))
    watched.metrics.pause(T + 130, show_failures=False)
    paused = watched.scrape(130)
    watched.metrics.resume()
    resumed = watched.scrape(131)

    gone = ("job_failed", "job_state", "job_stalled", "jobs", "cluster_up", "collection_last_finished_failed")
    assert {name: paused.named(f"milvus_import_{name}") for name in gone} == {name: [] for name in gone}
    assert paused.value("milvus_import_cluster_paused") == 1
    assert paused.value("milvus_import_polls_total") == 2
    assert paused.value("milvus_import_job_transitions_total", from_state="importing", to_state="failed") == 1
    assert resumed.value("milvus_import_job_state", job_id="2") == 1
    assert resumed.value("milvus_import_job_failed") == 1
    assert resumed.value("milvus_import_cluster_paused") == 0


def test_failures_of_a_cluster_that_is_gone_stay_for_their_retention():
    watched = Watched(failed_retention=3600.0, stall_after=60.0).poll(0, job("1"), job("2"))
    watched.poll(120, job("1", FAILED, reason="timeout"), job("2"))
    watched.metrics.pause(T + 3000, show_failures=True)
    shown = watched.ids("job_failed", 3000), watched.ids("job_state", 3000), watched.ids("job_stalled", 3000)
    watched.metrics.pause(T + 3800, show_failures=True)

    assert shown == (["1"], ["1"], [])
    assert watched.ids("job_failed", 3800) == []
