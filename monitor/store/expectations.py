"""The current occurrence of each expected import, as it is stored."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Insert, Select, bindparam, case, delete, select, update

from monitor.store.database import Database
from monitor.store.schema import expectations
from monitor.store.statements import ROWS_AT_ONCE, chunks

RECORDS_KEPT: Final = 90 * 86_400.0
"""Seconds for which the record of an import is kept that is no longer expected."""

TROUBLE: Final = ("missed", "too_few_rows", "late", "late_start")
"""The states that are shown first."""

_KEY: Final = ("cluster", "expectation", "database", "collection")


class ExpectationRecord(msgspec.Struct, frozen=True):
    """What is known of an expected import of one collection; times in seconds since the epoch.

    Attributes:
        cluster: The name of the cluster.
        expectation: The name of the expectation.
        occurrence: When the current occurrence starts.
        deadline: Until when it has to be complete.
        state: Its state.
        reported: The events of the occurrence that are in the log, separated by commas.
        known_since: Since when no import can have come and gone unseen.
        gap_from: The beginning of the latest time without polls.
        gap_to: Its end.
        seen_until: When the cluster was last polled.
        revision: Grows with each change.
    """

    cluster: str
    expectation: str
    database: str
    collection: str
    occurrence: float
    deadline: float
    state: str
    known_since: float
    gap_from: float
    gap_to: float
    seen_until: float
    reported: str = ""
    revision: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """The expectation, the database and the collection."""
        return self.expectation, self.database, self.collection


class ExpectationTable:
    """Reads and writes the records. Its errors come out as they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, names: Collection[str]) -> list[ExpectationRecord]:
        """Return the records of some clusters."""
        records: list[ExpectationRecord] = []
        for some in chunks([*names], ROWS_AT_ONCE):
            query = select(expectations).where(expectations.c.cluster.in_(some))
            records += self._database.read(partial(_records, query=query))
        return records

    def write(self, connection: Connection, record: ExpectationRecord) -> bool:
        """Write a record whose revision is that of the stored one, 0 for a new one; return whether it still was.

        A new one replaces one that cannot be read, which would otherwise keep it away for good.
        """
        values = msgspec.structs.asdict(record) | {"revision": record.revision + 1}
        if not record.revision:
            add = _add(connection.dialect.name)
            if connection.execute(add, values).rowcount == 1:
                return True
            if _records(connection, select(expectations).where(*_THE_RECORD).params(_keys(record))):
                return False
            self.delete(connection, record)
            return connection.execute(add, values).rowcount == 1
        key = _keys(record)
        for name in _KEY:
            del values[name]
        return connection.execute(_UPDATE.values(values), key | {"seen_revision": record.revision}).rowcount == 1

    def write_seen(self, seen_until: Mapping[str, float], now: float) -> None:
        """Store when clusters were last polled, by their names, and forget what has not been expected for long."""
        rows = [{"its_cluster": name, "seen": at} for name, at in sorted(seen_until.items())]

        def work(connection: Connection) -> None:
            if rows:
                connection.execute(_SEEN, rows)
            connection.execute(_PRUNE, {"oldest": now - RECORDS_KEPT})

        self._database.write(work)

    def delete(self, connection: Connection, record: ExpectationRecord) -> None:
        """Delete a record."""
        connection.execute(_DELETE, _keys(record))

    def transact(self, work: Callable[[Connection], None]) -> None:
        """Do something in one transaction."""
        self._database.write(work)


def read_first(connection: Connection, clusters: Collection[str] | None, limit: int) -> list[ExpectationRecord]:
    """Return the records of some clusters, None for all, those in trouble first."""
    query = select(expectations)
    if clusters is not None:
        query = query.where(expectations.c.cluster.in_(clusters))
    columns = expectations.c
    rank = case({state: number for number, state in enumerate(TROUBLE)}, value=columns.state, else_=len(TROUBLE))
    query = query.order_by(rank, columns.deadline, columns.cluster, columns.expectation, columns.collection)
    return _records(connection, query.limit(limit))


def _keys(record: ExpectationRecord) -> dict[str, str]:
    """Return the parameters by which a record is found."""
    return {f"its_{name}": getattr(record, name) for name in _KEY}


def _records(connection: Connection, query: Select[Any]) -> list[ExpectationRecord]:
    """Return the records that can be read; any column of SQLite can hold anything."""
    records = []
    for row in connection.execute(query).mappings():
        with suppress(msgspec.ValidationError):  # it is replaced when its import is evaluated
            facts = {name: row[name] for name in ExpectationRecord.__struct_fields__}
            records.append(msgspec.convert(facts, ExpectationRecord, strict=False))
    return records


@lru_cache
def _add(dialect: str) -> Insert:
    """Return the statement that adds a record, unless there is one."""
    statement: Insert = import_module(f"sqlalchemy.dialects.{dialect}").insert(expectations).on_conflict_do_nothing()
    return statement.execution_options(preserve_rowcount=True)


_THE_RECORD: Final = tuple(expectations.c[name] == bindparam(f"its_{name}") for name in _KEY)
_UPDATE: Final = update(expectations).where(*_THE_RECORD, expectations.c.revision == bindparam("seen_revision"))
_DELETE: Final = delete(expectations).where(*_THE_RECORD)
_SEEN: Final = (
    update(expectations).where(expectations.c.cluster == bindparam("its_cluster")).values(seen_until=bindparam("seen"))
)
_PRUNE: Final = delete(expectations).where(expectations.c.seen_until < bindparam("oldest"))
