"""What a config changes of the pollers: which begin, get new settings, or end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitor.client import ImportApi, Network, connect
from monitor.discovery import WatchedCluster
from monitor.poller import Poller


@dataclass(frozen=True, slots=True)
class PollerChanges:
    """What a config changes, ready to be applied without failing.

    Attributes:
        watched: The clusters to watch, by name.
        added: The import APIs of the clusters that get a poller, by name.
        reconfigured: The import APIs of the clusters whose settings have changed, by name.
        stopped: The names of the pollers that end.
    """

    watched: Mapping[str, WatchedCluster]
    added: Mapping[str, ImportApi]
    reconfigured: Mapping[str, ImportApi]
    stopped: frozenset[str]


def plan_changes(planned: Sequence[WatchedCluster], pollers: Mapping[str, Poller], network: Network) -> PollerChanges:
    """Connect to the clusters that are new or changed; changes nothing that is in use.

    Args:
        planned: The clusters to watch.
        pollers: The pollers in use, by their clusters' names.
        network: Connects to the clusters.

    Raises:
        ConfigError: A cluster's certificates cannot be used.
    """
    watched = {entry.cluster.name: entry for entry in planned}
    clusters = {name: entry.cluster for name, entry in watched.items()}
    kept = {
        name: poller
        for name, poller in pollers.items()
        if name in clusters and poller.cluster.identity() == clusters[name].identity()
    }
    reconfigured = {
        name: connect(clusters[name], network, poller.usage, poller.known_databases)
        for name, poller in kept.items()
        if poller.cluster != clusters[name]
    }
    added = {name: connect(cluster, network) for name, cluster in clusters.items() if name not in kept}
    return PollerChanges(watched, added, reconfigured, frozenset(pollers.keys() - kept.keys()))
