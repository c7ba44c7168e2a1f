"""What the poller wants of a store, whatever it is made of."""

from typing import Protocol

from monitor.jobs import Difference, Picture


class Store(Protocol):
    """Remembers the picture of each cluster. Safe to use from the threads of several clusters."""

    def picture(self, cluster: str) -> Picture | None:
        """Return the picture after the last complete poll of a cluster; None before its first, the baseline."""

    def record(self, cluster: str, difference: Difference) -> None:
        """Put the new picture in place of the previous one, and its transitions with it, all or nothing."""

    def forget(self, cluster: str) -> None:
        """Forget a cluster: it is no longer watched, or its name now stands for another one."""
