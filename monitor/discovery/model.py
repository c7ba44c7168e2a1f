"""What a discovery finds, and how it fails."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec


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
