"""Of too many missing jobs, those go first whose absence nobody notices."""

import pytest

from monitor.jobs import Job, JobState, Observation, StallLimits, diff, remembering

T = 1_750_000_000.0
DAY = 86_400.0


def test_of_jobs_that_left_at_once_completed_ones_are_forgotten_before_failed_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembering, "REMEMBERED_LIMIT", 4)
    jobs = [
        Job(str(number), "books", JobState.COMPLETED if number % 2 else JobState.FAILED, reason="no such file")
        for number in range(1, 9)
    ]
    seen = [Observation({one.job_id: one for one in jobs}), Observation({}), Observation({})]
    picture, dropped = None, 0
    for at, observation in zip((T, T + 1, T + 2 * DAY), seen, strict=True):
        difference = diff(picture, observation, at, StallLimits(), failed_retention=3 * DAY)
        picture, dropped = difference.picture, dropped + difference.dropped

    assert dropped == 4
    assert set(picture.jobs.lost) == {"2", "4", "6", "8"}


def test_too_many_missing_jobs_are_forgotten_after_a_day_though_the_list_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembering, "REMEMBERED_LIMIT", 4)
    jobs = {str(number): Job(str(number), "books", JobState.COMPLETED) for number in range(6)}
    same = Observation({}, told={})
    picture, dropped = diff(None, Observation(jobs), T, StallLimits()).picture, []
    for at, observation in (
        (T + 1, Observation({}, told={}, left=frozenset(jobs))),
        (T + 2, same),
        (T + 3, same),
        (T + DAY, same),
        (T + DAY + 2, same),
        (T + DAY + 3, same),
    ):
        difference = diff(picture, observation, at, StallLimits())
        picture = difference.picture
        dropped.append(difference.dropped)

    assert dropped == [0, 0, 0, 0, 2, 0]
    assert len(picture.jobs) == 4
