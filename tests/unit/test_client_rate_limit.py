"""Places in time: first come, first served, and none that is not worth waiting for."""

import threading

import pytest

from monitor.client.errors import ErrorKind, ThrottledError
from monitor.client.rate_limit import (
    DECREASE_PAUSE,
    HOLD,
    HOLD_LIMIT,
    LOWEST_SHARE,
    RECOVERY,
    RateLimiter,
)

LIST, DESCRIBE, OTHER = ("key", "list"), ("key", "describe"), ("other", "list")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_pause_earns_half_a_seconds_worth_and_then_the_rate_holds() -> None:
    limiter = RateLimiter(Clock())
    waits = [limiter.reserve(LIST, 10.0, 60.0) for _ in range(11)]
    assert waits == pytest.approx([0.0] * 6 + [0.1, 0.2, 0.3, 0.4, 0.5], abs=1e-9)


def test_over_a_minute_no_more_is_let_through_than_the_rate_allows() -> None:
    clock = Clock()
    limiter, sent = RateLimiter(clock), []
    while clock.now < 1060.0:
        clock.now += limiter.reserve(LIST, 10.0, 60.0)
        sent.append(clock.now)
    assert len(sent) <= 60 * 10 + 7
    assert max(sum(at <= one < at + 1.0 for one in sent) for at in sent) <= 16


def test_keys_and_endpoints_count_apart() -> None:
    limiter = RateLimiter(Clock())
    for _ in range(3):
        limiter.reserve(LIST, 1.0, 60.0)
    assert limiter.reserve(LIST, 1.0, 60.0) > 0
    assert limiter.reserve(DESCRIBE, 1.0, 60.0) == 0
    assert limiter.reserve(OTHER, 1.0, 60.0) == 0


def test_a_wait_that_is_not_worth_it_is_refused_and_books_nothing() -> None:
    limiter = RateLimiter(Clock())
    assert [limiter.reserve(LIST, 2.0, 0.0) for _ in range(2)] == [0.0, 0.0]
    for _ in range(3):
        with pytest.raises(ThrottledError, match="our own limit of 2 requests a second") as caught:
            limiter.reserve(LIST, 2.0, 0.25)
        assert (caught.value.kind, caught.value.retry_after) == (ErrorKind.THROTTLED, 0.5)
    assert limiter.reserve(LIST, 2.0, 0.5) == 0.5


def test_a_long_pause_earns_no_more_than_half_a_second() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.reserve(LIST, 10.0, 60.0)
    clock.now += 3600.0
    assert sum(limiter.reserve(LIST, 10.0, 60.0) < 1e-9 for _ in range(20)) == 6


def test_threads_never_share_a_place() -> None:
    limiter, waits = RateLimiter(Clock()), []
    threads = [
        threading.Thread(target=lambda: waits.extend(limiter.reserve(LIST, 100.0, 60.0) for _ in range(50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == pytest.approx([max(0.0, (place - 50) / 100) for place in range(400)], abs=1e-9)


def test_keys_that_owe_no_wait_are_forgotten_when_there_are_too_many() -> None:
    clock = Clock()
    limiter = RateLimiter(clock, keys_limit=3)
    for number in range(10):
        limiter.reserve((str(number), "list"), 1.0, 60.0)
        clock.now += 10.0
    busy = ("busy", "list")
    assert [limiter.reserve(busy, 1.0, 60.0) for _ in range(3)] == pytest.approx([0.0, 0.5, 1.5])
    for number in range(10):
        limiter.reserve((str(number), "list"), 1.0, 60.0)
    assert limiter.reserve(busy, 1.0, 60.0) == pytest.approx(2.5)


def let_through(limiter: RateLimiter, clock: Clock, seconds: float) -> int:
    """Return how many requests at 10 a second are let through in so many seconds."""
    end, count = clock.now + seconds, 0
    while (wait := limiter.reserve(LIST, 10.0, 60.0)) + clock.now < end:
        clock.now += wait
        count += 1
    clock.now = end
    return count


def test_a_refusal_halves_the_rate_of_its_key_and_endpoint_only() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.lower(LIST)

    assert [limiter.share(key) for key in (LIST, DESCRIBE, OTHER)] == [0.5, 1.0, 1.0]
    assert let_through(limiter, clock, HOLD) == pytest.approx(HOLD * 5, abs=6)


def test_refusals_of_requests_that_were_under_way_together_count_once() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    shares = []
    for _ in range(5):
        limiter.lower(LIST)
        shares.append(limiter.share(LIST))
        clock.now += DECREASE_PAUSE / 4

    assert shares == [0.5, 0.5, 0.5, 0.5, 0.25]


def test_a_server_that_refuses_for_ever_still_gets_a_request_now_and_then() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    for _ in range(100):
        limiter.lower(LIST)
        clock.now += DECREASE_PAUSE

    assert limiter.share(LIST) == LOWEST_SHARE
    assert let_through(limiter, clock, 20.0) >= 10


def test_the_rate_recovers_gradually_and_then_wholly() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.lower(LIST)
    shares = []
    for seconds in (HOLD, RECOVERY / 4, RECOVERY / 8, RECOVERY / 8, 1000.0):
        clock.now += seconds
        shares.append(limiter.share(LIST))

    assert shares == [0.5, 0.75, 0.875, 1.0, 1.0]
    limiter.lower(LIST)
    assert limiter.share(LIST) == 0.5


@pytest.mark.parametrize(
    ("retry_after", "low_for"),
    [(None, HOLD), (0.0, HOLD), (-5.0, HOLD), (float("nan"), HOLD), (120.0, 120.0), (1e9, HOLD_LIMIT)],
)
def test_the_rate_stays_low_as_long_as_the_server_asks_within_bounds(retry_after, low_for) -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.lower(LIST, retry_after)
    clock.now += low_for
    low = limiter.share(LIST)
    clock.now += RECOVERY / 2 + 1.0

    assert (low, limiter.share(LIST)) == (0.5, 1.0)


def test_keys_that_have_recovered_are_forgotten_when_there_are_too_many() -> None:
    clock = Clock()
    limiter = RateLimiter(clock, keys_limit=3)
    for number in range(10):
        limiter.lower((str(number), "list"))
        clock.now += HOLD + RECOVERY
    limiter.lower(LIST)

    assert limiter.share(LIST) == 0.5
    assert limiter.share(("0", "list")) == 1.0


def test_a_key_that_other_monitors_use_as_well_has_its_part_of_the_rate_until_they_are_gone() -> None:
    clock = Clock()
    limiter = RateLimiter(clock)
    limiter.divide({"key": 0.25})
    waits = []
    for key in (LIST, LIST, DESCRIBE, OTHER, OTHER):
        clock.now += 10.0
        waits.append([round(limiter.reserve(key, 4.0, 60.0), 6) for _ in range(3)])
    limiter.divide({})
    clock.now += 10.0

    quarter, whole = [0.0, 0.5, 1.5], [0.0, 0.0, 0.0]
    assert waits == [quarter, quarter, quarter, whole, whole]
    assert [round(limiter.reserve(LIST, 4.0, 60.0), 6) for _ in range(3)] == whole
