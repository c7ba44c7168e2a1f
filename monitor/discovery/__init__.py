"""Which clusters there are, besides those that the config file lists: a Zilliz Cloud key's, files, and an inventory."""

from monitor.discovery.model import REMOVED, DiscoveryStatus, WatchedCluster

__all__ = ["REMOVED", "DiscoveryStatus", "WatchedCluster"]
