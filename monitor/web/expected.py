"""When imports of a cluster or a collection are expected, for the timelines."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final

from monitor.config import Expectation
from monitor.expectations import windows
from monitor.jobs import CollectionKey
from monitor.web.timeline import ROWS_DRAWN, Window, row_name

WINDOWS_DRAWN: Final = 200
"""Windows of a timeline, at most: as many as imports."""


def expected_windows(
    expectations: Sequence[Expectation],
    cluster: str,
    collections: Iterable[CollectionKey],
    period: tuple[float, float],
    *,
    by_collection: bool,
) -> list[Window]:
    """Return when imports are expected between two times, in seconds since the epoch.

    Args:
        expectations: Those of the config.
        cluster: The name of the cluster.
        collections: Its collections, those with the latest imports first.
        period: From when and until when.
        by_collection: Whether each collection has a row; then there is also one of each that should have had imports.
    """
    if not expectations:
        return []
    keys = dict.fromkeys(islice(collections, ROWS_DRAWN))
    if by_collection:
        of_cluster = (one for one in expectations if one.names_collection and fnmatchcase(cluster, one.cluster))
        known = {collection for _, collection in keys}
        never = ((one.named_database, one.collection) for one in of_cluster if one.collection not in known)
        keys |= dict.fromkeys(islice(never, ROWS_DRAWN))
    found = [
        Window(window.starts, window.complete_by, row_name(*key) if by_collection else "", window.expectation)
        for key in keys
        for window in windows(expectations, cluster, *key, *period)
    ]
    return sorted(found, key=lambda window: window.start)[-WINDOWS_DRAWN:]
