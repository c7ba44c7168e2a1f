"""What is remembered of the lists of a discovery: a cluster that is not listed for a moment is not gone."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from monitor.discovery.model import DiscoveredCluster, DiscoveryError

MISSED_LISTS: Final = 3
"""Whole lists without a cluster after which it is removed, once `MISSED_SECONDS` have passed as well."""

MISSED_SECONDS: Final = 900.0
"""Seconds since the first whole list without a cluster."""


class ListedCluster(msgspec.Struct, frozen=True, omit_defaults=True):
    """A cluster as it was listed last.

    Attributes:
        label: Its name in `milvus_cluster`, the first one it was watched under; empty before.
        missed_lists: Whole lists without it since it was listed last.
        missing_since: When the first of them came, in seconds since the epoch.
        removed_at: When it was removed; it can come back.
        without_key: Whether its entry had a key as text, which is not kept from one start to the next: it cannot be
            polled before it is listed again.
    """

    listed: DiscoveredCluster
    label: str = ""
    missed_lists: int = 0
    missing_since: float | None = None
    removed_at: float | None = None
    without_key: bool = False


class ClusterList(msgspec.Struct, frozen=True):
    """The clusters of a discovery."""

    clusters: Mapping[str, ListedCluster] = {}  # by id, in the order in which they were found
    repeated: tuple[DiscoveredCluster, ...] = ()  # entries of the latest list whose id another entry has
    listed_at: float | None = None  # when the latest whole list came, in seconds since the epoch; None before the first
    error: str = ""  # why there is no newer one; empty where the latest attempt succeeded

    def update(self, listed: Iterable[DiscoveredCluster], now: float) -> "ClusterList":
        """Return what is known after a whole list.

        Raises:
            DiscoveryError: The list is empty and the one before was not: it counts as a response that is not complete.
        """
        current: dict[str, DiscoveredCluster] = {}
        repeated = []
        for cluster in listed:
            if cluster.id in current:
                repeated.append(cluster)
            else:
                current[cluster.id] = cluster
        present = sum(entry.removed_at is None for entry in self.clusters.values())
        if present and not current:
            raise DiscoveryError(f"the list is empty, and had {present:,} cluster{'s' if present > 1 else ''} before")
        clusters = {
            cluster_id: ListedCluster(current[cluster_id], entry.label)
            if cluster_id in current
            else _missed(entry, now)
            for cluster_id, entry in self.clusters.items()
        }
        clusters |= {key: ListedCluster(cluster) for key, cluster in current.items() if key not in clusters}
        return ClusterList(clusters, tuple(repeated), now)

    def failed(self, error: str) -> "ClusterList":
        """Return what is known after an attempt that failed: the same."""
        return replace(self, error=error)


def _missed(entry: ListedCluster, now: float) -> ListedCluster:
    if entry.removed_at is not None:
        return entry
    missed, since = entry.missed_lists + 1, entry.missing_since or now
    is_gone = missed >= MISSED_LISTS and now - since >= MISSED_SECONDS
    return replace(entry, missed_lists=missed, missing_since=since, removed_at=now if is_gone else None)


def encode(clusters: ClusterList) -> str:
    """Return the clusters of a list as JSON for the store, without secrets."""
    return msgspec.json.encode([_without_secrets(cluster) for cluster in clusters.clusters.values()]).decode()


def decode(text: str) -> ClusterList:
    """Return what `encode` wrote.

    Raises:
        ValueError: It is something else.
    """
    clusters = msgspec.json.decode(text, type=list[ListedCluster])
    return ClusterList({entry.listed.id: entry for entry in clusters})


def _without_secrets(entry: ListedCluster) -> ListedCluster:
    settings: dict[str, Any] = dict(entry.listed.settings)
    without_key = settings.pop("api_key", None) is not None or entry.without_key
    return replace(entry, listed=replace(entry.listed, settings=settings), without_key=without_key)
