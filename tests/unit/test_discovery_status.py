"""Which statuses of a cluster are polled."""

import pytest

from monitor.discovery.status import is_polled


@pytest.mark.parametrize(
    "status", ["RUNNING", "", "CREATING", "RESUMING", "MODIFYING", "DELETE_FAILED", "HIBERNATING?"]
)
def test_a_cluster_that_may_run_is_polled_and_so_is_one_of_an_unknown_status(status: str) -> None:
    assert is_polled(status)


@pytest.mark.parametrize(
    "status",
    [
        *("SUSPENDED", "SUSPENDING", "Suspended", "STOPPED", "STOPPING", "DELETING", "DELETED", "deleting"),
        *("CLUSTER_SUSPENDED", "pre-deleting", " Paused ", "DROPPED"),
    ],
)
def test_a_cluster_that_is_suspended_stopped_or_deleted_is_not_polled_however_it_is_spelled(status: str) -> None:
    assert not is_polled(status)
