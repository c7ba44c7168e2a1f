"""What ``watch`` shows."""

from collections.abc import Mapping
from typing import Final

import msgspec

from monitor.jobs import UNSUCCESSFUL, JobState

COMPLETED_SHOWN: Final = 15.0
"""Seconds for which a job that has completed while it was watched is still shown."""

_RANKS: Final = {
    JobState.FAILED: 0,
    JobState.VANISHED: 0,
    JobState.UNKNOWN: 2,
    JobState.UNCOMMITTED: 2,
    JobState.COMMITTING: 3,
    JobState.IMPORTING: 3,
    JobState.COMPLETED: 4,
    JobState.PENDING: 5,
}
_STALLED: Final = 1


class JobLine(msgspec.Struct, frozen=True, gc=False):
    """A job as it is shown; `done_at` and `since` (when it came to its state) are in seconds since the epoch.

    `collection` is after its database where that is known, `seen_before` says that it was seen in another state.
    """

    cluster: str
    collection: str
    job_id: str
    state: JobState
    progress: float | None = None
    done_at: float | None = None
    stalled: bool = False
    reason: str = ""
    since: float = 0.0
    seen_before: bool = False

    def sort_key(self) -> tuple[int, float, str, str]:
        """Return the key of the order: problems first, latest first; then the jobs with the most progress."""
        rank = _STALLED if self.stalled else _RANKS[self.state]
        return rank, -self.since if rank <= _STALLED else -(self.progress or 0.0), self.cluster, self.job_id

    def is_problem(self) -> bool:
        """Return whether the job has failed, vanished or stalled."""
        return self.stalled or self.state in UNSUCCESSFUL

    def is_shown(self, now: float) -> bool:
        """Return whether the job has a line; a completed one only if it has just completed while it was watched."""
        return self.state is not JobState.COMPLETED or (self.seen_before and now - self.since < COMPLETED_SHOWN)


class View(msgspec.Struct, frozen=True):
    """Jobs (by cluster and id) and clusters at one moment.

    `clusters` has why each one is down: empty for one that is up, None for one that has not been polled. `note` is what
    is wrong with the source of all this, or what it leaves out.
    """

    jobs: Mapping[tuple[str, str], JobLine] = {}
    clusters: Mapping[str, str | None] = {}
    note: str = ""
