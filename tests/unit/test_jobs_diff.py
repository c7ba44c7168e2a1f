import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from monitor.jobs import (
    Difference,
    Failure,
    Job,
    JobState,
    Observation,
    Picture,
    StallLimits,
    diff,
)
from monitor.jobs import remembering as room

PENDING, IMPORTING, UNCOMMITTED, COMMITTING, COMPLETED, FAILED, VANISHED, UNKNOWN = JobState
LIMITS = StallLimits(stall_after=600, pending_after=1200, uncommitted_after=1800)


def job(job_id: str = "1", state: JobState = IMPORTING, progress: float | None = None, **facts: object) -> Job:
    return Job(job_id, str(facts.pop("collection", "books")), state, progress=progress, **facts)  # type: ignore[arg-type]


def seen(*jobs: Job, found: tuple[Job, ...] = (), gone: set[str] = frozenset(), asked: set[str] = frozenset()):  # type: ignore[assignment]
    return Observation(
        {one.job_id: one for one in jobs},
        {one.job_id: one for one in found},
        frozenset(gone),
        frozenset(asked) | frozenset(gone) | {one.job_id for one in found},
        frozenset(gone) | {one.job_id for one in found},
    )


def lives(*polls: Observation, start: float = 1000.0, step: float = 30.0) -> list[Difference]:
    """Poll a cluster that begins with an empty baseline."""
    picture = diff(None, seen(), start, LIMITS).picture
    differences = []
    for number, observation in enumerate(polls, 1):
        differences.append(diff(picture, observation, start + number * step, LIMITS))
        picture = differences[-1].picture
    return differences


def steps(difference: Difference) -> list[tuple[str | None, str]]:
    return [(step.from_state and step.from_state.value, step.to_state.value) for step in difference.transitions]


def test_the_first_poll_ever_is_a_baseline_and_no_news():
    difference = diff(None, seen(job("1", FAILED), job("2", IMPORTING)), 1000, LIMITS)

    assert difference.baseline
    assert difference.transitions == ()
    assert set(difference.picture.jobs) == {"1", "2"}


def test_a_new_job_is_a_transition_from_nothing():
    (first,) = lives(seen(job(state=PENDING)))

    assert steps(first) == [(None, "pending")]
    assert first.transitions[0].duration == 0


def test_a_life_is_told_step_by_step_and_each_step_once():
    told = lives(
        seen(job(state=PENDING)),
        seen(job(state=IMPORTING, progress=0.1)),
        seen(job(state=IMPORTING, progress=0.1)),
        seen(job(state=COMPLETED, progress=1.0)),
        seen(job(state=COMPLETED, progress=1.0)),
    )

    assert [steps(one) for one in told] == [
        [(None, "pending")],
        [("pending", "importing")],
        [],
        [("importing", "completed")],
        [],
    ]
    assert told[3].transitions[0].duration == 90


def test_a_short_job_may_be_seen_only_when_it_is_done():
    (first,) = lives(seen(job(state=COMPLETED)))

    assert steps(first) == [(None, "completed")]
    assert first.transitions[0].progress == 1.0


def test_a_failure_carries_the_servers_text_and_its_class():
    _, second = lives(seen(job()), seen(job(state=FAILED, progress=0.0, reason="stat /x: no such file or directory")))

    step = second.transitions[0]
    assert (step.to_state, step.failure, step.reason) == (
        FAILED,
        Failure.FILE_NOT_FOUND,
        "stat /x: no such file or directory",
    )


def test_a_failed_job_keeps_the_last_progress_seen():
    *_, last = lives(seen(job(progress=0.7)), seen(job(state=FAILED, progress=0.0)))

    assert last.transitions[0].progress == 0.7
    assert last.regressed == 0


def test_completed_then_failed_is_told_once_and_is_unexpected():
    told = lives(seen(job(state=COMPLETED)), seen(job(state=FAILED)), seen(job(state=FAILED)))

    assert [steps(one) for one in told[1:]] == [[("completed", "failed")], []]
    assert told[1].transitions[0].unexpected


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
    _, second = lives(seen(job(state=before)), seen(job(state=after)))

    assert second.transitions[0].unexpected is unexpected


