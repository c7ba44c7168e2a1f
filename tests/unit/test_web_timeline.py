"""The timelines and the durations of imports: bars in, SVG out."""

import random
from xml.etree import ElementTree as ET

import pytest

from monitor.jobs import Job, JobState
from monitor.web.timeline import (
    BARS_DRAWN,
    ROWS_DRAWN,
    Bar,
    Window,
    duration_chart,
    job_bar,
    latest,
    median_duration,
    timeline,
)

IMPORTING, COMPLETED, FAILED, VANISHED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED, JobState.VANISHED
EVIL = "</title><script>alert('x')</script>\"&\N{RIGHT-TO-LEFT OVERRIDE}gpj"
START, END = 1_750_075_200.0, 1_750_161_600.0  # a day
HOUR = 3600.0


def during(first, last, state=COMPLETED, job_id="1", **facts):
    """An import between two hours of the day."""
    return Bar(START + first * HOUR, START + last * HOUR, state, job_id, **facts)


def shapes(svg, kind="shape"):
    found = [rect for rect in ET.fromstring(svg).iter("rect") if rect.get("class").split()[0] == kind]
    return [(rect.get("x"), rect.get("width"), rect.get("y")) for rect in found]


def texts(svg, kind):
    return [text for text in ET.fromstring(svg).iter("text") if (text.get("class") or "").startswith(kind)]


def test_each_import_is_a_bar_by_state_in_the_row_of_its_collection():
    bars = [
        during(0, 6, row="books"),
        during(12, 18, FAILED, "2", row="films"),
        during(18, 24, IMPORTING, "3", row="books"),
    ]
    svg = timeline("day", bars, START, END)
    parsed = ET.fromstring(svg)

    assert [(rect.get("x"), rect.get("width"), rect.get("fill")) for rect in parsed.iter("rect")] == [
        ("0%", "25%", "url(#of-completed)"),
        ("75%", "25%", "url(#of-importing)"),
        ("50%", "25%", "url(#of-failed)"),
    ]
    assert [text.find("title").text for text in texts(svg, "row")] == ["books", "films"]
    assert [(sign.text, sign.get("x")) for sign in texts(svg, "mark")] == [("✕", "75%")]
    assert parsed.find("title").text == "Imports from Jun 16 12:00 to Jun 17 12:00 UTC"
    assert parsed.find("desc").text == "1 completed, 1 failed, 1 importing, in 2 collections."
    assert next(parsed.iter("rect")).find("title").text == "1: completed, 6 h, from Jun 16 12:00 UTC"


def test_imports_at_the_same_time_are_below_each_other():
    svg = timeline("day", [during(0, 4), during(2, 6), during(4, 5), during(1, 2)], START, END)
    heights = [float(y) for _, _, y in shapes(svg)]

    assert heights == [4.0, 18.0, 18.0, 4.0]


def test_very_many_at_the_same_time_take_a_bounded_height():
    svg = timeline("day", [during(0, 10, job_id=str(number)) for number in range(BARS_DRAWN)], START, END)

    assert len(shapes(svg)) == BARS_DRAWN
    assert float(ET.fromstring(svg).get("height")) < 120


def test_collections_without_a_row_of_their_own_share_the_last_one():
    bars = [during(number / 100, 1 + number / 100, row=f"c{number:02d}") for number in range(40)]
    svg = timeline("day", bars, START, END)
    names = [text.find("title").text for text in texts(svg, "row")]

    assert len(names) == ROWS_DRAWN
    assert names[0] == "c29"
    assert names[-1] == "29 other collections"
    assert len(shapes(svg)) == 40


def test_what_began_earlier_or_is_over_before_is_cut_off_or_left_out():
    bars = [during(-9, 12), during(-9, -1), during(25, 26), during(6, 6)]

    assert [(x, width) for x, width, _ in shapes(timeline("day", bars, START, END))] == [("0%", "50%"), ("25%", "0.4%")]


