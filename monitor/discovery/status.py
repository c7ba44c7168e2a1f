"""Which clusters are polled, by their status at their source."""

from typing import Final

_NOT_POLLED: Final = frozenset(
    {
        *("suspend", "suspended", "suspending"),
        *("pause", "paused", "pausing"),
        *("stop", "stopped", "stopping"),
        *("delete", "deleted", "deleting"),
        *("drop", "dropped", "dropping"),
        *("release", "released", "releasing", "terminated", "terminating"),
    }
)
"""Statuses without a server that could import; each in lower case and as its last word, see `is_polled`."""


def is_polled(status: str) -> bool:
    """Return whether a cluster of this status is polled: also where the status is not known, or the source has none.

    The statuses of Zilliz Cloud are an open set; capitals and what joins words (`CLUSTER_SUSPENDED`) do not count.
    """
    words = status.casefold().replace("_", " ").replace("-", " ").split()
    return not words or words[-1] not in _NOT_POLLED
