"""Finished jobs that leave the list so soon that a poll can miss them: polls in, how many were noticed out."""

import pytest

from monitor.jobs import Policy
from tests.jobs import poll, record

RUNNING, COMPLETED, FAILED = record(), record(state="Completed"), record(state="Failed", reason="no such file")
OTHER = record("2")


def left_early(*lists, failed=()):
    """Return how many jobs were noticed at each poll; `failed` are those that come after a failed one."""
    snapshot, noticed = poll(None, now=1000.0).snapshot, []
    for number, records in enumerate(lists):
        changes = poll(snapshot, *records, now=1030.0 + 30 * number, policy=Policy(poll_failed=number in failed))
        snapshot = changes.snapshot
        noticed.append(changes.left_early)
    return noticed


@pytest.mark.parametrize("ended", [COMPLETED, FAILED])
def test_a_finished_job_that_two_lists_have_and_the_next_two_lack_left_early(ended):
    assert left_early([RUNNING], [ended], [ended], [], [], []) == [0, 0, 0, 0, 1, 0]
    assert left_early([RUNNING], [ended], [], []) == [0, 0, 0, 1]
    assert left_early([ended], [], []) == [0, 0, 1]


def test_a_finished_job_that_three_lists_have_did_not_leave_early():
    assert left_early([RUNNING], [COMPLETED], [COMPLETED], [COMPLETED], [], []) == [0] * 6


def test_a_list_that_lacks_a_job_for_once_proves_nothing():
    assert left_early([RUNNING], [COMPLETED], [], *[[COMPLETED]] * 3, [], []) == [0] * 8


def test_a_list_that_lacks_running_jobs_too_proves_nothing():
    assert left_early([RUNNING, OTHER], [COMPLETED, OTHER], [], [], []) == [0] * 5


def test_jobs_that_leave_the_list_while_polls_fail_prove_nothing():
    assert left_early([RUNNING], [COMPLETED], [], [], failed=[2]) == [0] * 4


def test_a_job_that_vanished_was_never_seen_finished():
    snapshot = poll(poll(None, now=0).snapshot, RUNNING, now=30).snapshot
    changes = poll(snapshot, now=60, absent=["1"])

    assert (changes.left_early, poll(changes.snapshot, now=90).left_early) == (0, 0)
