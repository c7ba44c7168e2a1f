"""Elements of SVG with values from outside, and what the charts share."""

import re
from xml.etree import ElementTree as ET

import pytest

from monitor.jobs import JobState
from monitor.web.svg import chart, element, fill, label, patterns, percent, present, shorten, swatch, time_axis

EVIL = "</title><script>alert('x')</script>\"&\N{RIGHT-TO-LEFT OVERRIDE}gpj"
NOON = 1_750_075_200.0  # 2025-06-16 12:00 UTC


def labels(start, end):
    return [part.rsplit(">", 2)[-2].split("<")[0] for part in map(str, time_axis(start, end, 0, 10)) if "<text" in part]


def test_an_element_is_escaped_wherever_a_value_stands():
    made = element("text", EVIL, element("title", EVIL), x=1.0, class_=EVIL, text_anchor=None)
    parsed = ET.fromstring(made)

    assert parsed.get("class") == EVIL
    assert parsed.text == EVIL
    assert parsed[0].text == EVIL
    assert "<script" not in made
    assert element("rect", x=1 / 3, width=2.0, stroke_width=0) == '<rect x="0.33" width="2" stroke-width="0"></rect>'


def test_a_chart_has_a_name_and_a_description_for_screen_readers():
    parsed = ET.fromstring(chart("a", "Title", "What it shows", 100.0))

    assert parsed.attrib == {
        "class": "chart",
        "role": "img",
        "aria-labelledby": "a-title",
        "aria-describedby": "a-desc",
        "width": "100%",
        "height": "100",
    }
    assert [(part.tag, part.get("id"), part.text) for part in parsed] == [
        ("title", "a-title", "Title"),
        ("desc", "a-desc", "What it shows"),
    ]


def test_each_state_has_a_pattern_of_its_own():
    made = ET.fromstring(patterns())
    lines = {pattern.get("id"): pattern.find("path").get("d") for pattern in made.iter("pattern")}

    assert set(lines) == {f"of-{state}" for state in [*JobState, "stalled"]}
    assert len(set(lines.values())) == len(lines)
    for state in [*JobState, "stalled"]:
        assert fill(state) in swatch(state)


def test_nothing_has_a_style_that_the_policy_forbids():
    assert not re.search(r"\sstyle=|<style|javascript:|\son\w+=", patterns() + swatch("failed"))


@pytest.mark.parametrize(
    ("ratio", "expected"), [(0.5, "50%"), (-3, "0%"), (1e9, "100%"), (1 / 3, "33.33%"), (0.0000001, "0%")]
)
def test_positions_stay_in_the_chart(ratio, expected):
    assert percent(ratio) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1, ["12:00:00", "12:00:01"]),
        (90, ["12:00:00", "12:00:15", "12:00:30", "12:00:45", "12:01:00", "12:01:15", "12:01:30"]),
        (5000, ["12:00", "12:15", "12:30", "12:45", "13:00", "13:15"]),
        (86_400, ["12:00", "16:00", "20:00", "00:00", "04:00", "08:00", "12:00"]),
        (7 * 86_400, ["Jun 17", "Jun 18", "Jun 19", "Jun 20", "Jun 21", "Jun 22", "Jun 23"]),
    ],
)
def test_a_time_axis_has_round_times(seconds, expected):
    assert labels(NOON, NOON + seconds) == expected


@pytest.mark.parametrize(("start", "end"), [(0.0, 0.0), (NOON, NOON), (NOON, NOON - 100), (0.0, 2.5e11)])
def test_a_time_axis_of_any_length_is_bounded(start, end):
    assert len(time_axis(start, end, 0, 10)) <= 50


def test_labels_next_to_an_edge_stay_inside_and_long_ones_are_cut():
    assert [ET.fromstring(label("x", at, 0)).get("text-anchor") for at in (0, 0.5, 1)] == [
        "start",
        "middle",
        "end",
    ]
    assert (len(shorten("x" * 300)), shorten("books")) == (44, "books")


def test_a_legend_names_what_is_there_in_one_order():
    assert present(["failed", "pending", "failed", "nonsense"]) == ["pending", "failed"]
