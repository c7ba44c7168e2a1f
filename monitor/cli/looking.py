"""One look at every cluster, for the commands that print what is there now."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from monitor.api import ApiError, Network, connect
from monitor.config import Cluster, Config
from monitor.jobs import Observation
from monitor.poller import observe


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a cluster found.

    Attributes:
        cluster: The cluster.
        seen: Its jobs, or None where it could not be asked.
        rejected: Records of its list that were no jobs.
        error: Why it could not be asked, or None.
    """

    cluster: Cluster
    seen: Observation | None = None
    rejected: tuple[str, ...] = ()
    error: ApiError | None = None


def look(config: Config, clusters: Iterable[Cluster]) -> list[Look]:
    """Ask every cluster once, as many at a time as the config allows, and return what each answered, in their order."""
    network = Network(connections=config.concurrency)
    with ThreadPoolExecutor(config.concurrency) as pool:
        looks = list(pool.map(lambda cluster: _look(cluster, network), clusters))
    network.close()
    return looks


def _look(cluster: Cluster, network: Network) -> Look:
    try:
        seen, listing = observe(connect(cluster, network), None, time.time(), {"milvus_cluster": cluster.name})
    except ApiError as error:
        return Look(cluster, error=error)
    return Look(cluster, seen, tuple(listing.rejected))
