"""When a cron expression fires, in a time zone."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from monitor.cron import Cron, check_timezone

BERLIN = ZoneInfo("Europe/Berlin")


def fires(expression, since, until, timezone="Europe/Berlin"):
    times = Cron(expression, timezone).between(datetime(*since, tzinfo=BERLIN).timestamp(), stamp(until))
    return [datetime.fromtimestamp(at, BERLIN).isoformat(timespec="minutes") for at in times]


def stamp(when):
    return datetime(*when, tzinfo=BERLIN).timestamp()


def test_a_skipped_hour_fires_an_hour_later_and_a_repeated_one_once():
    assert fires("30 2 * * *", (2026, 3, 28), (2026, 3, 31)) == [
        "2026-03-28T02:30+01:00",
        "2026-03-29T03:30+02:00",
        "2026-03-30T02:30+02:00",
    ]
    assert fires("30 2 * * *", (2026, 10, 24), (2026, 10, 27)) == [
        "2026-10-24T02:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]


def test_every_hour_fires_in_both_of_a_repeated_hour():
    assert fires("0 * * * *", (2026, 10, 25, 1), (2026, 10, 25, 4)) == [
        "2026-10-25T01:00+02:00",
        "2026-10-25T02:00+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T03:00+01:00",
    ]


@pytest.mark.parametrize(
    ("weekdays", "days"),
    [("1-5", "12345"), ("0", "7"), ("7", "7"), ("5-7", "567"), ("sun", "7"), ("mon-fri", "12345"), ("1,3", "13")],
)
def test_days_of_the_week_are_those_of_crontab(weekdays, days):
    times = fires(f"0 2 * * {weekdays}", (2026, 6, 1), (2026, 6, 8))

    assert [datetime.fromisoformat(at).isoweekday() for at in times] == [int(day) for day in days]


def test_the_latest_time_is_found_however_rare_it_is():
    now = stamp((2026, 6, 2, 12))

    assert Cron("*/5 * * * *", "Europe/Berlin").latest(now) == now
    assert Cron("0 2 * * *", "Europe/Berlin").latest(now) == stamp((2026, 6, 2, 2))
    assert Cron("0 2 1 1 *", "Europe/Berlin").latest(now) == stamp((2026, 1, 1, 2))
    assert Cron("0 2 29 2 *", "Europe/Berlin").latest(now) == stamp((2024, 2, 29, 2))


@pytest.mark.parametrize(
    ("expression", "sentence"),
    [
        ("@daily", "must be a cron expression of five fields"),
        ("61 * * * *", "must be a cron expression, such as 0 2"),
        ("0 0 * * 8", "days of the week are 0 to 7"),
        ("0 0 1 * 1", "either the day of the month or the day of the week"),
        ("0 0 30 2 *", "must be a time that exists"),
        ("0 0 * * */0", "increment must be higher than 0"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence(expression, sentence):
    with pytest.raises(ValueError, match=sentence.replace("*", ".")):
        Cron(expression, "UTC")


@pytest.mark.parametrize("name", ["Berlin", "../etc/passwd", "", "Europe"])
def test_an_unknown_time_zone_is_refused(name):
    with pytest.raises(ValueError, match="must be the name of a time zone"):
        check_timezone(name)
