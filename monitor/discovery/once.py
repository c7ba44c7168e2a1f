"""Lists the clusters of a config's discoveries once, for a command."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import time

from monitor.client import Network
from monitor.config import Config, Discovery, read_api_key
from monitor.discovery.cluster_list import ClusterList, decode
from monitor.discovery.model import DiscoveryError
from monitor.discovery.reconcile import Plan, reconcile
from monitor.discovery.sources import create_source


def list_once(
    config: Config, network: Network, stored: Callable[[str], str | None] = lambda _name: None
) -> tuple[Plan, dict[str, str]]:
    """List the clusters of every discovery once, all at the same time, and decide which are watched.

    Args:
        config: The config.
        network: The connections.
        stored: Returns the list of a discovery that was kept last, by its name; its clusters keep their names.

    Returns:
        The plan, and why discoveries failed, by their names: of those it has what was stored.
    """
    lists: dict[str, ClusterList] = {}
    errors: dict[str, str] = {}
    directory = config.path.parent if config.path else Path()

    def attempt(discovery: Discovery) -> ClusterList | DiscoveryError:
        latest = ClusterList()
        with suppress(ValueError):
            latest = decode(stored(discovery.name) or "[]")
        lists[discovery.name] = latest
        try:
            return latest.update(create_source(discovery, network, directory, os.environ).list_clusters(), time())
        except DiscoveryError as error:
            return error

    pool = ThreadPoolExecutor(max(1, len(config.discovery)))
    try:
        for discovery, result in zip(config.discovery, pool.map(attempt, config.discovery), strict=True):
            if isinstance(result, DiscoveryError):
                errors[discovery.name] = str(result)
            else:
                lists[discovery.name] = result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for a server
    return reconcile(config.clusters, config.discovery, lists, time(), read_api_key), errors
