"""The chart of a job's progress: points in, SVG out."""

import math
import re
from xml.etree import ElementTree as ET

import pytest

from monitor.jobs import Job, JobState, Policy
from monitor.store import ProgressSample
from monitor.web.progress import follow_progress
from monitor.web.progress_chart import describe, progress_chart, progress_curve

PENDING, IMPORTING, FAILED, COMPLETED = JobState.PENDING, JobState.IMPORTING, JobState.FAILED, JobState.COMPLETED
POLICY = Policy(stall_after=1800.0, pending_after=3600.0)
START = 1_750_075_200.0  # 2025-06-16 12:00 UTC


def job(state=IMPORTING, progress=0.5, since=0.0, moved=0.0, **facts):
    return Job("1", "books", state, START, START + since, START + moved, progress=progress, **facts)


def at(seconds, progress, state=IMPORTING):
    return ProgressSample(START + seconds, state, progress)


def known(a_job, *points, now=600.0):
    return follow_progress(a_job, points, POLICY, START + now)


def drawn(progress):
    return ET.fromstring(progress_chart(progress))


def path(progress, name):
    found = [one.get("d") for one in drawn(progress).iter("path") if one.get("class").startswith(name)]
    return found[0] if found else ""


def test_the_line_keeps_each_progress_until_the_next_one():
    progress = known(job(progress=0.5, moved=300), at(0, 0.0, PENDING), at(60, 0.1), at(300, 0.5))

    assert path(progress, "line") == "M0.0 150.0H100.0V135.0H500.0V75.0H1000.0"
    assert path(progress, "area") == "M0.0 150.0H100.0V135.0H500.0V75.0H1000.0V150H0.0Z"
    assert [(span.state, span.seconds) for span in progress.phases] == [(PENDING, 60.0), (IMPORTING, 540.0)]
    assert [rect.get("width") for rect in drawn(progress).iter("rect")] == ["10%", "90%"]
    assert describe(progress) == (
        "From 2025-06-16 12:00 to 2025-06-16 12:10 UTC: pending for 1 min, importing for 9 min. Progress: 50 %."
    )


def test_the_estimate_is_a_cone_that_begins_at_the_latest_progress():
    samples = tuple((START + 60.0 * number, number / 10) for number in range(6))
    progress = known(job(progress=0.5, moved=300, samples=samples), now=300)

    assert progress.seconds_left == pytest.approx(300)
    assert path(progress, "estimate") == "M500.0 75.0L1000.0 0.0"
    assert path(progress, "cone") == "M500.0 75.0L857.1 0.0L1000.0 0.0L1000.0 21.4Z"
    assert describe(progress).endswith("About 5 min left, often between 3 min 34 s and 7 min.")


def test_an_estimate_that_is_far_away_leaves_half_of_the_chart_to_the_past():
    samples = tuple((START + 60.0 * number, number / 1000) for number in range(6))
    progress = known(job(progress=0.005, moved=300, samples=samples), now=300)

    assert path(progress, "cone").startswith("M500.0 149.2L1000.0 148.2L1000.0 148.7Z")


def test_times_without_progress_are_marked_past_and_present():
    progress = known(job(progress=0.5, moved=4000, stalled=True), at(0, 0.1), at(4000, 0.5), now=8000)
    chart = drawn(progress)
    grounds = [rect for rect in chart.iter("rect") if rect.get("class") == "standstill"]

    assert [(ground.get("x"), ground.get("width")) for ground in grounds] == [("0%", "50%"), ("50%", "50%")]
    assert [ground.find("title").text for ground in grounds] == [
        "no progress for 1 h 6 min",
        "no progress for 1 h 6 min",
    ]
    assert describe(progress).count("No progress for 1 h 6 min while importing.") == 2
    assert "no progress for 1 h 6 min" in progress_curve(progress)
    assert "stalled" not in progress_curve(known(job(progress=0.5, moved=4000), at(0, 0.1), at(4000, 0.5), now=4100))