def test_windows_of_expected_imports_are_behind_the_bars():
    windows = [
        Window(START + 6 * HOUR, START + 12 * HOUR, "books", "nightly"),
        Window(START + 18 * HOUR, START + 30 * HOUR, "films"),
        Window(START - 9 * HOUR, START - 1 * HOUR, "books"),
    ]
    svg = timeline("day", [during(6, 9, row="books")], START, END, windows)
    order = [rect.get("class") for rect in ET.fromstring(svg).iter("rect")]

    assert [(x, width) for x, width, _ in shapes(svg, "window")] == [("25%", "25%"), ("75%", "25%")]
    assert order == ["window", "shape completed", "window"]
    assert "nightly expected: Jun 16 18:00 to Jun 17 00:00 UTC" in svg


def test_names_from_outside_stay_text():
    svg = timeline("day", [during(0, 1, job_id=EVIL, row=EVIL * 9)], START, END, [Window(START, END, EVIL, EVIL)])
    svg += duration_chart([during(0, 1, job_id=EVIL)])

    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


def test_an_empty_timeline_says_so():
    parsed = ET.fromstring(timeline("day", [], START, END))

    assert parsed.find("desc").text == "No imports."


@pytest.mark.parametrize(("start", "end"), [(START, START), (END, START), (0.0, 2.5e11)])
def test_times_of_any_kind_draw_within_the_chart(start, end):
    bars = [Bar(first, last, COMPLETED, "1") for first in (0.0, START, 2.5e11) for last in (0.0, START, 2.5e11)]
    for x, width, _ in shapes(timeline("day", bars, start, end)):
        assert 0 <= float(x[:-1]) <= 100
        assert 0 < float(width[:-1]) <= 100


def job(state, first_seen, finished_at=None, created_at=None, **facts):
    return Job("1", "books", state, first_seen, 0, 0, finished_at=finished_at, created_at=created_at, **facts)


def test_the_bar_of_a_job_is_from_when_it_was_seen_until_it_finished_or_now():
    assert job_bar(job(IMPORTING, 100.0, stalled=True), 300.0) == Bar(100.0, 300.0, IMPORTING, "1", stalled=True)
    assert job_bar(job(FAILED, 100.0, 250.0, 10.0), 300.0, "books") == Bar(100.0, 250.0, FAILED, "1", row="books")
    assert job_bar(job(COMPLETED, 250.0, 250.0, 10.0), 300.0) == Bar(10.0, 250.0, COMPLETED, "1")
    assert job_bar(job(COMPLETED, 260.0, 250.0), 300.0) == Bar(250.0, 250.0, COMPLETED, "1", known_start=False)
    assert job_bar(job(IMPORTING, 400.0), 300.0) == Bar(300.0, 300.0, IMPORTING, "1")  # the clock went back


def test_the_latest_bars_are_those_that_end_last():
    bars = [during(number, number + 1, job_id=str(number)) for number in range(9)]
    random.Random(1).shuffle(bars)

    assert [bar.job_id for bar in latest(bars, 3)] == ["6", "7", "8"]


def test_durations_are_columns_with_the_latest_on_the_right():
    bars = [during(0, 1), during(2, 4, FAILED, "2"), during(5, 5, VANISHED, "3")]
    svg = duration_chart(bars, 1.5 * HOUR)
    parsed = ET.fromstring(svg)

    assert [rect.get("height") for rect in parsed.iter("rect")] == ["55", "110", "1"]
    assert [sign.text for sign in texts(svg, "mark")] == ["✕", "?"]
    assert [text.text for text in texts(svg, "inside")] == ["usually 1 h 30 min"]
    assert parsed.find("title").text == "Durations of the last 3 imports"
    assert parsed.find("desc").text == (
        "Oldest first: completed after 1 h, failed after 2 h, vanished after 0 s. Usually 1 h 30 min."
    )


def test_the_duration_to_compare_with_has_its_name():
    svg = duration_chart([during(0, 1)], HOUR, "median")

    assert [text.text for text in texts(svg, "inside")] == ["median 1 h"]
    assert ET.fromstring(svg).find("desc").text.endswith("Median 1 h.")


def test_a_median_is_known_from_the_fifth_completed_import_on():
    bars = [during(0, hours) for hours in (1, 2, 3, 4)]

    assert median_duration(bars) is None
    assert median_duration([*bars, during(0, 100, FAILED)]) is None
    assert median_duration([*bars, during(5, 5, known_start=False)]) is None
    assert median_duration([*bars, during(0, 100)]) == 3 * HOUR
