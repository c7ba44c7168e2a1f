"""A cluster as the config makes it, for tests that need only some of its settings."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pydantic import SecretStr

from monitor.client import ImportApi, Network, connect
from monitor.config import Cluster

_DEFAULTS = Cluster(name="test", url="http://milvus", timeout=5.0, requests_per_second=1000.0)


def cluster(url: str, **changes: Any) -> Cluster:
    """Return a cluster with the defaults of the config file, except for a short timeout and a rate that never waits.

    Args:
        url: Its address.
        **changes: Fields of `Cluster`; ``api_key`` may be text.
    """
    if isinstance(changes.get("api_key"), str):
        changes["api_key"] = SecretStr(changes["api_key"])
    return _DEFAULTS.model_copy(update={"url": url.rstrip("/"), **changes})


@contextmanager
def connected(url: str, **changes: Any) -> Iterator[ImportApi]:
    """Give the import API of such a cluster, on connections of its own; a failed request is sent again at once."""
    with closing(Network(backoff=0.0)) as network:
        yield connect(cluster(url, **changes), network)