def test_a_job_that_failed_ends_with_a_sign_and_not_only_a_colour():
    failed = job(FAILED, 0.3, since=120, moved=120, finished_at=START + 120)
    progress = known(failed, at(0, 0.3), now=99_999)
    sign = [text for text in drawn(progress).iter("text") if text.get("class") == "mark failed"]

    assert progress.end == START + 120
    assert [(text.text, text.get("x")) for text in sign] == [("✕", "100%")]


def test_a_job_with_a_single_point_is_a_line_and_a_dot():
    progress = known(job(progress=0.25), now=0)

    assert path(progress, "line") == "M0.0 112.5H0.0"
    assert [dot.get("cx") for dot in drawn(progress).iter("circle")] == ["0%"]
    assert path(known(job(progress=0.25), now=60), "line") == "M0.0 112.5H1000.0"


def test_without_any_progress_there_are_only_states():
    progress = known(job(progress=None))

    assert path(progress, "line") == ""
    assert describe(progress).endswith("No progress reported.")
    assert progress_curve(progress) == ""
    assert [rect.get("class") for rect in drawn(progress).iter("rect")] == ["shape importing"]


def test_a_job_that_has_not_begun_has_no_small_curve():
    assert progress_curve(known(job(PENDING, 0.0), at(0, 0.0, PENDING))) == ""


def test_points_in_any_order_and_twice_are_one_line():
    points = [at(300, 0.5), at(60, 0.1), at(60, 0.1), at(120, 0.1), at(180, None)]

    assert path(known(job(progress=0.5, moved=300), *points), "line") == "M100.0 135.0H500.0V75.0H1000.0"


@pytest.mark.parametrize("progress", [-5.0, 17.0, math.nan, math.inf, -math.inf, 1e300])
def test_no_number_leaves_the_chart(progress):
    chart = known(job(progress=progress, moved=60), at(0, progress), at(30, 0.5))
    heights = [float(y) for y in re.findall(r"[VM ](-?[\d.]+)(?=[HVL]|$)", path(chart, "line"))]

    assert "nan" not in progress_chart(chart) + progress_curve(chart)
    assert "inf" not in progress_chart(chart)
    assert heights
    assert all(0 <= y <= 1000 for y in heights)


@pytest.mark.parametrize("step", [-1e9, -3600.0, 3600.0, 1e8])
def test_a_clock_that_steps_draws_something_in_the_chart(step):
    chart = known(job(progress=0.5, moved=step, stalled=True), at(60, 0.1), at(step, 0.5), now=60 + step)
    xs = [float(x) for x in re.findall(r"[MH](-?[\d.]+)", path(chart, "line"))]

    assert xs == sorted(xs)
    assert all(0 <= x <= 1000 for x in xs)
    assert all(span.seconds >= 0 for span in chart.phases)


@pytest.mark.parametrize("damaged", [-1e300, 1e300, math.inf, math.nan, 0.0])
def test_a_point_at_a_time_that_cannot_be_is_left_out(damaged):
    points = [ProgressSample(damaged, IMPORTING, 0.9), at(60, 0.1)]

    assert path(known(job(progress=0.5, moved=300), *points), "line") == "M100.0 135.0H500.0V75.0H1000.0"


def test_of_thousands_of_points_200_are_drawn_the_first_and_the_last_among_them():
    points = [at(number, number / 10_000) for number in range(5000)]
    progress = known(job(progress=0.4999, moved=4999), *points, now=5000)

    assert len(progress.points) == 200
    assert (progress.points[0], progress.points[-1]) == (points[0], points[-1])
    assert progress_curve(progress).count("V") < 40


def test_a_small_curve_says_what_it_shows():
    curve = ET.fromstring(progress_curve(known(job(progress=0.5, moved=300), at(0, 0.0), at(300, 0.5))))

    assert (curve.get("role"), curve.find("title").text) == ("img", "50 % in 10 min")
    assert curve.findall("path")[1].get("d") == "M0.0 21.0H48.0V11.0H96.0"
