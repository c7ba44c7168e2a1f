from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import pytest

from monitor.simulator import Lifecycle, State
from monitor.simulator.lifecycles import FOREVER, LIFECYCLES, REASONS, Phase


def story(lifecycle: Lifecycle, seconds: int = 200) -> list[tuple[str, int]]:
    """Return each (state, progress) that a job of this lifecycle goes through."""
    seen = [(status.state, status.progress) for status in (lifecycle.at(tenth / 10) for tenth in range(seconds * 10))]
    return [pair for pair, _ in groupby(seen)]


def states(lifecycle: Lifecycle) -> list[str]:
    return [state for state, _ in groupby(story(lifecycle), key=itemgetter(0))]


def test_a_completing_job_is_pending_then_importing_then_completed() -> None:
    seen = story(Lifecycle.completing(60))

    assert seen[0] == ("pending", 0)
    assert [progress for state, progress in seen if state == "importing"] == list(range(10, 99))
    assert seen[-1] == ("completed", 100)


@pytest.mark.parametrize(
    ("lifecycle", "expected"),
    [
        (Lifecycle.completing(), ["pending", "importing", "completed"]),
        (Lifecycle.failing("import timeout", after=5), ["pending", "importing", "failed"]),
        (Lifecycle.stalling(), ["pending", "importing"]),
        (Lifecycle.pending(), ["pending"]),
        (Lifecycle.pending(50), ["pending", "importing", "completed"]),
        (Lifecycle.uncommitted(), ["pending", "importing", "uncommitted"]),
        (Lifecycle.uncommitted(5, 7), ["pending", "importing", "uncommitted", "committing", "completed"]),
        (Lifecycle.vanishing(), ["pending", "importing", "vanished"]),
        (Lifecycle.completed_then_failed(), ["pending", "importing", "completed", "failed"]),
        (Lifecycle.jumping_back(), ["pending", "importing", "completed"]),
        (Lifecycle.frozen("uncommitted", 99), ["uncommitted"]),
    ],
)
def test_each_life_passes_through_its_states_in_order(lifecycle: Lifecycle, expected: list[str]) -> None:
    assert states(lifecycle) == expected


def test_a_failed_job_has_progress_0_and_a_reason() -> None:
    status = Lifecycle.failing("import timeout", after=10).at(10)

    assert (status.state, status.progress, status.reason, status.since) == ("failed", 0, "import timeout", 10)


def test_a_stalled_job_does_not_move() -> None:
    assert story(Lifecycle.stalling(80, after=30))[-1] == ("importing", 80)
    assert Lifecycle.stalling(80, after=30).at(10**9).state == "importing"


def test_a_stalled_job_can_fail_in_the_end() -> None:
    assert Lifecycle.stalling(80, after=30, fails_after=60).at(90).state == "failed"


def test_progress_can_jump_back() -> None:
    seen = [progress for _, progress in story(Lifecycle.jumping_back(60, at=70, to=30))]

    assert min(seen[seen.index(69) :]) == 30
    assert seen[-1] == 100


def test_progress_can_run_backwards_within_a_phase() -> None:
    lifecycle = Lifecycle((Phase(State.IMPORTING, 10, 50, 40), Phase(State.COMPLETED, FOREVER, 100, 100)))

    assert [lifecycle.at(age).progress for age in (0, 1, 5, 9.99, 10)] == [50, 49, 45, 41, 100]


@pytest.mark.parametrize("age", [0.0, 5.9, 6.1, 30.0, 59.9, 60.0, 1000.0])
@pytest.mark.parametrize("kind", LIFECYCLES)
def test_a_state_began_when_the_status_says_so(kind: str, age: float) -> None:
    lifecycle = LIFECYCLES[kind]()
    status = lifecycle.at(age)

    assert lifecycle.at(status.since).state == status.state
    assert status.since == 0 or lifecycle.at(status.since - 1e-6).state != status.state


def test_there_is_a_reason_for_each_class_of_failure() -> None:
    assert set(REASONS) == {
        "file_not_found",
        "permission_denied",
        "schema_mismatch",
        "bad_data",
        "quota_exceeded",
        "timeout",
        "aborted",
        "collection_dropped",
        "internal",
    }
