from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.jobs import Failure, JobRecord, JobState, Policy, Snapshot, SnapshotDiff, normalize_state
from tests.followed import FollowedCluster, answers, listed

PENDING, IMPORTING, UNCOMMITTED, COMMITTING, COMPLETED, FAILED, VANISHED, UNKNOWN = JobState
POLICY = Policy(stall_after=600, pending_after=1200, uncommitted_after=1800)


def lives(*polls, start: float = 1000.0, step: float = 30.0) -> list[SnapshotDiff]:
    """Poll a cluster that begins with an empty baseline."""
    cluster = FollowedCluster(POLICY)
    cluster.poll(answers(), start)
    return [cluster.poll(poll, start + number * step) for number, poll in enumerate(polls, 1)]


def steps(changes: SnapshotDiff) -> list[tuple[str | None, str]]:
    return [(step.from_state and step.from_state.value, step.to_state.value) for step in changes.transitions]


def baseline(*records: JobRecord, at: float = 1000.0) -> SnapshotDiff:
    return FollowedCluster(POLICY).poll(answers(*records), at)


def test_the_first_poll_ever_is_a_baseline_and_no_news():
    changes = baseline(listed("1", FAILED), listed("2", IMPORTING))

    assert changes.baseline
    assert changes.transitions == ()
    assert {job.job_id for job in changes.changed} == {"1", "2"}


def test_a_new_job_is_a_transition_from_nothing():
    (first,) = lives(answers(listed(state=PENDING)))

    assert steps(first) == [(None, "pending")]
    assert first.transitions[0].duration == 0


def test_each_step_of_a_job_is_reported_once():
    polls = lives(
        answers(listed(state=PENDING)),
        answers(listed(state=IMPORTING, progress=0.1)),
        answers(listed(state=IMPORTING, progress=0.1)),
        answers(listed(state=COMPLETED, progress=1.0)),
        answers(listed(state=COMPLETED, progress=1.0)),
    )

    assert [steps(one) for one in polls] == [
        [(None, "pending")],
        [("pending", "importing")],
        [],
        [("importing", "completed")],
        [],
    ]
    assert polls[3].transitions[0].duration == 90


def test_a_short_job_may_be_seen_only_when_it_is_done():
    (first,) = lives(answers(listed(state=COMPLETED)))

    assert steps(first) == [(None, "completed")]
    assert first.transitions[0].progress == 1.0


def test_a_failure_carries_the_servers_text_and_its_class():
    _, second = lives(
        answers(listed()), answers(listed(state=FAILED, progress=0.0, reason="stat /x: no such file or directory"))
    )

    step = second.transitions[0]
    assert (step.to_state, step.failure, step.reason) == (
        FAILED,
        Failure.FILE_NOT_FOUND,
        "stat /x: no such file or directory",
    )


def test_a_failed_job_keeps_the_last_progress_answers():
    *_, last = lives(answers(listed(progress=0.7)), answers(listed(state=FAILED, progress=0.0)))

    assert last.transitions[0].progress == 0.7
    assert last.regressed == 0


def test_completed_then_failed_is_told_once_and_is_unexpected():
    polls = lives(answers(listed(state=COMPLETED)), answers(listed(state=FAILED)), answers(listed(state=FAILED)))

    assert [steps(one) for one in polls[1:]] == [[("completed", "failed")], []]
    assert polls[1].transitions[0].unexpected


@pytest.mark.parametrize(
    ("before", "after", "unexpected"),
    [
        (PENDING, COMPLETED, False),
        (IMPORTING, UNCOMMITTED, False),
        (UNCOMMITTED, COMMITTING, False),
        (COMMITTING, COMPLETED, False),
        (IMPORTING, UNKNOWN, False),
        (UNKNOWN, PENDING, False),
        (IMPORTING, PENDING, True),
        (COMMITTING, IMPORTING, True),
        (FAILED, COMPLETED, True),
        (FAILED, IMPORTING, True),
        (COMPLETED, FAILED, True),
    ],
)
def test_steps_out_of_an_end_or_backwards_are_unexpected(before, after, unexpected):
    _, second = lives(answers(listed(state=before)), answers(listed(state=after)))

    assert second.transitions[0].unexpected is unexpected


