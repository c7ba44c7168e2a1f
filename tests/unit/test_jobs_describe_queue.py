"""Which jobs are described in a poll, and in which order."""

from itertools import pairwise

from monitor.jobs import JobList, JobState, PollResult, compare_lists, describe_queue
from tests.followed import FollowedCluster, answers, listed

PENDING, COMPLETED, FAILED = JobState.PENDING, JobState.COMPLETED, JobState.FAILED


def queue(cluster, *records, now=30.0, limit=10):
    listing, new_ids = compare_lists(cluster.snapshot, JobList({record.job_id: record for record in records}))
    finished = {job_id: cluster.finished[job_id] for job_id in new_ids if job_id in cluster.finished}
    return describe_queue(cluster.snapshot, PollResult(listing, new_ids, finished=finished), now, limit)


def polled(*records):
    cluster = FollowedCluster()
    cluster.poll(answers(*records), 0.0)
    return cluster


def test_unfinished_jobs_without_progress_are_described():
    records = listed("1"), listed("2", progress=0.5), listed("3", PENDING), listed("4", COMPLETED)

    assert queue(FollowedCluster(), *records) == ["1", "3"]


def test_a_missing_unfinished_job_is_described_and_a_finished_one_is_not():
    cluster = polled(listed("1", progress=0.5), listed("2", COMPLETED), listed("3", FAILED))

    assert queue(cluster) == ["1"]


def test_a_job_that_has_just_failed_without_a_reason_comes_first():
    cluster = polled(listed("1"), listed("2"), listed("3"))

    assert queue(cluster, listed("1"), listed("2"), listed("3", FAILED), limit=2)[0] == "3"
    assert queue(cluster, listed("1"), listed("9", FAILED), limit=1) == ["9"]


def test_a_failed_job_with_a_reason_is_not_described():
    assert queue(polled(listed("1")), listed("1", FAILED, reason="no such file")) == []


def test_a_failed_job_is_described_until_a_describe_is_answered():
    cluster = polled(listed("1", progress=0.5))
    failed = listed("1", FAILED)
    cluster.poll(answers(failed, unanswered={"1"}), 30)
    unanswered = queue(cluster, failed, now=60)
    cluster.poll(answers(failed, described=(failed,)), 60)

    assert (unanswered, queue(cluster, failed, now=90)) == (["1"], [])


def test_a_failed_job_whose_retention_has_passed_is_not_described():
    cluster = polled(listed("1", progress=0.5))
    failed = listed("1", FAILED)
    cluster.poll(answers(failed, unanswered={"1"}), 30)
    cluster.poll(answers(failed), 30 + 86_401)

    assert queue(cluster, failed, now=100_000) == []


def test_a_job_that_has_just_completed_is_described_once_for_its_rows():
    cluster = polled(listed("1", progress=0.5), listed("2", progress=0.5))
    completed = listed("1", COMPLETED), listed("2", COMPLETED, imported_rows=9), listed("3", COMPLETED)
    first = queue(cluster, *completed)
    cluster.poll(answers(*completed), 30)

    assert (sorted(first), queue(cluster, *completed)) == (["1", "3"], [])


def test_completed_jobs_of_which_the_store_cannot_say_whether_they_are_new_are_not_described():
    cluster = polled(listed("1"))
    listing, new_ids = compare_lists(
        cluster.snapshot, JobList({"1": listed("1", COMPLETED), "2": listed("2", COMPLETED)})
    )
    unknown = PollResult(listing, new_ids, finished={"2": None})

    assert describe_queue(cluster.snapshot, unknown, 30.0, 10) == ["1"]
    assert sorted(describe_queue(cluster.snapshot, PollResult(listing, new_ids), 30.0, 10)) == ["1", "2"]


def test_jobs_beyond_the_limit_wait_their_turn_longest_first():
    cluster = FollowedCluster()
    records = [listed(str(number)) for number in range(6)]
    described = []
    for poll in range(6):
        ids = queue(cluster, *records, now=30.0 * poll, limit=2)
        described.append(ids)
        cluster.poll(answers(*records, described=tuple(listed(job_id) for job_id in ids)), 30.0 * poll)

    assert described[:3] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert described[3:] == described[:3]


def test_a_job_whose_describe_does_harm_is_described_with_growing_pauses_and_this_is_reported_once():
    cluster = polled(listed("1"))
    now, described_at, reported = 0.0, [], []
    while now < 20_000:
        now += 30
        ids = queue(cluster, listed("1"), now=now)
        changes = cluster.poll(answers(listed("1"), harmful=set(ids)), now)
        described_at += [now] * len(ids)
        reported += [job.job_id for job in changes.describe_paused]

    pauses = [later - earlier for earlier, later in pairwise(described_at)]
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, *[3600] * 4]
    assert reported == ["1"]


def test_an_answer_ends_the_pauses():
    cluster = polled(listed("1"))
    for now in (30, 60):
        cluster.poll(answers(listed("1"), harmful={"1"}), now)
    paused = queue(cluster, listed("1"), now=90)
    cluster.poll(answers(listed("1"), described=(listed("1"),)), 120)

    assert (paused, queue(cluster, listed("1"), now=150)) == ([], ["1"])
