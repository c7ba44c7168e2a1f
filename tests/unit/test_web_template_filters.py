"""Numbers and times as people read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from monitor.web import template_filters

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 900_000, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (86400 * 3 + 3700, "3 d 1 h"),
        (86400 * 3 + 60, "3 d"),
    ],
)
def test_durations(seconds, text):
    assert template_filters.duration(seconds) == text


def test_times():
    assert template_filters.clock(MOMENT) == "2026-01-31 10:00:00"
    assert template_filters.iso(MOMENT) == "2026-01-31T10:00:00Z"
    assert template_filters.ago(datetime.fromtimestamp(1000, UTC), 1125) == "2 min 5 s ago"
    assert template_filters.ago(datetime.fromtimestamp(1000, UTC), 990) == "now"


def test_nothing_is_all_before_it_is():
    assert [template_filters.percent(ratio) for ratio in (0.0, 0.29, 0.999, 1.0)] == ["0 %", "29 %", "99 %", "100 %"]


def test_numbers():
    assert [template_filters.number(value) for value in (0, 999.6, 1_234_567)] == [
        "0",
        "1\N{NARROW NO-BREAK SPACE}000",
        "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567",
    ]


@pytest.mark.parametrize(
    ("text", "shown"), [("", ""), ("no such job", "No such job."), ("did you mean eu?", "Did you mean eu?")]
)
def test_sentences(text, shown):
    assert template_filters.sentence(text) == shown
