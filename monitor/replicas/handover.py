"""Takes clusters over and lets them go, as monitors that share them come and go."""

from collections.abc import Iterable
from threading import Lock
from typing import Final, Protocol

import structlog

from monitor.replicas.members import Replicas, SingleReplica

CLUSTERS_AT_ONCE: Final = 500
"""Clusters that are taken over together: the first ones are polled while the others are loaded."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.replicas")


class ClusterHandling(Protocol):
    """What has to be done with clusters that change hands."""

    def take_over(self, names: list[str]) -> None:
        """Load and show clusters that have become ours; they are polled afterwards."""

    def let_go(self, names: list[str]) -> None:
        """Store and hide clusters that are ours no longer; they are not polled any more."""


class Handover:
    """Knows which clusters this monitor polls: those that it owns and has taken over. Safe to use from several threads.

    Args:
        replicas: Says which clusters we own.

    Attributes:
        alone: Whether there can be no other monitors, so that nothing changes hands.
    """

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self.alone = isinstance(replicas, SingleReplica)
        self._lock = Lock()
        self._held: frozenset[str] = frozenset()
        self._refreshed: tuple[object, frozenset[str]] | None = None
        self._ready = self.alone

    @property
    def held(self) -> frozenset[str]:
        """The clusters that we have taken over."""
        return self._held

    def holds(self, name: str) -> bool:
        """Say whether we have taken a cluster over, so that we show it."""
        return self.alone or name in self._held

    def polls(self, name: str) -> bool:
        """Say whether to poll a cluster now, and whether what a poll has seen counts."""
        return self.alone or (name in self._held and self._replicas.owns(name))

    def ready(self) -> bool:
        """Say whether the owners are known, and we have taken over what is ours; it stays so."""
        return self._ready

    def refresh(self, names: Iterable[str], handling: ClusterHandling) -> tuple[list[str], list[str]]:
        """Take over what we own by now, and let go what we own no longer; costs nothing while neither has changed.

        Args:
            names: All clusters, whoever polls them; the same frozenset while they are the same.
            handling: What is done with those that change hands.

        Returns:
            The clusters that were taken over, and those that were let go.
        """
        if self.alone:
            return [], []
        with self._lock:
            watched, known = frozenset(names), self._replicas.knows_owners()
            is_ours = self._replicas.ownership()
            if (is_ours, watched) == self._refreshed:
                self._ready |= known
                return [], []
            owned = frozenset(filter(is_ours, watched))
            lost, gained = sorted(self._held & watched - owned), sorted(owned - self._held)
            self._held &= owned
            if lost:
                handling.let_go(lost)
                _log.info("clusters_released", **self._counts(lost))
            for begin in range(0, len(gained), CLUSTERS_AT_ONCE):
                some = gained[begin : begin + CLUSTERS_AT_ONCE]
                handling.take_over(some)
                self._held = self._held.union(some)
            if gained:
                _log.info("clusters_taken_over", **self._counts(gained))
            self._ready |= known
            self._refreshed = is_ours, watched
        return gained, lost

    def _counts(self, names: list[str]) -> dict[str, int]:
        return {"clusters": len(names), "owned": len(self._held), "replicas": len(self._replicas.members())}
