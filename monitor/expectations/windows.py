"""When an import of a collection is expected, for charts."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from monitor.config import Expectation
from monitor.expectations.occurrences import occurrence

WINDOWS_LIMIT: Final = 500
"""Windows of one period, at most: more could not be told apart in a chart."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """One start of an expectation: until when an import has to have begun, and to be complete; seconds since the epoch.

    ``start_by`` is None where only the end counts.
    """

    expectation: str
    starts: float
    start_by: float | None
    complete_by: float


def windows(
    expectations: Iterable[Expectation], cluster: str, database: str, collection: str, since: float, until: float
) -> list[Window]:
    """Return when imports of a collection are expected between two times, in the order of their starts.

    A window that begins earlier and reaches into the period is included.
    """
    shown: list[Window] = []
    for expectation in expectations:
        if fnmatchcase(cluster, expectation.cluster) and expectation.includes(database, collection):
            starts = expectation.cron.between(since - expectation.complete_within, until)[:WINDOWS_LIMIT]
            occurrences = [occurrence(expectation, at) for at in starts]
            shown += [
                Window(expectation.name, expected.starts, expected.start_by, expected.complete_by)
                for expected in occurrences
                if expected.complete_by > since
            ]
    return sorted(shown, key=lambda window: window.starts)[:WINDOWS_LIMIT]
