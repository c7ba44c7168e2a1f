"""What polls leave of a cluster, and what they changed."""

import msgspec

from monitor.config import Cluster
from monitor.jobs import TrackedJob
from monitor.store import Recorded


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A cluster, as the latest poll left it.

    Attributes:
        cluster: Its config.
        status: ``up``, ``down``, or ``not_polled``.
        why: Why it is down; else empty.
        last_success: When a poll last succeeded, in seconds since the epoch, or None.
        last_poll: When a poll last ended, or None.
    """

    cluster: Cluster
    status: str = "not_polled"
    why: str = ""
    last_success: float | None = None
    last_poll: float | None = None


class Change(msgspec.Struct, frozen=True, gc=False):
    """What a poll changed.

    Attributes:
        version: Of the fleet.
        seen: The cluster; None where the config changed, which may change everything.
        jobs: Those of its jobs that are new or not what they were.
        removed: Ids of jobs that are no longer known.
        transitions: What was recorded.
    """

    version: int
    seen: Seen | None
    jobs: tuple[TrackedJob, ...] = ()
    removed: tuple[str, ...] = ()
    transitions: tuple[Recorded, ...] = ()
