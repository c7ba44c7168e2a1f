"""A cluster as the config makes it, for tests that need only some of its settings."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

from pydantic import SecretStr

from monitor.client import ImportApi, Network, connect
from monitor.config import Cluster, Tls

_DEFAULTS = Cluster(
    name="test",
    url="",
    api="v2",
    cluster_id="",
    project_id="",
    region_id="",
    api_key=SecretStr(""),
    databases=(),
    tls=Tls(),
    interval=30.0,
    timeout=5.0,
    page_size=100,
    requests_per_second=1000.0,
    stall_after=1800.0,
    pending_after=3600.0,
    uncommitted_after=3600.0,
    failed_retention=86_400.0,
    series_per_cluster=1000,
)


def cluster(url: str, **changes: Any) -> Cluster:
    """Return a cluster with the defaults of the config file, except for a short timeout and a rate that never waits.

    Args:
        url: Its address.
        **changes: Fields of `Cluster`; ``api_key`` may be text.
    """
    if isinstance(changes.get("api_key"), str):
        changes["api_key"] = SecretStr(changes["api_key"])
    return replace(_DEFAULTS, url=url.rstrip("/"), **changes)


@contextmanager
def connected(url: str, **changes: Any) -> Iterator[ImportApi]:
    """Give the import API of such a cluster, on connections of its own."""
    with closing(Network()) as network:
        yield connect(cluster(url, **changes), network)