def test_progress_forward_and_back_is_counted_and_is_no_transition():
    _, forward, back = lives(seen(job(progress=0.4)), seen(job(progress=0.6)), seen(job(progress=0.3)))

    assert (forward.progressed, forward.regressed, steps(forward)) == (1, 0, [])
    assert (back.progressed, back.regressed, steps(back)) == (0, 1, [])
    assert back.picture.jobs["1"].job.progress == 0.3


def test_what_an_answer_leaves_out_is_kept():
    full = job(progress=0.4, imported_rows=40, total_rows=100, created_at=5.0)
    _, second = lives(seen(full), seen(Job("1", "", IMPORTING)))

    assert second.picture.jobs["1"].job == full


def test_a_reason_that_comes_later_is_told_without_a_second_transition():
    _, _, third = lives(
        seen(job()), seen(job(state=FAILED)), seen(job(state=FAILED, reason="disk quota exceeded")), step=30
    )

    assert third.transitions == ()
    assert [one.job.reason for one in third.explained] == ["disk quota exceeded"]


# What disappears


def test_an_empty_list_makes_no_job_vanish():
    told = lives(seen(job()), seen(), seen(), seen(job()))

    assert [steps(one) for one in told] == [[(None, "importing")], [], [], []]
    assert [one.missing for one in told] == [0, 1, 1, 0]


def test_only_the_servers_word_makes_a_job_vanish():
    told = lives(seen(job(progress=0.5)), seen(gone={"1"}), seen(gone={"1"}))

    assert [steps(one) for one in told[1:]] == [[("importing", "vanished")], []]
    assert told[1].transitions[0].progress == 0.5


def test_a_missing_job_that_describe_finds_goes_on():
    told = lives(seen(job(progress=0.2)), seen(found=(job(progress=0.6),)), seen(found=(job(state=COMPLETED),)))

    assert [steps(one) for one in told[1:]] == [[], [("importing", "completed")]]
    assert told[1].picture.jobs["1"].job.progress == 0.6
    assert told[1].picture.jobs["1"].missing_since == 1060


def test_a_listed_job_does_not_vanish_though_describe_denies_it():
    told = lives(seen(job()), replace(seen(job()), gone=frozenset({"1"})))

    assert steps(told[1]) == []


def test_a_missing_finished_job_is_retired_and_its_return_is_no_news():
    told = lives(
        seen(job(state=COMPLETED), job("2", FAILED)), seen(gone={"2"}), seen(job(state=COMPLETED), job("2", FAILED))
    )

    assert told[1].picture.jobs["1"].retired
    assert [steps(one) for one in told[1:]] == [[], []]
    assert not told[2].picture.jobs["1"].retired


def test_a_retired_job_that_comes_back_in_another_state_is_told():
    *_, last = lives(seen(job(state=COMPLETED)), seen(), seen(job(state=FAILED)))

    assert steps(last) == [("completed", "failed")]


def test_a_vanished_job_that_comes_back_is_told_as_unexpected():
    *_, last = lives(seen(job()), seen(gone={"1"}), seen(job()))

    assert steps(last) == [("vanished", "importing")]
    assert last.transitions[0].unexpected


def test_a_retired_job_is_forgotten_after_a_week_and_a_failed_one_after_its_retention():
    picture = diff(None, seen(job("1", COMPLETED), job("2", FAILED)), 0, LIMITS).picture
    picture = diff(picture, seen(), 10, LIMITS).picture

    a_week_later = diff(picture, seen(), 10 + room.REMEMBERED_FOR + 1, LIMITS)
    with_retention = diff(picture, seen(), 10 + room.REMEMBERED_FOR + 1, LIMITS, failed_retention=30 * 86400)

    assert a_week_later.picture.jobs == {}
    assert set(with_retention.picture.jobs) == {"1", "2"}


