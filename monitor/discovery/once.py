"""Lists the clusters of a config's discoveries once, for a command."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import time

from monitor.client import Network
from monitor.config import Config, Discovery, read_api_key
from monitor.discovery.discoverer import create_source
from monitor.discovery.known import KnownList, decode
from monitor.discovery.model import DiscoveryError
from monitor.discovery.reconcile import Plan, reconcile


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
    lists: dict[str, KnownList] = {}
    errors: dict[str, str] = {}
    directory = config.path.parent if config.path else Path()

    def attempt(discovery: Discovery) -> KnownList | DiscoveryError:
        known = KnownList()
        with suppress(ValueError):
            known = decode(stored(discovery.name) or "[]")
        lists[discovery.name] = known
        try:
            return known.update(create_source(discovery, network, directory, os.environ).list_clusters(), time())
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
