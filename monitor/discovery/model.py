"""What a discovery lists, what is watched of it, and how it fails."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from monitor.config import Cluster

REMOVED: Final = "removed"
"""The status of a cluster that was removed, while its failures are still shown."""

WITHOUT_KEY: Final = "without key"
"""The status of a cluster whose key is not known after a start, until it is listed again; its failures are shown."""


class DiscoveredCluster(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster as its source lists it.

    Attributes:
        id: What identifies it at its source, whatever it is called: the cluster's id, or project and region of an
            on-demand project, or else its URL.
        name: Its name at the source, which may change and need not be unique.
        settings: The keys of an entry of `clusters` by which it is reached, such as `url` and `cluster_id`; without its
            name.
        project: Its project's name at the source; empty where the source says none, as for the following.
        project_id: Its project's id.
        region: Its region's id.
        plan: Its plan.
        status: Its status in the source's words.
    """

    id: str
    name: str
    settings: Mapping[str, Any]
    project: str = ""
    project_id: str = ""
    region: str = ""
    plan: str = ""
    status: str = ""


class DiscoveryError(Exception):
    """A source could not be listed whole; its text is one sentence for people, without secrets."""


class Source(Protocol):
    """Lists clusters."""

    def list_clusters(self) -> tuple[DiscoveredCluster, ...]:
        """Return every cluster of the source.

        Raises:
            DiscoveryError: The list is not complete.
            StoppedError: The monitor is stopping.
        """


class WatchedCluster(msgspec.Struct, frozen=True):
    """A cluster to watch, and where it comes from."""

    cluster: Cluster
    discovery: str = ""  # the name of its discovery; empty where it is listed under `clusters`
    source_name: str = ""  # its name at the source, which may have changed since it was found; empty under `clusters`
    status: str = ""
    """Its status in the source's words, or `removed` or `without key`; empty where the source says none."""
    polled: bool = True
    """Whether it is polled: not while it is suspended, stopped, being deleted, removed, or without its key."""
    missing: bool = False  # whether the latest list of its discovery lacks it, and it is not removed yet

    @property
    def shows_failures(self) -> bool:
        """Whether its failures are shown while it is not polled: it has gone only from the list, or for a moment."""
        return self.status in {REMOVED, WITHOUT_KEY}


class DiscoveryStatus(msgspec.Struct, frozen=True):
    """How a discovery is doing."""

    up: bool | None  # whether its latest list was complete; None before the first attempt
    clusters: int  # clusters of it that are watched, those that are not polled included
    last_success: float | None
    """When its latest complete list came, in seconds since the epoch; None where there is none."""