def test_missing_jobs_are_remembered_only_up_to_a_limit_and_finished_ones_go_first(monkeypatch):
    monkeypatch.setattr(room, "REMEMBERED_LIMIT", 3)
    jobs = [job(str(number), COMPLETED if number < 3 else IMPORTING) for number in range(6)]
    _, second, later = lives(seen(*jobs), seen(), seen(), step=room.MAY_COME_BACK + 1)

    assert len(second.picture.jobs) == 6
    assert set(later.picture.jobs) == {"3", "4", "5"}
    assert (second.dropped, later.dropped) == (0, 3)
    assert later.transitions == ()


def test_one_empty_list_of_a_large_cluster_makes_no_old_job_new():
    jobs = [job(str(number), COMPLETED) for number in range(room.REMEMBERED_LIMIT + 2000)]
    told = lives(seen(*jobs), seen(), seen(), seen(*jobs))

    assert [steps(one) for one in told[1:]] == [[], [], []]


def test_however_many_go_missing_there_is_an_end(monkeypatch):
    monkeypatch.setattr(room, "MOST_REMEMBERED", 4)
    _, second = lives(seen(*(job(str(number)) for number in range(6))), seen())

    assert len(second.picture.jobs) == 4


# Stalls


def test_an_importing_job_without_progress_stalls_once_and_resumes_once():
    told = lives(*[seen(job(progress=0.8))] * 4, seen(job(progress=0.81)), step=300)

    assert [(len(one.stalled), len(one.resumed)) for one in told] == [(0, 0), (0, 0), (0, 0), (1, 0), (0, 1)]


def test_a_longer_limit_lets_a_stalled_job_go_though_the_list_says_the_same_again():
    stalled = lives(seen(job(progress=0.8)), seen(job(progress=0.8)), step=601)[-1].picture
    told = diff(stalled, Observation(stalled.said, told={}), 2300, StallLimits(stall_after=7200))

    assert stalled.jobs["1"].stalled
    assert not told.picture.jobs["1"].stalled
    assert len(told.resumed) == 1


def test_going_back_and_forth_is_no_progress():
    told = lives(*[seen(job(progress=value)) for value in (0.45, 0.40, 0.45, 0.40)], step=300)

    assert [len(one.stalled) for one in told] == [0, 0, 0, 1]


def test_imported_rows_are_progress_too():
    told = lives(*[seen(job(progress=0.4, imported_rows=rows)) for rows in (1, 2, 3, 4)], step=500)

    assert [len(one.stalled) for one in told] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("state", "limit"), [(PENDING, 1200), (IMPORTING, 600), (UNCOMMITTED, 1800), (COMMITTING, 600)]
)
def test_each_state_has_its_own_limit(state, limit):
    just_below = lives(*[seen(job(state=state, progress=0.1))] * 2, step=limit)
    just_above = lives(*[seen(job(state=state, progress=0.1))] * 2, step=limit + 1)

    assert [len(one.stalled) for one in just_below] == [0, 0]
    assert [len(one.stalled) for one in just_above] == [0, 1]


def test_silence_about_progress_is_no_proof_of_a_stall():
    told = lives(seen(job(progress=0.5)), *[seen(job())] * 10, step=600)

    assert [len(one.stalled) for one in told] == [0] * 11


def test_a_stalled_job_stays_so_while_nothing_is_heard_and_ends_with_a_change_of_state():
    told = lives(
        seen(job(progress=0.5)), seen(job(progress=0.5)), seen(), seen(job()), seen(job(state=COMPLETED)), step=700
    )

    assert [one.picture.jobs["1"].stalled for one in told] == [False, True, True, True, False]
    assert len(told[4].resumed) == 1


def test_a_clock_that_was_set_back_makes_no_negative_duration():
    _, second = lives(seen(job()), seen(job(state=COMPLETED)), step=-600)

    assert second.transitions[0].duration == 0


# Outcomes of collections


