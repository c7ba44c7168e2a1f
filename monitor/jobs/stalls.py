"""When a job that makes no progress counts as stalled: the limit depends on its state."""

import msgspec

from monitor.jobs.model import TERMINAL, WAITING, JobState, TrackedJob


class StallLimits(msgspec.Struct, frozen=True, gc=False):
    """Seconds without progress after which a job counts as stalled.

    Attributes:
        stall_after: While it is importing, committing, or in a state we do not know.
        pending_after: While it waits to be started (Milvus issues 31227, 32195).
        uncommitted_after: While it waits for somebody's commit (Milvus issue 51070).
    """

    stall_after: float = 1800.0
    pending_after: float = 3600.0
    uncommitted_after: float = 3600.0

    def of(self, state: JobState) -> float:
        """Return the limit for an unfinished state, in seconds."""
        if state not in WAITING:
            return self.stall_after
        return self.pending_after if state is JobState.PENDING else self.uncommitted_after


def is_stalled(tracked: TrackedJob, now: float, limits: StallLimits) -> bool:
    """Say whether a job has made no progress for longer than the limit of its state.

    Flat is not always stuck and silence is no proof: ask this only when the server has just said something that could
    have shown progress, or when it has been asked and has not said anything for as long.

    Args:
        tracked: The job, with what was just said, if anything was, already in it.
        now: When it was said.
        limits: The limits.

    Returns:
        True when it is stalled; a finished job never is.
    """
    state = tracked.job.state
    return state not in TERMINAL and now - tracked.last_change > limits.of(state)
