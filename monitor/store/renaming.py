"""Clusters that have another name in the config than when the monitor last ran: what is stored of them stays theirs."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, bindparam, delete, update

from monitor.store.database import Database
from monitor.store.pages import ClusterRef
from monitor.store.schema import clusters, expectations, jobs, outcomes, samples, statuses, transitions

RENAME_TIMEOUT: Final = 60.0
"""Seconds that renaming a cluster may take; it can have a hundred thousand transitions."""

_KEYED: Final = (jobs.c.cluster, outcomes.c.cluster, samples.c.cluster, expectations.c.cluster, statuses.c.name)
"""Columns by which a row belongs to a cluster, of tables with at most one such row."""

_RENAME: Final = (
    update(clusters)
    .where(clusters.c.name == bindparam("previous"), clusters.c.identity == bindparam("cluster_identity"))
    .values(name=bindparam("current"))
)

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")


def rename_clusters(
    database: Database, refs: Collection[ClusterRef], stored: Mapping[str, tuple[str, int]], watched: Collection[str]
) -> None:
    """Give new clusters that are stored under other names, which nothing is watched by any more, their new names.

    Args:
        database: The database.
        refs: The clusters.
        stored: The identity and the revision of each stored cluster by its name.
        watched: The names of the clusters that are watched.
    """
    for previous, ref in _renamed(refs, stored, watched).items():
        if database.write(partial(_rename, previous=previous, ref=ref), RENAME_TIMEOUT):
            labels = {"milvus_cluster": ref.name, "cluster_id": ref.cluster_id}
            _log.info("cluster_renamed", **labels, previous_name=previous)


def _renamed(
    refs: Collection[ClusterRef], stored: Mapping[str, tuple[str, int]], watched: Collection[str]
) -> dict[str, ClusterRef]:
    """Return clusters that are stored under another name, by that name.

    A cluster is left out if it is stored under its name, or under several others, or if that one is watched.
    """
    unstored = {ref.identity: ref for ref in refs if ref.name not in stored}
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, (identity, _) in stored.items() if unstored else ():
        if identity in unstored:
            names[identity].append(name)
    return {
        found[0]: unstored[identity] for identity, found in names.items() if len(found) == 1 and found[0] not in watched
    }


def _rename(connection: Connection, previous: str, ref: ClusterRef) -> bool:
    """Give what is stored of a cluster its new name; return False if another monitor has done so."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    keys = {"previous": previous, "current": ref.name, "cluster_identity": ref.identity}
    if not connection.execute(_RENAME, keys).rowcount:
        return False
    for column in _KEYED:  # what is left of an earlier cluster of that name
        connection.execute(delete(column.table).where(column == ref.name))
    for column in (*_KEYED, transitions.c.cluster):
        connection.execute(update(column.table).where(column == previous).values({column.name: ref.name}))
    return True
