"""The expected imports, as the API and the pages show them. Their fields are a contract: docs/http.md."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

import msgspec
from msgspec.structs import asdict

from monitor.expectations import ExpectedState
from monitor.jobs import CollectionKey
from monitor.store import StoreUnavailableError
from monitor.web.context import Context
from monitor.web.params import PAGE_LIMIT

EXPECTATIONS_SHOWN: Final = 50
"""Expected imports of a page, at most: those in trouble first."""


class ExpectationView(msgspec.Struct, frozen=True, kw_only=True):
    """The current occurrence of an expected import."""

    cluster: str
    labels: dict[str, str]  # those of its cluster
    expectation: str
    database: str  # empty where it is not known
    collection: str
    state: ExpectedState
    starts: datetime  # when it should start
    deadline: datetime  # until when it has to be complete
    last_poll: datetime  # up to when its cluster had been polled, as stored every few minutes


class Expectations(msgspec.Struct, frozen=True, kw_only=True):
    """Expected imports, those in trouble first; empty and not `complete` without the database."""

    expectations: list[ExpectationView]
    complete: bool


async def find_expectations(
    context: Context, clusters: Collection[str] | None, limit: int, collection: CollectionKey | None = None
) -> Expectations:
    """Return the expected imports of some clusters, None for all, or only those of one collection."""
    names = {expectation.name for expectation in context.monitor.expectations}
    if not names:
        return Expectations(expectations=[], complete=True)

    def load() -> Expectations:
        try:
            records = context.store.expected_imports(clusters, PAGE_LIMIT)
        except StoreUnavailableError:
            return Expectations(expectations=[], complete=False)
        views = []
        for record in records:
            status = context.fleet.cluster(record.cluster)
            if status is None or record.expectation not in names:  # no longer in the config
                continue
            if collection in (None, (record.database, record.collection)):
                times = {"starts": record.occurrence, "last_poll": record.seen_until}
                facts = asdict(record) | times | {"labels": status.cluster.labels}
                views.append(msgspec.convert(facts, ExpectationView, strict=False))
        return Expectations(expectations=views[:limit], complete=True)

    return await context.store_pool.run(load)
