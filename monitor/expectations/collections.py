"""Which collections an expectation is about."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from monitor.config import Expectation
from monitor.jobs import CollectionKey, CollectionOutcome, Snapshot

COLLECTIONS_LIMIT: Final = 1000
"""Expected imports of one cluster: each has two or three series, and is evaluated every few seconds."""

FORGOTTEN_AFTER: Final = 30 * 86_400.0
"""Seconds after its latest import when a collection that only a glob matches is expected no more: it may be dropped."""

FORGOTTEN_PERIODS: Final = 3
"""Times from one start to the next for which it is expected in any case."""

ExpectedKey = tuple[str, str, str]
"""An expectation by its name, a database and a collection."""


def expected_imports(
    expectations: Iterable[Expectation], snapshot: Snapshot, now: float
) -> tuple[dict[ExpectedKey, Expectation], int]:
    """Return the expected imports of a cluster, and how many more are left out because there are too many."""
    known = _known_collections(snapshot)
    expected: dict[ExpectedKey, Expectation] = {}
    for expectation in expectations:
        for database, collection in _collections(expectation, known, now):
            expected[expectation.name, database, collection] = expectation
    left_out = max(0, len(expected) - COLLECTIONS_LIMIT)
    return dict([*expected.items()][:COLLECTIONS_LIMIT]), left_out


def _collections(expectation: Expectation, known: Mapping[CollectionKey, float], now: float) -> Iterator[CollectionKey]:
    matching = sorted(key for key in known if expectation.includes(*key))
    if not expectation.names_collection:
        start = expectation.cron.next(now)
        period = expectation.cron.next(start) - start
        oldest = now - max(FORGOTTEN_AFTER, FORGOTTEN_PERIODS * period)
        yield from (key for key in matching if known[key] > oldest)
    elif matching:
        yield from matching
    else:
        yield expectation.named_database, expectation.collection


def _known_collections(snapshot: Snapshot) -> dict[CollectionKey, float]:
    """Return the collections of a cluster, each with the time of its latest import, infinity where it is not known."""
    known = {key: _latest(outcome) for key, outcome in snapshot.outcomes.items()}
    known |= {(database, collection): float("inf") for database, collection, _ in snapshot.counts}
    known |= {(job.database, job.collection): float("inf") for job in snapshot.tracked.values()}
    return known


def _latest(outcome: CollectionOutcome) -> float:
    times = [at for at in (outcome.last_finished_at, outcome.last_completed_at) if at is not None]
    return max(times, default=float("inf"))
