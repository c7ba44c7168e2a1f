"""Which collections an expectation is about."""

from collections import defaultdict
from collections.abc import Iterable
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
    latest = _latest_imports(snapshot)
    by_name: dict[str, list[CollectionKey]] = defaultdict(list)
    for key in latest:
        by_name[key[1]].append(key)
    expected: dict[ExpectedKey, Expectation] = {}
    for expectation in expectations:
        if expectation.names_collection:
            matching = [key for key in by_name[expectation.collection] if expectation.includes(*key)]
            matching = matching or [(expectation.named_database, expectation.collection)]
        else:
            oldest = _oldest_expected(expectation, now)
            matching = [key for key, at in latest.items() if at > oldest and expectation.includes(*key)]
        for database, collection in sorted(matching):
            expected[expectation.name, database, collection] = expectation
    left_out = max(0, len(expected) - COLLECTIONS_LIMIT)
    return dict([*expected.items()][:COLLECTIONS_LIMIT]), left_out


def _oldest_expected(expectation: Expectation, now: float) -> float:
    """Return the time of its latest import up to which a collection that only a glob matches is expected no more."""
    start = expectation.cron.next(now)
    period = expectation.cron.next(start) - start
    return now - max(FORGOTTEN_AFTER, FORGOTTEN_PERIODS * period)


def _latest_imports(snapshot: Snapshot) -> dict[CollectionKey, float]:
    """Return the collections of a cluster, each with the time of its latest import, infinity where it is not known."""
    latest = {key: _latest(outcome) for key, outcome in snapshot.outcomes.items()}
    latest |= {(database, collection): float("inf") for database, collection, _ in snapshot.counts}
    latest |= {(job.database, job.collection): float("inf") for job in snapshot.tracked.values()}
    return latest


def _latest(outcome: CollectionOutcome) -> float:
    times = [at for at in (outcome.last_finished_at, outcome.last_completed_at) if at is not None]
    return max(times, default=float("inf"))
