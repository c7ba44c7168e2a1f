from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.simulator import REASONS, Life, Phase, State
from monitor.simulator.lives import FOREVER, KINDS

ANY_LIFE = st.sampled_from([make() for make in KINDS.values()])


def story(life: Life, seconds: int = 200) -> list[tuple[str, int]]:
    told: list[tuple[str, int]] = []
    for tenth in range(seconds * 10):
        moment = life.at(tenth / 10)
        if not told or told[-1] != (moment.state, moment.progress):
            told.append((moment.state, moment.progress))
    return told


def states(life: Life) -> list[str]:
    return [state for _, state in life.changes(0.0, 10_000.0)]


def test_a_completing_job_goes_through_all_that_a_real_one_says() -> None:
    told = story(Life.completing(60))

    assert told[0] == ("pending", 0)
    assert told[1] == ("importing", 10)
    assert [progress for state, progress in told if state == "importing"] == list(range(10, 99))
    assert told[-1] == ("completed", 100)


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (Life.completing(), ["pending", "importing", "completed"]),
        (Life.failing("import timeout", after=5), ["pending", "importing", "failed"]),
        (Life.stalling(), ["pending", "importing"]),
        (Life.pending(), ["pending"]),
        (Life.pending(100), ["pending", "importing", "completed"]),
        (Life.uncommitted(), ["pending", "importing", "uncommitted"]),
        (Life.uncommitted(5, 7), ["pending", "importing", "uncommitted", "committing", "completed"]),
        (Life.vanishing(), ["pending", "importing", "vanished"]),
        (Life.completed_then_failed(), ["pending", "importing", "completed", "failed"]),
        (Life.jumping_back(), ["pending", "importing", "completed"]),
        (Life.frozen("uncommitted", 99), ["uncommitted"]),
    ],
    ids=lambda value: value.kind if isinstance(value, Life) else "",
)
def test_each_life_passes_through_its_states_in_order(life: Life, expected: list[str]) -> None:
    assert states(life) == expected


def test_a_failed_job_says_progress_0_and_its_reason() -> None:
    moment = Life.failing("import timeout", after=10).at(10)

    assert (moment.state, moment.progress, moment.reason, moment.since) == ("failed", 0, "import timeout", 10)


def test_a_stalled_job_stays_where_it_is_for_ever() -> None:
    moment = Life.stalling(80, after=30).at(10**9)

    assert (moment.state, moment.progress, moment.until) == ("importing", 80, FOREVER)


def test_progress_can_jump_back() -> None:
    told = [progress for _, progress in story(Life.jumping_back(60, at=70, to=30))]

    assert min(told[told.index(69) :]) == 30
    assert told[-1] == 100


def test_progress_can_run_backwards_within_a_phase() -> None:
    life = Life((Phase(State.IMPORTING, 10, 50, 40), Phase(State.COMPLETED, FOREVER, 100, 100)))

    assert [life.at(age).progress for age in (0, 1, 5, 9.99, 10)] == [50, 49, 45, 41, 100]


@given(life=ANY_LIFE, age=st.floats(0, 500))
def test_nothing_changes_before_the_moment_says_so(life: Life, age: float) -> None:
    moment = life.at(age)
    later = min(age + (moment.until - age) * 0.999, age + 1000)

    assert life.at(later)[:4] == moment[:4]


@given(life=ANY_LIFE, age=st.floats(0, 500))
def test_a_state_began_when_the_moment_says_so(life: Life, age: float) -> None:
    moment = life.at(age)

    assert life.at(moment.since + 1e-6).state == moment.state
    assert moment.since == 0 or life.at(moment.since - 1e-6).state != moment.state


@given(life=ANY_LIFE, age=st.floats(0, 500), speed=st.floats(0.5, 60))
def test_a_moment_can_be_told_in_the_time_of_the_world(life: Life, age: float, speed: float) -> None:
    told, plain = life.at(age, 1000.0, speed), life.at(age)

    assert told.since == pytest.approx(1000 + plain.since / speed)
    assert told.until == pytest.approx(1000 + plain.until / speed)


def test_a_life_is_found_by_its_name() -> None:
    assert Life.of("failing", {"reason": "import timeout", "after": 3}).at(3).reason == "import timeout"


@pytest.mark.parametrize(("kind", "parameters"), [("dancing", {}), ("failing", {"why": "x"})])
def test_a_wrong_life_is_refused_with_what_there_is(kind: str, parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"completing, failing|unexpected keyword"):
        Life.of(kind, parameters)


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
    assert all(reasons for reasons in REASONS.values())
