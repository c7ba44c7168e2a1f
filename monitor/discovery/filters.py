"""Which clusters the filters of a discovery include."""

from fnmatch import fnmatchcase

from monitor.config import ClusterFilter, Discovery
from monitor.discovery.model import DiscoveredCluster


def excluded_by(discovery: Discovery, cluster: DiscoveredCluster) -> str:
    """Return why the filters of a discovery leave a cluster out; empty where they do not."""
    for number, entry in enumerate(discovery.exclude):
        if matches(entry, cluster):
            return f"excluded by exclude[{number}] ({_written(entry)})"
    if discovery.include and not included_by(discovery, cluster):
        return "matches no entry of include"
    return ""


def included_by(discovery: Discovery, cluster: DiscoveredCluster) -> str:
    """Return which entry of `include` a cluster matches; empty where there is none, or no `include`."""
    for number, entry in enumerate(discovery.include):
        if matches(entry, cluster):
            return f"included by include[{number}] ({_written(entry)})"
    return ""


def matches(entry: ClusterFilter, cluster: DiscoveredCluster) -> bool:
    """Return whether a cluster matches all globs of an entry."""
    facts = {"project": (cluster.project, cluster.project_id)}
    return all(
        any(fnmatchcase(fact, pattern) for fact in facts.get(key, (getattr(cluster, key),)))
        for key, pattern in entry.patterns().items()
    )


def _written(entry: ClusterFilter) -> str:
    return ", ".join(f"{key}: {pattern}" for key, pattern in entry.patterns().items())