def test_progress_forward_and_back_is_counted_and_is_no_transition():
    _, forward, back = lives(
        answers(listed(progress=0.4)), answers(listed(progress=0.6)), answers(listed(progress=0.3))
    )

    assert (forward.progressed, forward.regressed, steps(forward)) == (1, 0, [])
    assert (back.progressed, back.regressed, steps(back)) == (0, 1, [])
    assert back.snapshot.tracked["1"].progress == 0.3


def test_what_an_answer_leaves_out_is_kept():
    full = listed(progress=0.4, imported_rows=40, total_rows=100, create_time="5")
    _, second = lives(answers(full), answers(listed(collection="")))

    job = second.snapshot.tracked["1"]
    assert (job.collection, job.progress, job.imported_rows, job.total_rows, job.created_at) == (
        "books",
        0.4,
        40,
        100,
        5.0,
    )


def test_the_first_reason_decides_the_class_of_a_failure():
    *_, third = lives(
        answers(listed()),
        answers(listed(state=FAILED, reason="stat /x: no such file or directory")),
        answers(listed(state=FAILED, reason="stat /x: no such file or directory; the import task has timed out")),
    )

    (job,) = third.changed
    assert job.failure is Failure.FILE_NOT_FOUND
    assert job.reason.endswith("timed out")
    assert (third.transitions, third.explained) == ((), ())


def test_a_reason_that_comes_later_is_told_without_a_second_transition():
    _, _, third = lives(
        answers(listed()),
        answers(listed(state=FAILED)),
        answers(listed(state=FAILED, reason="disk quota exceeded")),
        step=30,
    )

    assert third.transitions == ()
    assert [one.reason for one in third.explained] == ["disk quota exceeded"]


# What disappears


def test_an_empty_list_makes_no_job_vanish():
    polls = lives(answers(listed()), answers(), answers(), answers(listed()))

    assert [steps(one) for one in polls] == [[(None, "importing")], [], [], []]
    assert [one.missing for one in polls] == [0, 1, 1, 0]


def test_only_the_servers_word_makes_a_job_vanish():
    polls = lives(answers(listed(progress=0.5)), answers(absent={"1"}), answers(absent={"1"}))

    assert [steps(one) for one in polls[1:]] == [[("importing", "vanished")], []]
    assert polls[1].transitions[0].progress == 0.5


def test_a_missing_job_that_describe_finds_goes_on():
    polls = lives(
        answers(listed(progress=0.2)),
        answers(described=(listed(progress=0.6),)),
        answers(described=(listed(state=COMPLETED),)),
    )

    assert [steps(one) for one in polls[1:]] == [[], [("importing", "completed")]]
    assert polls[1].snapshot.tracked["1"].progress == 0.6
    assert polls[1].snapshot.tracked["1"].missing_since == 1060


def test_a_listed_job_does_not_vanish_though_describe_denies_it():
    polls = lives(answers(listed()), answers(listed(), absent={"1"}))

    assert steps(polls[1]) == []


def test_the_return_of_a_finished_job_that_was_missing_is_no_news():
    polls = lives(
        answers(listed(state=COMPLETED), listed("2", FAILED)),
        answers(),
        answers(listed(state=COMPLETED), listed("2", FAILED)),
    )

    assert polls[1].delisted_ids == ("1",)
    assert polls[1].snapshot.tracked["2"].missing_since == 1060
    assert [steps(one) for one in polls[1:]] == [[], []]
    assert polls[2].snapshot.tracked["2"].missing_since is None


def test_a_finished_job_that_comes_back_in_another_state_is_reported():
    *_, last = lives(answers(listed(state=COMPLETED)), answers(), answers(listed(state=FAILED)))

    assert steps(last) == [("completed", "failed")]


def test_a_vanished_job_that_comes_back_is_told_as_unexpected():
    *_, last = lives(answers(listed()), answers(absent={"1"}), answers(listed()))

    assert steps(last) == [("vanished", "importing")]
    assert last.transitions[0].unexpected


