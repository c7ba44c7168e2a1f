"""The rate of an API key is kept by stretching intervals: those of idle clusters first, those of active ones last."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.quota import HEADROOM, STEP, UNSTRETCHED, Demand, Stretch, plan

RATE = 10.0


def idle(count, interval=30.0, **requests):
    return [_demand(interval, requests, active=False)] * count


def active(count, interval=10.0, **requests):
    return [_demand(interval, requests, active=True)] * count


def _demand(interval, requests, *, active):
    return Demand(interval, active, {name: number / RATE for name, number in (requests or {"list": 1}).items()})


def rates(demands, stretch):
    """Requests a second, by endpoint."""
    total = {}
    for demand in demands:
        interval = demand.interval * (stretch.active if demand.active else stretch.idle)
        for name, seconds in demand.seconds.items():
            total[name] = total.get(name, 0.0) + seconds * RATE / interval
    return total


@pytest.mark.parametrize("demands", [[], idle(1), idle(240), active(80), active(40) + idle(120)])
def test_intervals_stay_where_the_rate_is_enough(demands):
    assert plan(demands) == UNSTRETCHED


def test_idle_clusters_are_stretched_first_and_evenly():
    stretch = plan(active(20) + idle(500))

    assert stretch.active == 1
    assert 500 / 30 / 6 <= stretch.idle <= 500 / 30 / 6 * STEP  # 6 a second are left to them


def test_active_clusters_are_stretched_where_a_quarter_of_the_requests_is_left_to_the_idle_ones():
    stretch = plan(active(100) + idle(1000))

    assert 10 / 6 <= stretch.active <= 10 / 6 * STEP
    assert 1000 / 30 / 2 <= stretch.idle <= 1000 / 30 / 2 * STEP


def test_each_endpoint_has_a_rate_of_its_own():
    describes = active(10, describe=20, list=1) + idle(10)

    assert 20 / 8 <= plan(describes).active <= 20 / 8 * STEP
    assert rates(describes, plan(describes))["list"] < 1
    assert plan(active(40, describe=2, list=2)) == UNSTRETCHED


def test_idle_clusters_are_never_stretched_less_than_active_ones():
    stretch = plan(active(1000) + idle(1))

    assert stretch.idle == stretch.active > 10


def test_a_rate_that_the_server_has_halved_stretches_twice_as_far():
    halved = [Demand(30.0, active=False, seconds={"list": 2 / RATE})] * 500

    assert plan(halved).idle == pytest.approx(2 * plan(idle(500)).idle, rel=0.1)


def test_small_changes_of_the_load_change_nothing():
    stretch = plan(idle(500))

    assert {plan(idle(count), stretch) for count in range(480, 501)} == {stretch}
    assert plan(idle(600), stretch).idle > stretch.idle
    assert plan(idle(400), stretch).idle < stretch.idle


def test_intervals_are_as_configured_again_when_the_load_is_clearly_below_the_rate():
    stretched = plan(idle(245))

    assert stretched == Stretch(idle_steps=1)
    assert plan(idle(239), stretched) == stretched
    assert plan(idle(215), stretched) == UNSTRETCHED
    assert plan([], stretched) == UNSTRETCHED


def test_a_load_that_is_hardly_there_is_no_division_by_zero():
    nearly_idle = Demand(1.0, active=False, seconds={"list": 5e-324})
    exactly_full = Demand(1.0, active=True, seconds={"list": HEADROOM})

    assert plan([nearly_idle, exactly_full]) == UNSTRETCHED
    assert plan([nearly_idle, exactly_full, exactly_full]).active >= 2


requests = st.dictionaries(st.sampled_from(["list", "describe"]), st.floats(0, 1000), max_size=2)
some = st.builds(_demand, st.floats(0.1, 1e6), requests, active=st.booleans())


@given(st.lists(some, max_size=30), st.builds(Stretch, st.integers(0, 300), st.integers(0, 300)))
def test_the_rate_holds_whatever_is_configured(demands, previous):
    stretch = plan(demands, previous)

    assert all(rate <= HEADROOM * RATE * (1 + 1e-6) for rate in rates(demands, stretch).values())
    assert 1 <= stretch.active <= stretch.idle
