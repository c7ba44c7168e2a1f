"""The names that the search form suggests."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

import msgspec

from monitor.web.cluster_status import ClusterStatus

SUGGESTED_NAMES: Final = 200
"""Names of one field: some 10 kB of the page, and more than people read."""

CLUSTERS_READ: Final = 1000
"""Clusters whose labels, databases and collections are suggested, those in trouble first: some milliseconds."""


class Suggestions(msgspec.Struct, frozen=True):
    """Names to choose from, sorted, by field of the form."""

    clusters: list[str]
    labels: list[str]
    databases: list[str]
    collections: list[str]


def suggest(names: list[str], statuses: Iterable[ClusterStatus]) -> Suggestions:
    """Return the first names of clusters, and the labels, databases and collections of some clusters."""
    labels: set[str] = set()
    databases: set[str] = set()
    collections: set[str] = set()
    for status in islice(statuses, CLUSTERS_READ):
        if len(labels) < SUGGESTED_NAMES:
            labels.update(f"{name}:{value}" for name, value in status.cluster.labels.items())
        if len(collections) < SUGGESTED_NAMES:
            for database, collection, _ in islice(status.snapshot.counts, SUGGESTED_NAMES):
                databases.add(database)
                collections.add(collection)
        if len(collections) < SUGGESTED_NAMES:
            for job in islice(status.tracked.values(), SUGGESTED_NAMES):
                databases.add(job.database)
                collections.add(job.collection)
    return Suggestions(names[:SUGGESTED_NAMES], _first(labels), _first(databases), _first(collections))


def _first(names: set[str]) -> list[str]:
    return sorted(name for name in names if name)[:SUGGESTED_NAMES]