def test_a_failed_job_stays_tracked_for_its_retention_listed_or_not():
    cluster = FollowedCluster(replace(POLICY, failed_retention=100))
    cluster.poll(answers(listed("1", FAILED), listed("2", FAILED)), 0)
    cluster.poll(answers(listed("1", FAILED)), 60)
    before = cluster.poll(answers(listed("1", FAILED)), 90)
    after = cluster.poll(answers(listed("1", FAILED)), 110)

    assert set(before.snapshot.tracked) == {"1", "2"}
    assert (set(after.snapshot.tracked), set(after.removed_ids)) == (set(), {"1", "2"})


def test_a_completed_job_is_not_tracked():
    _, done = lives(answers(listed()), answers(listed(state=COMPLETED)))

    assert [job.state for job in done.changed] == [COMPLETED]
    assert done.snapshot.tracked == {}


def test_of_too_many_missing_jobs_finished_ones_and_those_missing_longest_go_first():
    cluster = FollowedCluster(replace(POLICY, missing_limit=2))
    cluster.poll(answers(listed("1"), listed("2"), listed("3"), listed("4", FAILED)), 0)
    cluster.poll(answers(listed("2"), listed("3"), listed("4", FAILED)), 30)
    gone = cluster.poll(answers(), 60)

    assert set(gone.snapshot.tracked) == {"2", "3"}
    assert gone.dropped == 2
    assert gone.transitions == ()


def test_one_empty_list_of_a_large_cluster_makes_no_old_job_new():
    jobs = [listed(str(number), COMPLETED) for number in range(12_000)]
    polls = lives(answers(*jobs), answers(), answers(), answers(*jobs))

    assert [steps(one) for one in polls[1:]] == [[], [], []]


# Stalls


def test_an_importing_job_without_progress_stalls_once_and_resumes_once():
    polls = lives(*[answers(listed(progress=0.8))] * 4, answers(listed(progress=0.81)), step=300)

    assert [(len(one.stalled), len(one.resumed)) for one in polls] == [(0, 0), (0, 0), (0, 0), (1, 0), (0, 1)]


def test_a_longer_limit_ends_a_stall_though_the_list_says_the_same_again():
    cluster = FollowedCluster(POLICY)
    cluster.poll(answers(listed(progress=0.8)), 1000)
    stalled = cluster.poll(answers(listed(progress=0.8)), 1601)
    resumed = cluster.poll(answers(listed(progress=0.8)), 1631, policy=Policy(stall_after=7200))

    assert [len(stalled.stalled), len(resumed.resumed)] == [1, 1]
    assert not cluster.job().stalled


def test_going_back_and_forth_is_no_progress():
    polls = lives(*[answers(listed(progress=value)) for value in (0.45, 0.40, 0.45, 0.40)], step=300)

    assert [len(one.stalled) for one in polls] == [0, 0, 0, 1]


def test_progress_that_fell_and_then_rises_steadily_is_progress():
    values = (0.55, 1.0, 0.70, 0.72, 0.75, 0.78, 0.82, 0.85, 0.88)
    polls = lives(*[answers(listed(progress=value)) for value in values], step=300)

    assert [number for number, changes in enumerate(polls) if changes.stalled] == []


def test_a_crash_loop_is_a_stall():
    polls = lives(*[answers(listed(progress=value)) for value in (0.1, 0.2, 0.3, 0.4) * 5], step=200)

    assert sum(len(changes.stalled) for changes in polls) == 1
    assert polls[-1].snapshot.tracked["1"].stalled


def test_imported_rows_are_progress_too():
    polls = lives(*[answers(listed(progress=0.4, imported_rows=rows)) for rows in (1, 2, 3, 4)], step=500)

    assert [len(one.stalled) for one in polls] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("state", "limit"), [(PENDING, 1200), (IMPORTING, 600), (UNCOMMITTED, 1800), (COMMITTING, 600)]
)
def test_each_state_has_its_own_limit(state, limit):
    just_below = lives(*[answers(listed(state=state, progress=0.1))] * 2, step=limit)
    just_above = lives(*[answers(listed(state=state, progress=0.1))] * 2, step=limit + 1)

    assert [len(one.stalled) for one in just_below] == [0, 0]
    assert [len(one.stalled) for one in just_above] == [0, 1]


