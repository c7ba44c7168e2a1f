"""When imports of a cluster or a collection are expected, for the timelines."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final

from monitor.config import Expectation
from monitor.expectations import occurrences
from monitor.jobs import Job
from monitor.web.timeline import ROWS_DRAWN, Window, row_name

WINDOWS_DRAWN: Final = 200
"""Windows of a timeline, at most: as many as imports."""


def expected_windows(
    expectations: Sequence[Expectation],
    cluster: str,
    jobs: Iterable[Job],
    period: tuple[float, float],
    *,
    by_collection: bool,
) -> list[Window]:
    """Return when imports are expected between two times, in seconds since the epoch.

    Args:
        expectations: Those of the config.
        cluster: The name of the cluster.
        jobs: Its jobs; the collections of the first ones are those that have a row.
        period: From when and until when.
        by_collection: Whether each collection has a row; then expected collections without imports have one too.
    """
    of_cluster = [expectation for expectation in expectations if fnmatchcase(cluster, expectation.cluster)]
    imported = dict.fromkeys((job.database, job.collection) for job in jobs)
    keys = dict.fromkeys(islice(imported, ROWS_DRAWN))
    if by_collection:
        shown = {collection for _, collection in keys}
        named = (item for item in of_cluster if item.names_collection and item.collection not in shown)
        keys |= dict.fromkeys(islice(((item.named_database, item.collection) for item in named), ROWS_DRAWN))
    drawn = [
        Window(expected.starts, expected.complete_by, row_name(*key) if by_collection else "", expectation.name)
        for expectation in of_cluster
        if (rows := [key for key in keys if expectation.includes(*key)])
        for expected in occurrences(expectation, *period, WINDOWS_DRAWN)
        for key in rows
    ]
    return sorted(drawn, key=lambda window: window.start)[-WINDOWS_DRAWN:]
