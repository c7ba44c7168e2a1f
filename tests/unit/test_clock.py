"""Steps of the clock are noticed once each; what it drifts is none."""

from types import SimpleNamespace

from monitor.clock import MAX_STEPS, ClockSteps
from monitor.jobs import ClockStep


def clocks():
    now = SimpleNamespace(wall=1_000_000.0, real=50.0)
    return now, ClockSteps(lambda: now.wall, lambda: now.real)


def test_a_step_is_noticed_once_in_either_direction():
    now, steps = clocks()
    now.wall, now.real = now.wall + 3600 + 10, now.real + 10
    forward = ClockStep(1_003_610.0, 3600.0)

    assert steps.latest() == steps.latest() == (forward,)
    now.wall -= 60
    assert steps.latest() == (forward, ClockStep(1_003_550.0, -60.0))


def test_what_the_clock_drifts_is_no_step():
    now, steps = clocks()
    for _ in range(100):
        now.wall, now.real = now.wall + 30.5, now.real + 30
        assert steps.latest() == ()


def test_only_the_latest_steps_are_remembered():
    now, steps = clocks()
    for _ in range(MAX_STEPS + 5):
        now.wall += 10
        steps.latest()

    assert len(steps.latest()) == MAX_STEPS
    assert steps.latest()[-1].at == now.wall