def test_silence_about_progress_is_no_proof_of_a_stall():
    polls = lives(answers(listed(progress=0.5)), *[answers(listed())] * 10, step=600)

    assert [len(one.stalled) for one in polls] == [0] * 11


def test_a_stalled_job_stays_so_while_nothing_is_heard_and_ends_with_a_change_of_state():
    polls = lives(
        answers(listed(progress=0.5)),
        answers(listed(progress=0.5)),
        answers(),
        answers(listed()),
        answers(listed(state=COMPLETED)),
        step=700,
    )

    assert [one.snapshot.tracked["1"].stalled for one in polls[:4]] == [False, True, True, True]
    assert len(polls[4].resumed) == 1


def test_a_clock_that_was_set_back_makes_no_negative_duration():
    _, second = lives(answers(listed()), answers(listed(state=COMPLETED)), step=-600)

    assert second.transitions[0].duration == 0


# Outcomes of collections


def outcome(changes: SnapshotDiff, collection: str = "books"):
    return changes.snapshot.outcomes.get(("", collection))


def test_the_latest_finished_job_decides_the_outcome_of_a_collection():
    polls = lives(
        answers(listed("1", FAILED)),
        answers(listed("1", FAILED), listed("2", IMPORTING)),
        answers(listed("1", FAILED), listed("2", COMPLETED)),
    )

    assert [outcome(one).last_failed for one in polls] == [True, True, False]
    assert [outcome(one).last_completed_at for one in polls] == [None, None, 1090]


def test_a_baseline_orders_finished_jobs_by_time_or_by_id_and_else_says_nothing():
    by_time = baseline(listed("b", FAILED, complete_time="5"), listed("a", COMPLETED, complete_time="9"))
    by_id = baseline(listed("450", FAILED), listed("449", COMPLETED))
    by_creation = baseline(listed("b", FAILED, create_time="5"), listed("a", COMPLETED, create_time="9"))
    unknown = baseline(listed("job-b", FAILED), listed("job-a", COMPLETED))

    assert outcome(by_time).last_failed is False
    assert outcome(by_time).last_completed_at == 9.0
    assert outcome(by_id).last_failed is True
    assert outcome(by_creation).last_failed is False
    assert outcome(unknown).last_failed is None


def test_where_the_order_is_unknown_later_on_a_failure_does_not_hide():
    (first,) = lives(answers(listed("job-a", COMPLETED), listed("job-b", FAILED)))

    assert outcome(first).last_failed is True


def test_an_older_end_that_is_seen_later_is_not_the_latest():
    polls = lives(
        answers(listed("5", COMPLETED, complete_time="1020")),
        answers(listed("5", COMPLETED, complete_time="1020"), listed("4", FAILED, complete_time="500")),
    )

    assert [outcome(one).last_failed for one in polls] == [False, False]


def test_a_time_to_come_orders_nothing():
    jobs = (listed("2", FAILED, complete_time="1"), listed("1", COMPLETED, complete_time="9000000000"))

    assert outcome(baseline(*jobs, at=10)).last_failed is True


@pytest.mark.parametrize(
    ("reasons", "aborted"),
    [
        (["aborted by user"], True),
        (["collection 4633 dropped"], True),
        (["no such file"], False),
        (["no such file", "aborted by user"], False),  # the failure is open: an abort fills no collection
        (["no such file", "collection 4633 dropped"], True),  # there is no collection any more that lacks the data
        (["no such file", "", "aborted by user"], True),  # an empty one completes
        (["aborted by user", "no such file"], False),
    ],
)
def test_an_abort_or_a_drop_is_a_decision_unless_another_failure_is_open(reasons, aborted):
    running = [listed(str(number)) for number in range(len(reasons))]
    ended = [
        listed(str(number), FAILED if reason else COMPLETED, reason=reason) for number, reason in enumerate(reasons)
    ]
    polls = lives(*[answers(*ended[:number], *running[number:]) for number in range(len(reasons) + 1)])

    assert (outcome(polls[-1]).last_failed, outcome(polls[-1]).last_aborted) == (True, aborted)


