"""The clusters of a config together with those that its discoveries find, for commands that run once."""

from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress

from monitor.cli.options import INTERRUPTED, exit_process, fail
from monitor.cli.output import printable
from monitor.client import Network
from monitor.config import Cluster, Config
from monitor.discovery.once import list_once
from monitor.discovery.reconcile import Plan
from monitor.store import StoreError, reading


def find_clusters(config: Config, store_url: str | None = None) -> tuple[Plan, dict[str, str]]:
    """List the clusters of every discovery once; return which are watched, and one sentence for each failure, by name.

    Clusters have the names that a monitor has recorded in the store, by default that of the config, if it can be read.
    """
    with ExitStack() as stack:
        network = stack.enter_context(closing(Network()))
        store = None
        with suppress(StoreError):
            store = stack.enter_context(reading(store_url or config.state.url.get_secret_value()))
        try:
            return list_once(config, network, store.discovered if store else lambda _name: None)
        except KeyboardInterrupt:
            exit_process(INTERRUPTED)


def polled_clusters(config: Config, store_url: str | None = None) -> tuple[Cluster, ...]:
    """Return the clusters to poll, those under `clusters` first; exit with 1 if a discovery fails."""
    if not config.discovery:
        return config.clusters
    plan, errors = find_clusters(config, store_url)
    if errors:
        fail("\n".join(failures(errors)), code=1)
    return tuple(watched.cluster for watched in plan.watched if watched.polled)


def failures(errors: Mapping[str, str]) -> list[str]:
    """Return one line for each discovery that failed."""
    return [printable(f"discovery {name}: {error}") for name, error in errors.items()]
