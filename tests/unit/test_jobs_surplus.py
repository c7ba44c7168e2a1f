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
