"""Estimates of the time left."""

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from monitor.jobs import JobState, eta_seconds
from monitor.jobs.eta import SAMPLES
from tests.followed import FollowedCluster, answers, listed

SAMPLES_FOLDER = Path(__file__).parents[1] / "samples"


def tracked(*points):
    """Return an importing job after some (time, progress) points."""
    cluster = FollowedCluster()
    for now, progress in points:
        cluster.poll(answers(listed("1", progress=progress)), now)
    return cluster.job()


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
    cluster, errors = FollowedCluster(), {}
    for at, _, percent in life:
        cluster.poll(answers(listed("1", progress=None if percent is None else int(percent) / 100)), at)
        estimate = eta_seconds(cluster.job(), at)
        if estimate is not None:
            errors[at] = abs(estimate - (end - at))

    assert min(errors) > end / 2
    assert max(errors.values()) < 0.2 * end


def test_a_job_that_stands_still_has_no_estimate():
    assert eta_seconds(tracked((0, 0.0), (30, 0.1), (60, 0.2), (120, 0.2), (180, 0.2)), 180) is None


def test_a_step_back_begins_the_estimate_anew():
    assert eta_seconds(tracked((0, 0.0), (30, 0.3), (60, 0.6), (90, 0.2)), 90) is None


def test_only_an_importing_job_has_an_estimate():
    steady = tracked((0, 0.0), (30, 0.1), (60, 0.2))

    assert eta_seconds(replace(steady, state=JobState.UNCOMMITTED), 60) is None


def test_only_the_recent_pace_counts():
    points = [(30 * number, number / 100) for number in range(50)]

    assert len(tracked(*points).samples) == SAMPLES