@pytest.mark.parametrize(
    ("rows", "total", "incomplete"),
    [(0, 0, True), (0, None, True), (0, 500, True), (400, 500, True), (499, 500, False), (7, None, False)],
)
def test_a_job_that_completed_without_its_rows_is_reported_once_and_stays_tracked(rows, total, incomplete):
    described = (listed("1", COMPLETED, imported_rows=rows, total_rows=total),)
    _, completed, later = lives(
        answers(listed("1")), answers(listed("1", COMPLETED), described=described), answers(listed("1", COMPLETED))
    )

    assert [job.job_id for job in completed.incomplete] == ["1"] * incomplete
    assert later.incomplete == ()
    assert ("1" in later.snapshot.tracked) is incomplete


def test_rows_of_a_job_that_was_still_running_say_nothing_about_its_end():
    _, completed = lives(answers(listed("1", imported_rows=3, total_rows=500)), answers(listed("1", COMPLETED)))

    assert completed.incomplete == ()


def test_a_baseline_reports_no_incomplete_job():
    assert baseline(listed("1", COMPLETED, imported_rows=0)).incomplete == ()


def test_a_collections_outcome_outlives_its_jobs():
    polls = lives(answers(listed(state=FAILED)), answers(), answers())

    assert outcome(polls[2]).last_failed is True


def test_a_failure_seen_at_the_baseline_ended_when_the_server_says():
    cluster = FollowedCluster(POLICY)
    cluster.poll(answers(listed(state=FAILED, complete_time="400")), 1000)
    first = cluster.job().finished_at
    cluster.poll(answers(listed(state=FAILED, complete_time="400")), 1030)

    assert (first, cluster.job().finished_at) == (400, 400)


def test_an_end_that_is_learned_later_corrects_the_one_that_was_assumed():
    cluster = FollowedCluster(POLICY)
    cluster.poll(answers(listed(state=FAILED)), 1000)
    cluster.poll(answers(listed(state=FAILED, complete_time="400")), 1030)

    assert cluster.job().finished_at == 400


# Whatever comes

ANY_RECORD = st.builds(
    listed,
    job_id=st.sampled_from("abcd"),
    state=st.sampled_from([state for state in JobState if state is not VANISHED]),
    progress=st.none() | st.floats(0, 1),
    collection=st.sampled_from(["books", ""]),
    reason=st.sampled_from(["", "no such file"]),
    imported_rows=st.none() | st.integers(0, 10),
    complete_time=st.sampled_from(["", "1", "5000", "2024-04-01T06:17:55Z", "0001-01-01T00:00:00Z"]),
)
ANY_POLL = st.builds(
    lambda records, described, absent: answers(
        *{one.job_id: one for one in records}.values(),
        described=tuple({one.job_id: one for one in described if one.job_id not in absent}.values()),
        absent=absent,
    ),
    st.lists(ANY_RECORD, max_size=4),
    st.lists(ANY_RECORD, max_size=2),
    st.frozensets(st.sampled_from("abcd"), max_size=2),
)


@given(st.lists(ANY_POLL, max_size=8))
def test_transitions_of_a_job_form_a_chain_and_vanishing_needs_the_servers_word(polls):
    cluster = FollowedCluster(POLICY)
    last: dict[str, JobState] = {}
    for number, poll in enumerate(polls):
        changes = cluster.poll(poll, 1000 + 30 * number)
        for step in changes.transitions:
            assert last.get(step.job_id) is step.from_state
            assert step.from_state is not step.to_state
            if step.to_state is VANISHED:
                assert step.job_id in poll.absent
                assert step.job_id not in {record.job_id for record in poll.records}
        last |= {job.job_id: job.state for job in changes.changed}
        assert not any(job.stalled and job.finished for job in changes.changed)
        assert all(job.finished or job.job_id in changes.snapshot.tracked for job in changes.changed)


