"""Executes statements with many rows at little cost."""

from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect, Insert, Table

ROWS_AT_ONCE: Final = 500
"""Ids or names in one statement."""

PUT_AT_ONCE: Final = 500
"""Rows that PostgreSQL inserts or replaces in one statement: a slow machine has time for that many."""

STATEMENTS_KEPT: Final = 1000
"""Statements of which the text is kept: some dozens, and one for each number of jobs that is looked up at once."""

T = TypeVar("T")


def execute(connection: Connection, statement: ClauseElement, rows: Any) -> CursorResult[Any]:
    """Execute a statement with rows as the driver takes them: to convert them again costs more than SQLite does."""
    return connection.exec_driver_sql(_sql(statement, connection.dialect), rows)


def put_rows(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert or replace rows of a table, each of which has all columns; no two may have the same primary key.

    PostgreSQL gets many as one parameter: to receive and plan a statement for each costs more than to execute it.
    """
    if connection.dialect.name == "postgresql":
        for start in range(0, len(rows), PUT_AT_ONCE):
            connection.exec_driver_sql(_put_json(table), (encode_rows(rows[start : start + PUT_AT_ONCE]),))
    elif rows:
        execute(connection, _upsert(connection.dialect.name, table), rows)


def chunks(items: list[T], size: int) -> Iterator[list[T]]:
    """Cut a list into lists of at most so many items."""
    return (items[start : start + size] for start in range(0, len(items), size))


def encode_rows(rows: list[dict[str, Any]]) -> str:
    """Return rows as PostgreSQL's ``json_populate_recordset`` takes them."""
    return msgspec.json.encode(rows).decode()


@lru_cache
def _upsert(dialect: str, table: Table) -> Insert:
    """Return the statement that inserts or replaces rows."""
    statement = import_module(f"sqlalchemy.dialects.{dialect}").insert(table)  # the other dialect is large
    values = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    inserted: Insert = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=values)
    return inserted


@lru_cache(STATEMENTS_KEPT)
def _sql(statement: ClauseElement, dialect: Dialect) -> str:
    return str(statement.compile(dialect=dialect))


@lru_cache
def _put_json(table: Table) -> str:
    """Return PostgreSQL's statement that inserts or replaces the rows in a JSON array."""
    columns = ", ".join(f'"{column.name}"' for column in table.c)
    keys = ", ".join(f'"{column.name}"' for column in table.primary_key)
    values = ", ".join(f'"{column.name}" = excluded."{column.name}"' for column in table.c if not column.primary_key)
    rows = f"json_populate_recordset(NULL::{table.name}, %s)"
    put = f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {rows}"  # noqa: S608 - names of the schema
    return f"{put} ON CONFLICT ({keys}) DO UPDATE SET {values}"
