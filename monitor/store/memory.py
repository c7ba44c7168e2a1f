"""A store that lasts as long as the process: ``memory://``."""

from monitor.jobs import Difference, Picture


class MemoryStore:
    """Keeps the pictures in memory. After a restart every cluster begins with a baseline."""

    def __init__(self) -> None:
        self._pictures: dict[str, Picture] = {}

    def picture(self, cluster: str) -> Picture | None:
        """Return the picture after the last complete poll of a cluster; None before its first."""
        return self._pictures.get(cluster)

    def record(self, cluster: str, difference: Difference) -> None:
        """Put the new picture in place of the previous one."""
        self._pictures[cluster] = difference.picture

    def forget(self, cluster: str) -> None:
        """Forget a cluster."""
        self._pictures.pop(cluster, None)
