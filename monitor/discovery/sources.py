"""The source of each discovery."""

from collections.abc import Mapping
from pathlib import Path

from monitor.client import Network
from monitor.config import Discovery
from monitor.discovery.files import FilesSource
from monitor.discovery.http import HttpSource
from monitor.discovery.model import Source
from monitor.discovery.zilliz import ZillizSource


def create_source(discovery: Discovery, network: Network, directory: Path, environ: Mapping[str, str]) -> Source:
    """Return the source of a discovery; nothing is read or sent yet.

    Args:
        discovery: Its settings.
        network: The connections.
        directory: Where relative paths in files begin.
        environ: The variables in files.
    """
    has_key = bool(discovery.api_key.get_secret_value())
    if discovery.zilliz is not None:
        account = discovery.zilliz
        return ZillizSource(
            account.url,
            account.api_key,
            network=network,
            timeout=discovery.timeout,
            requests_per_second=discovery.requests_per_second,
            tls=discovery.tls,
            on_demand=account.on_demand,
            needs_project_names=any(
                "project" in entry.patterns() for entry in (*discovery.include, *discovery.exclude)
            ),
        )
    if discovery.http is not None:
        return HttpSource(discovery.http, network, discovery.timeout, has_key=has_key)
    return FilesSource(discovery.files or (), directory, environ, has_key=has_key)
