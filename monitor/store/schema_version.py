"""Which version of the tables a database holds, and whether they are ours."""

import sqlite3
from typing import Final

from sqlalchemy import Connection, Inspector, inspect, select
from sqlalchemy.exc import DatabaseError

from monitor.store.database import StoreError
from monitor.store.schema import SINCE, VERSION, metadata, schema

_OUR_COLUMNS: Final = {
    "clusters": {"name", "identity", "revision"},
    "jobs": {"cluster", "job_id", "facts"},
    "outcomes": {"cluster", "database", "collection", "last_failed"},
    "transitions": {"cluster", "cluster_id", "job_id", "from_state", "to_state", "at"},
}
"""Columns that our tables have in every version, and that tell them from those of another program."""


class NewerSchemaError(StoreError):
    """The tables were made by a newer version of the monitor."""


class UnusableDatabaseError(Exception):
    """The database holds tables of another program, or cannot hold ours."""


def check_version(connection: Connection) -> int | None:
    """Return the version of the tables, None where there are none.

    Raises:
        NewerSchemaError: They are of a newer version.
        UnusableDatabaseError: They are another program's, which PostgreSQL can hold too, but under other names; or the
            database has an encoding that lacks characters.
        DatabaseError: They are ours, in a file of SQLite, and damaged.
    """
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding not in {"UTF8", "SQL_ASCII"}:
            raise UnusableDatabaseError(f"its encoding {encoding} has not every character; create it with UTF8")
    inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    ours = tables & set(metadata.tables)
    if connection.dialect.name == "sqlite" and _are_ours(inspector, tables):
        _check_damage(connection, inspector, ours)
    if schema.name not in tables:
        foreign = tables if connection.dialect.name == "sqlite" else ours
        if foreign:
            raise UnusableDatabaseError(f"it holds tables of another program ({', '.join(sorted(foreign)[:3])})")
        return None
    columns = [column["name"] for column in inspector.get_columns(schema.name)]
    if columns != ["version"]:
        raise UnusableDatabaseError("it has a table named schema that the monitor did not make")
    version = connection.execute(select(schema.c.version)).scalar()
    if isinstance(version, int) and version > VERSION and "clusters" in ours:
        raise NewerSchemaError(
            f"the store's schema has version {version}, made by a newer version of the monitor; this one knows those up"
            f" to {VERSION}: update this monitor"
        )
    if not ours >= _tables(version):
        raise UnusableDatabaseError("it has a table named schema that the monitor did not make")
    if not isinstance(version, int) or version < 1:
        raise UnusableDatabaseError("its table named schema gives no version")
    return version


def _are_ours(inspector: Inspector, tables: set[str]) -> bool:
    """Return whether the monitor has made the tables of a file: none has a name or lacks a column that ours have."""
    present = _OUR_COLUMNS.keys() & tables
    if len(present) < len(_OUR_COLUMNS) // 2 or not tables <= metadata.tables.keys():
        return False
    return all(_OUR_COLUMNS[name] <= _columns(inspector, name) for name in present)


def _check_damage(connection: Connection, inspector: Inspector, ours: set[str]) -> None:
    """Raise ``DatabaseError`` where of our tables one, a column of it, or the version is missing."""
    readable = schema.name in ours and "version" in _columns(inspector, schema.name)
    version = connection.execute(select(schema.c.version)).scalar() if readable else None
    if isinstance(version, int) and version > VERSION:
        return  # nobody knows which tables it has
    lacking = sorted(_tables(version) - ours)
    if version == VERSION and not lacking:
        expected = {table.name: {column.name for column in table.c} for table in metadata.sorted_tables}
        lacking = sorted(name for name, columns in expected.items() if not columns <= _columns(inspector, name))
    if lacking:
        raise DatabaseError(None, None, sqlite3.DatabaseError(f"tables or columns are missing ({', '.join(lacking)})"))
    if not isinstance(version, int) or version < 1:
        raise DatabaseError(None, None, sqlite3.DatabaseError("the table named schema gives no version"))


def _tables(version: object) -> set[str]:
    """Return the tables that a version has; those of the first one where it is not known."""
    number = version if isinstance(version, int) else 1
    return {name for name in metadata.tables if SINCE.get(name, 1) <= number}


def _columns(inspector: Inspector, table: str) -> set[str]:
    return {column["name"] for column in inspector.get_columns(table)}
