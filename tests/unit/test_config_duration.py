from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.config import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1d2h3m4s5ms", 93_784.005),
        ("0s", 0),
        ("90m", 5400),
    ],
)
def test_a_duration_is_read_as_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "s", "ms", "1x", "30 s", "1m1h", "1s1s", "-5s", "1.5s", "1.5", "٣s", "1" * 20, "1" * 20 + "s", "30s\n", "1e3"],
)
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a duration such as 500ms, 30s, 5m, 1h30m or 2d$"):
        parse_duration(text)


@pytest.mark.parametrize(("text", "advice"), [("30", "30s"), ("0", "0s")])
def test_a_number_without_a_unit_is_refused_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=rf"^missing unit: write {advice}$"):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=10**14))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds
