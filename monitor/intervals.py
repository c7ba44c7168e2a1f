"""The interval at which each cluster is polled: shorter while it has unfinished jobs."""

from collections.abc import Callable
from dataclasses import dataclass

from monitor.config import Cluster
from monitor.jobs import Snapshot
from monitor.poller import PollOutcome


@dataclass(slots=True)
class _Watched:
    """A cluster, and whether it has unfinished jobs."""

    cluster: Cluster
    active: bool


class PollIntervals:
    """Decides at which interval each cluster is polled. Safe to use from the threads of polls and of reloads.

    Args:
        set_interval: Changes the interval of a scheduled cluster, by its name, in seconds.
    """

    def __init__(self, set_interval: Callable[[str, float], None]) -> None:
        self._set_interval = set_interval
        self._clusters: dict[str, _Watched] = {}

    def watch(self, cluster: Cluster, snapshot: Snapshot | None) -> float:
        """Return the interval of a new or reconfigured cluster, by what is known of its jobs."""
        active = snapshot is not None and snapshot.has_unfinished_jobs()
        watched = self._clusters[cluster.name] = _Watched(cluster, active)
        return self._interval(watched)

    def forget(self, name: str) -> None:
        """Forget a cluster that is no longer watched."""
        self._clusters.pop(name, None)

    def poll_finished(self, name: str, outcome: PollOutcome) -> None:
        """Change the interval of a cluster where its poll saw its first job begin, or its last one finish."""
        watched, changes = self._clusters.get(name), outcome.diff
        if watched is None or changes is None or not changes.changes_something:
            return
        active = changes.snapshot.has_unfinished_jobs()
        if active is not watched.active:
            watched.active = active
            self._set_interval(name, self._interval(watched))

    def _interval(self, watched: _Watched) -> float:
        return watched.cluster.poll_interval(active=watched.active)
