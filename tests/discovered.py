"""Clusters as sources list them, and discoveries as a config has them."""

from typing import Any

from pydantic import SecretStr

from monitor.config import Cluster, Discovery, ZillizAccount
from monitor.discovery.cluster_list import ClusterList
from monitor.discovery.model import DiscoveredCluster
from monitor.discovery.reconcile import Plan, reconcile

URL = "https://api.cloud.zilliz.com"


def account(name: str = "zilliz", **settings: Any) -> Discovery:
    """Return a discovery of an account."""
    return Discovery(name=name, zilliz=ZillizAccount(api_key=SecretStr("key-of-" + name)), **settings)


def found(cluster_id: str, name: str = "", **facts: Any) -> DiscoveredCluster:
    """Return a cluster as an account lists it."""
    settings = {"url": URL, "cluster_id": cluster_id}
    return DiscoveredCluster(id=cluster_id, name=name or cluster_id, settings=settings, **facts)


def static(name: str, cluster_id: str) -> Cluster:
    """Return a cluster that is listed under `clusters`."""
    return Cluster(name=name, url=URL, cluster_id=cluster_id, api_key=SecretStr("static"))


def listed(*clusters: DiscoveredCluster, now: float = 0.0) -> ClusterList:
    """Return what is known after one whole list."""
    return ClusterList().update(clusters, now)


def plan(*discoveries: Discovery, now: float = 0.0, clusters: tuple[Cluster, ...] = (), **lists: ClusterList) -> Plan:
    """Return which clusters are watched."""
    return reconcile(clusters, discoveries, lists, now, lambda path: SecretStr(f"content of {path}"))


def names(made: Plan) -> dict[str, str]:
    """Return the names of the watched clusters, by their ids."""
    return {watched.cluster.cluster_id: watched.cluster.name for watched in made.watched}


def reasons(made: Plan) -> dict[str, str]:
    """Return why clusters are not watched or not polled, by their ids."""
    return {decision.listed.id: decision.reason for decision in made.decisions if decision.reason}
