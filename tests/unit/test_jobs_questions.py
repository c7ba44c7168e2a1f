import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from monitor.jobs import Job, JobState, Observation, Picture, StallLimits, diff, eta_seconds, questions
from monitor.jobs.estimate import SAMPLES

SAMPLES_FOLDER = Path(__file__).parents[1] / "samples"
PENDING, IMPORTING, COMPLETED, FAILED = JobState.PENDING, JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED


def job(job_id, state=IMPORTING, **facts):
    return Job(job_id, "books", state, **facts)


def listed(*jobs):
    return {one.job_id: one for one in jobs}


def picture(*jobs, now=0.0, previous=None, asked=(), answered=()):
    seen = Observation(listed(*jobs), asked=frozenset(asked), answered=frozenset(answered))
    return diff(previous, seen, now, StallLimits()).picture


def test_unfinished_jobs_without_progress_are_asked_about():
    jobs = listed(job("1"), job("2", progress=0.5), job("3", PENDING), job("4", COMPLETED))

    assert questions(None, jobs, 0, 10) == ["1", "3"]


def test_a_missing_unfinished_job_is_asked_about_and_a_finished_one_is_not():
    before = picture(job("1", progress=0.5), job("2", COMPLETED), job("3", FAILED))

    assert questions(before, {}, 30, 10) == ["1"]


def test_a_newly_failed_job_without_a_reason_comes_first():
    before = picture(job("1"), job("2"), job("3"))

    assert questions(before, listed(job("1"), job("2"), job("3", FAILED)), 30, 2)[0] == "3"
    assert questions(before, listed(job("1"), job("9", FAILED)), 30, 1) == ["9"]


def test_a_failed_job_with_a_reason_is_not_asked_about():
    before = picture(job("1"))

    assert questions(before, listed(job("1", FAILED, reason="no such file")), 30, 10) == []


def test_a_failed_job_is_asked_about_until_it_is_answered():
    failed = job("1", FAILED)
    before = picture(failed, now=30, previous=picture(job("1", progress=0.5)), asked=["1"])
    answered = picture(failed, now=60, previous=before, asked=["1"], answered=["1"])

    assert questions(before, listed(failed), 60, 10) == ["1"]
    assert questions(answered, listed(failed), 90, 10) == []


def test_what_is_left_waits_its_turn_oldest_first():
    jobs = listed(*(job(str(number)) for number in range(6)))
    before: Picture | None = None
    asked = []
    for poll in range(6):
        now = 30.0 * poll
        turn = questions(before, jobs, now, 2)
        asked.append(turn)
        before = diff(
            before, Observation(jobs, asked=frozenset(turn), answered=frozenset(turn)), now, StallLimits()
        ).picture

    assert asked[:3] == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert asked[3:] == asked[:3]


# Estimates


def tracked(*points, state=IMPORTING):
    before = None
    for now, progress in points:
        before = picture(job("1", state, progress=progress), now=now, previous=before)
    return before.jobs["1"]


def test_the_time_left_follows_the_jobs_own_pace():
    steady = tracked((0, 0.0), (30, 0.1), (60, 0.2), (90, 0.3))

    assert eta_seconds(steady, 90) == 210
    assert eta_seconds(steady, 100) == 200


def test_two_points_are_not_enough_for_an_estimate():
    assert eta_seconds(tracked((0, 0.0), (30, 0.1)), 30) is None


def test_a_phase_that_stood_still_is_no_part_of_the_pace():
    before = [(30 * number, number / 100) for number in range(5)]
    after = [(3000 + 30 * number, (4 + number) / 100) for number in range(1, 4)]

    assert eta_seconds(tracked(*before, *after), 3090) == pytest.approx(93 * 30)


def test_one_step_after_a_phase_that_stood_still_is_not_enough():
    assert eta_seconds(tracked((0, 0.1), (600, 0.11), (630, 0.12)), 630) is None
    assert eta_seconds(tracked((0, 0.1), (600, 0.11), (630, 0.12), (660, 0.13)), 660) == pytest.approx(87 * 30)


def test_steps_too_small_for_a_number_make_no_estimate():
    assert eta_seconds(tracked((0, 0.0), (30, 1e-312), (60, 2e-312)), 60) is None
    assert eta_seconds(tracked((0, 0.0), (30, 5e-324), (60, 1e-323)), 60) is None


def test_a_clock_that_was_set_back_makes_no_estimate():
    assert eta_seconds(tracked((9000, 0.1), (30, 0.11), (0, 0.12)), 0) is None


def test_the_recorded_life_of_a_real_import_has_an_estimate_in_its_second_half_and_it_is_near():
    *life, (end, _, _) = json.loads((SAMPLES_FOLDER / "milvus-2.3.5-life.json").read_text())
    before, errors = None, {}
    for at, _, percent in life:
        before = picture(job("1", progress=None if percent is None else int(percent) / 100), now=at, previous=before)
        said = eta_seconds(before.jobs["1"], at)
        if said is not None:
            errors[at] = abs(said - (end - at))

    assert min(errors) > end / 2
    assert max(errors.values()) < 0.2 * end


def test_a_job_that_stands_still_has_no_estimate():
    assert eta_seconds(tracked((0, 0.0), (30, 0.1), (60, 0.2), (120, 0.2), (180, 0.2)), 180) is None


def test_a_step_back_begins_the_estimate_anew():
    assert eta_seconds(tracked((0, 0.0), (30, 0.3), (60, 0.6), (90, 0.2)), 90) is None


def test_only_an_importing_job_has_an_estimate():
    steady = tracked((0, 0.0), (30, 0.1), (60, 0.2))

    assert eta_seconds(replace(steady, job=replace(steady.job, state=JobState.UNCOMMITTED)), 60) is None


def test_only_the_recent_pace_counts():
    points = [(30 * number, number / 100) for number in range(50)]

    assert len(tracked(*points).samples) == SAMPLES
