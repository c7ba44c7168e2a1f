"""When an import of a collection should happen, for pictures."""

from collections.abc import Iterable
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final

import msgspec

from monitor.config import Expectation
from monitor.expectations.occurrences import occurrence

WINDOWS_LIMIT: Final = 500
"""Windows of one period, at most: more could not be told apart in a picture."""


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
    """Return when imports of a collection should happen between two times, in the order of their starts.

    A window that begins earlier and reaches into the period is included.
    """
    found = []
    for one in expectations:
        if fnmatchcase(cluster, one.cluster) and one.includes(database, collection):
            for starts in islice(one.cron.between(since - one.complete_within, until), WINDOWS_LIMIT):
                expected = occurrence(one, starts)
                if expected.complete_by > since:
                    found.append(Window(one.name, starts, expected.start_by, expected.complete_by))
    return sorted(found, key=lambda window: window.starts)[:WINDOWS_LIMIT]
