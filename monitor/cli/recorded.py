"""What a monitor has recorded, for the commands that look at it."""

from collections.abc import Iterable

from monitor.cli.given import state_url
from monitor.cli.options import fail
from monitor.config import Cluster, Config
from monitor.jobs import Picture
from monitor.store import History, StoreError, Wanted, Whose, reading


def recorded_pictures(config: Config, clusters: Iterable[Cluster], store: str | None) -> dict[str, Picture]:
    """Return the recorded picture of each cluster that has one, by name; exit with 2 where nothing can be read."""
    pictures = {}
    try:
        with reading(_where(config, store)) as database:
            for cluster in clusters:
                stored = database.load(Whose(cluster.name, cluster.identity()))
                if stored is not None:
                    pictures[cluster.name] = stored.picture
    except StoreError as error:
        fail(f"what has vanished is known only from what was recorded, and {error}")
    return pictures


def recorded_transitions(config: Config, store: str | None, wanted: Wanted, limit: int) -> History:
    """Return the newest of the wanted transitions; exit with 2 where nothing can be read."""
    try:
        with reading(_where(config, store)) as database:
            return database.history(wanted, None, limit)
    except StoreError as error:
        fail(str(error))


def _where(config: Config, store: str | None) -> str:
    return (config.state.url if store is None else state_url("--store", store)).get_secret_value()
