from __future__ import annotations

from itertools import groupby
from operator import itemgetter

import pytest

from monitor.simulator import Life, Phase, State
from monitor.simulator.lifecycles import FOREVER, LIVES, REASONS


def story(life: Life, seconds: int = 200) -> list[tuple[str, int]]:
    """Return each (state, progress) that a job of this life goes through."""
    seen = [(status.state, status.progress) for status in (life.at(tenth / 10) for tenth in range(seconds * 10))]
    return [pair for pair, _ in groupby(seen)]


def states(life: Life) -> list[str]:
    return [state for state, _ in groupby(story(life), key=itemgetter(0))]


def test_a_completing_job_is_pending_then_importing_then_completed() -> None:
    seen = story(Life.completing(60))

    assert seen[0] == ("pending", 0)
    assert [progress for state, progress in seen if state == "importing"] == list(range(10, 99))
    assert seen[-1] == ("completed", 100)


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (Life.completing(), ["pending", "importing", "completed"]),
        (Life.failing("import timeout", after=5), ["pending", "importing", "failed"]),
        (Life.stalling(), ["pending", "importing"]),
        (Life.pending(), ["pending"]),
        (Life.pending(50), ["pending", "importing", "completed"]),
        (Life.uncommitted(), ["pending", "importing", "uncommitted"]),
        (Life.uncommitted(5, 7), ["pending", "importing", "uncommitted", "committing", "completed"]),
        (Life.vanishing(), ["pending", "importing", "vanished"]),
        (Life.completed_then_failed(), ["pending", "importing", "completed", "failed"]),
        (Life.jumping_back(), ["pending", "importing", "completed"]),
        (Life.frozen("uncommitted", 99), ["uncommitted"]),
    ],
)
def test_each_life_passes_through_its_states_in_order(life: Life, expected: list[str]) -> None:
    assert states(life) == expected


def test_a_failed_job_has_progress_0_and_a_reason() -> None:
    status = Life.failing("import timeout", after=10).at(10)

    assert (status.state, status.progress, status.reason, status.since) == ("failed", 0, "import timeout", 10)


def test_a_stalled_job_does_not_move() -> None:
    assert story(Life.stalling(80, after=30))[-1] == ("importing", 80)
    assert Life.stalling(80, after=30).at(10**9).state == "importing"


def test_a_stalled_job_can_fail_in_the_end() -> None:
    assert Life.stalling(80, after=30, fails_after=60).at(90).state == "failed"


def test_progress_can_jump_back() -> None:
    seen = [progress for _, progress in story(Life.jumping_back(60, at=70, to=30))]

    assert min(seen[seen.index(69) :]) == 30
    assert seen[-1] == 100


def test_progress_can_run_backwards_within_a_phase() -> None:
    life = Life((Phase(State.IMPORTING, 10, 50, 40), Phase(State.COMPLETED, FOREVER, 100, 100)))

    assert [life.at(age).progress for age in (0, 1, 5, 9.99, 10)] == [50, 49, 45, 41, 100]


@pytest.mark.parametrize("age", [0.0, 5.9, 6.1, 30.0, 59.9, 60.0, 1000.0])
@pytest.mark.parametrize("kind", LIVES)
def test_a_state_began_when_the_status_says_so(kind: str, age: float) -> None:
    life = LIVES[kind]()
    status = life.at(age)

    assert life.at(status.since).state == status.state
    assert status.since == 0 or life.at(status.since - 1e-6).state != status.state


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