def outcome(difference: Difference, collection: str = "books"):
    return difference.picture.outcomes.get(("", collection))


def test_the_latest_finished_job_decides_the_outcome_of_a_collection():
    told = lives(
        seen(job("1", FAILED)),
        seen(job("1", FAILED), job("2", IMPORTING)),
        seen(job("1", FAILED), job("2", COMPLETED)),
    )

    assert [outcome(one).last_failed for one in told] == [True, True, False]
    assert [outcome(one).last_completed_at for one in told] == [None, None, 1090]


def test_a_baseline_orders_finished_jobs_by_time_or_by_id_and_else_says_nothing():
    by_time = diff(None, seen(job("b", FAILED, completed_at=5.0), job("a", COMPLETED, completed_at=9.0)), 10, LIMITS)
    by_id = diff(None, seen(job("450", FAILED), job("449", COMPLETED)), 10, LIMITS)
    by_creation = diff(None, seen(job("b", FAILED, created_at=5.0), job("a", COMPLETED, created_at=9.0)), 10, LIMITS)
    unknown = diff(None, seen(job("job-b", FAILED), job("job-a", COMPLETED)), 10, LIMITS)

    assert outcome(by_time).last_failed is False
    assert outcome(by_time).last_completed_at == 9.0
    assert outcome(by_id).last_failed is True
    assert outcome(by_creation).last_failed is False
    assert outcome(unknown).last_failed is None


def test_where_the_order_is_unknown_later_on_a_failure_does_not_hide():
    (first,) = lives(seen(job("job-a", COMPLETED), job("job-b", FAILED)))

    assert outcome(first).last_failed is True


def test_an_older_end_that_is_seen_later_is_not_the_latest():
    told = lives(
        seen(job("5", COMPLETED, completed_at=1020.0)),
        seen(job("5", COMPLETED, completed_at=1020.0), job("4", FAILED, completed_at=500.0)),
    )

    assert [outcome(one).last_failed for one in told] == [False, False]


def test_a_time_to_come_orders_nothing():
    jobs = (job("2", FAILED, completed_at=1.0), job("1", COMPLETED, completed_at=9e9))

    assert outcome(diff(None, seen(*jobs), 10, LIMITS)).last_failed is True


def test_a_collections_outcome_outlives_its_jobs():
    told = lives(seen(job(state=FAILED)), seen(), seen())

    assert outcome(told[2]).last_failed is True


def test_a_failure_seen_at_the_baseline_ended_when_the_server_says():
    picture = diff(None, seen(job(state=FAILED, completed_at=400.0)), 1000, LIMITS).picture
    later = diff(picture, seen(job(state=FAILED, completed_at=400.0)), 1030, LIMITS).picture

    assert picture.jobs["1"].finished_at == later.jobs["1"].finished_at == 400


def test_an_end_that_is_learned_later_corrects_the_one_that_was_assumed():
    picture = diff(None, seen(job(state=FAILED)), 1000, LIMITS).picture
    later = diff(picture, seen(job(state=FAILED, completed_at=400.0)), 1030, LIMITS).picture

    assert later.jobs["1"].finished_at == 400


# Whatever comes

ANY_JOB = st.builds(
    Job,
    job_id=st.sampled_from("abcd"),
    collection=st.sampled_from(["books", ""]),
    state=st.sampled_from([state for state in JobState if state is not VANISHED]),
    progress=st.none() | st.floats(0, 1),
    reason=st.sampled_from(["", "no such file"]),
    imported_rows=st.none() | st.integers(0, 10),
    completed_at=st.none() | st.floats(0, 5000),
)
ANY_POLL = st.builds(
    lambda listed, found, gone: seen(
        *{one.job_id: one for one in listed}.values(),
        found=tuple({one.job_id: one for one in found if one.job_id not in gone}.values()),
        gone=gone,
    ),
    st.lists(ANY_JOB, max_size=4),
    st.lists(ANY_JOB, max_size=2),
    st.frozensets(st.sampled_from("abcd"), max_size=2),
)


