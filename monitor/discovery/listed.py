"""Entries of a list of clusters as a source returns them."""

from collections.abc import Iterable
from typing import Any

from monitor.config import Cluster
from monitor.discovery.model import DiscoveredCluster


def from_entries(clusters: Iterable[Cluster]) -> tuple[DiscoveredCluster, ...]:
    """Return clusters that are listed as under `clusters`: each with the settings that its entry makes."""
    return tuple(
        DiscoveredCluster(
            id=cluster.cluster_id or cluster.identity().removeprefix("/"),
            name=cluster.name,
            settings=_settings(cluster),
            project_id=cluster.project_id,
            region=cluster.region_id,
        )
        for cluster in clusters
    )


def _settings(cluster: Cluster) -> dict[str, Any]:
    """Return what an entry sets, as plain data but for the key; of a key in a file only the file."""
    keys = cluster.model_fields_set - {"name", "api_key"}
    settings = cluster.model_dump(mode="json", include=keys, exclude_unset=True)
    if cluster.api_key_file is None and "api_key" in cluster.model_fields_set:
        settings["api_key"] = cluster.api_key
    return settings