@given(st.lists(ANY_POLL, max_size=8))
def test_a_list_counts_each_of_its_jobs_once(polls):
    cluster = FollowedCluster(POLICY)
    for number, poll in enumerate(polls):
        snapshot = cluster.poll(poll, 1000 + 30 * number).snapshot
        tracked = [job for job in snapshot.tracked.values() if job.job_id in snapshot.listing.records]
        finished = [record for record in poll.records if record.job_id not in snapshot.tracked]
        assert snapshot.counts == Counter(
            [("", job.collection, job.state) for job in tracked]
            + [("", record.collection, normalize_state(record.state)) for record in finished]
        )


def test_a_finished_job_is_counted_for_the_collection_that_the_list_names_by_now():
    cluster = FollowedCluster(POLICY)
    cluster.poll(answers(JobRecord("1", "Pending", "books")), 1000)
    cluster.poll(answers(JobRecord("1", "Completed", "")), 1030)
    named = cluster.poll(answers(JobRecord("1", "Completed", "books", complete_time="1")), 1060)

    assert named.snapshot.counts == {("", "books", COMPLETED): 1}


@given(ANY_POLL)
def test_the_same_answer_twice_changes_nothing(poll):
    cluster = FollowedCluster(POLICY)
    cluster.poll(poll, 1000)
    again = cluster.poll(answers(*poll.records), 1030)

    assert again.transitions == ()
    assert not again.must_be_recorded or again.resumed


def ended(at: float | None, **fields: object) -> JobRecord:
    return listed("old", FAILED, reason="no such file", complete_time="" if at is None else str(at), **fields)


@pytest.mark.parametrize(("at", "reported"), [(1000 - 61.0, 0), (1000 - 59.0, 1), (1010.0, 1), (None, 1), (0.0, 1)])
def test_a_job_that_ended_before_the_baseline_and_is_listed_late_is_remembered_and_no_news(at, reported):
    (late,) = lives(answers(ended(at)))

    assert len(late.transitions) == reported
    assert [job.state for job in late.changed] == [FAILED]


def test_a_job_that_was_followed_is_news_whenever_the_server_says_that_it_ended():
    _, end = lives(answers(listed("old")), answers(ended(1.0)))

    assert steps(end) == [("importing", "failed")]


def test_where_the_baselines_time_is_not_known_every_end_is_news():
    cluster = FollowedCluster(POLICY, snapshot=Snapshot(baseline_at=None))

    assert steps(cluster.poll(answers(ended(1.0)), 1030)) == [(None, "failed")]


def test_a_missing_job_without_a_verdict_is_stalled_after_the_limit_of_its_state_once():
    polls = lives(*[answers(listed())], *[answers(unanswered={"1"}) for _ in range(24)], answers(absent={"1"}))

    stalled = [number for number, changes in enumerate(polls) if changes.stalled]
    assert stalled == [22]  # 600 s after the poll that missed it first
    assert all(changes.changed for changes in polls[22:23])
    assert [len(changes.resumed) for changes in polls[23:]] == [0, 0, 1]
    assert steps(polls[-1]) == [("importing", "vanished")]


def test_a_missing_job_that_was_waiting_long_before_is_not_stalled_at_once():
    polls = lives(answers(listed()), *[answers(listed()) for _ in range(30)], answers())

    assert not any(changes.stalled for changes in polls)


def test_a_job_whose_describes_keep_failing_is_stalled_and_goes_on_when_one_is_answered():
    first = answers(listed(progress=0.1))
    answered = answers(listed(), described=(listed(progress=0.2),))
    polls = lives(first, *[answers(listed(), unanswered={"1"}) for _ in range(24)], answered)

    assert [number for number, changes in enumerate(polls) if changes.stalled] == [21]
    assert [number for number, changes in enumerate(polls) if changes.resumed] == [25]


def test_one_describe_that_fails_is_no_stall():
    polls = lives(
        answers(listed(progress=0.1)),
        *[answers(listed()) for _ in range(30)],
        answers(listed(), unanswered={"1"}),
        answers(listed()),
    )

    assert not any(changes.stalled for changes in polls)