@given(st.lists(ANY_POLL, max_size=8))
def test_transitions_of_a_job_form_a_chain_and_vanishing_needs_the_servers_word(polls):
    picture: Picture | None = None
    last: dict[str, JobState] = {}
    for number, poll in enumerate(polls):
        difference = diff(picture, poll, 1000 + 30 * number, LIMITS)
        for step in difference.transitions:
            assert last.get(step.job_id) is step.from_state
            assert step.from_state is not step.to_state
            if step.to_state is VANISHED:
                assert step.job_id in poll.gone
                assert step.job_id not in poll.listed
        last = {job_id: tracked.job.state for job_id, tracked in difference.picture.jobs.items()}
        picture = difference.picture
        assert not any(tracked.stalled and tracked.finished for tracked in picture.jobs.values())


@given(ANY_POLL)
def test_the_same_answer_twice_changes_nothing(poll):
    first = diff(None, poll, 1000, LIMITS)
    again = diff(first.picture, replace(poll, asked=frozenset(), answered=frozenset()), 1030, LIMITS)

    assert again.transitions == ()
    assert {job_id: one.job for job_id, one in again.picture.jobs.items()} == {
        job_id: one.job for job_id, one in first.picture.jobs.items()
    }


def ended(at: float | None, **facts: object) -> Job:
    return job("old", FAILED, reason="no such file", completed_at=at, **facts)


@pytest.mark.parametrize(("at", "told"), [(1000 - 61.0, 0), (1000 - 59.0, 1), (1010.0, 1), (None, 1), (0.0, 1)])
def test_a_job_that_ended_before_the_baseline_and_is_listed_late_is_remembered_and_no_news(at, told):
    (late,) = lives(seen(ended(at)))

    assert len(late.transitions) == told
    assert late.picture.jobs["old"].job.state is FAILED
    assert late.changes_something


def test_a_job_that_was_followed_is_news_whenever_the_server_says_that_it_ended():
    _, end = lives(seen(job("old")), seen(ended(1.0)))

    assert steps(end) == [("importing", "failed")]


def test_where_the_baselines_time_is_not_known_every_end_is_news():
    picture = replace(diff(None, seen(), 1000, LIMITS).picture, baseline_at=None)

    assert steps(diff(picture, seen(ended(1.0)), 1030, LIMITS)) == [(None, "failed")]


def test_a_missing_job_without_a_verdict_is_stalled_after_the_limit_of_its_state_once():
    polls = lives(*[seen(job())], *[seen(asked={"1"}) for _ in range(24)], seen(gone={"1"}))

    stalled = [number for number, difference in enumerate(polls) if difference.stalled]
    assert stalled == [22]  # 600 s after the poll that missed it first
    assert all(difference.changed for difference in polls[22:23])
    assert [len(difference.resumed) for difference in polls[23:]] == [0, 0, 1]
    assert steps(polls[-1]) == [("importing", "vanished")]


def test_a_missing_job_that_was_waiting_long_before_is_not_stalled_at_once():
    polls = lives(seen(job()), *[seen(job()) for _ in range(30)], seen())

    assert not any(difference.stalled for difference in polls)


def test_a_job_whose_describes_keep_failing_is_stalled_and_goes_on_when_one_is_answered():
    told = seen(job(progress=0.1))
    answered = Observation({"1": job(progress=0.2)}, asked=frozenset({"1"}), answered=frozenset({"1"}))
    polls = lives(told, *[seen(job(), asked={"1"}) for _ in range(24)], answered)

    assert [number for number, difference in enumerate(polls) if difference.stalled] == [21]
    assert [number for number, difference in enumerate(polls) if difference.resumed] == [25]


def test_one_describe_that_fails_is_no_stall():
    polls = lives(seen(job(progress=0.1)), *[seen(job()) for _ in range(30)], seen(job(), asked={"1"}), seen(job()))

    assert not any(difference.stalled for difference in polls)
