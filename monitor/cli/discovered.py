"""The clusters of a config together with those that its discoveries find, for commands that poll by themselves."""

from contextlib import ExitStack, closing, suppress

from monitor.cli.options import fail
from monitor.cli.output import printable
from monitor.client import Network
from monitor.config import Cluster, Config
from monitor.discovery.once import list_once
from monitor.store import StoreError, reading


def polled_clusters(config: Config) -> tuple[Cluster, ...]:
    """Return the clusters to poll, those under `clusters` first; exit with 1 if a discovery fails.

    They have the names that a monitor has recorded in the store, if it can be read.
    """
    if not config.discovery:
        return config.clusters
    with ExitStack() as stack:
        network = stack.enter_context(closing(Network()))
        store = None
        with suppress(StoreError):
            store = stack.enter_context(reading(config.state.url.get_secret_value()))
        plan, errors = list_once(config, network, store.discovered if store else lambda _name: None)
    if errors:
        fail("\n".join(printable(f"discovery {name}: {error}") for name, error in errors.items()), code=1)
    return tuple(watched.cluster for watched in plan.watched if watched.polled)
