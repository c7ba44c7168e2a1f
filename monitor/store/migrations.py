"""Creates the tables of the store, and brings those of an older version up to this one."""

import sqlite3
from typing import Final

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError

from monitor.store.database import Database
from monitor.store.migration_steps import STEPS
from monitor.store.schema import INDEXES, VERSION, metadata, schema
from monitor.store.schema_version import check_version

CHECKED_SIZE: Final = 64 * 1024 * 1024
"""Bytes of a SQLite file that is checked for damage at the start; a larger one would take seconds."""

MIGRATION_TIMEOUT: Final = 600.0
"""Seconds that making or migrating the tables may take."""

_STARTUP_LOCK: Final = 0x696D706F
"""PostgreSQL's advisory lock by which only one monitor at a time creates or migrates the tables."""


def prepare(database: Database) -> None:
    """Make or migrate the tables; raises ``DatabaseError`` where a SQLite file is damaged."""
    if database.read(check_version) != VERSION:
        database.write(migrate, MIGRATION_TIMEOUT)
    database.remember_file()
    if database.file is not None and database.file.stat().st_size < CHECKED_SIZE:
        result = database.read_much(lambda connection: connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
        if result != "ok":
            raise DatabaseError(None, None, sqlite3.DatabaseError(result))


def migrate(connection: Connection) -> None:
    """Create the tables, or bring those of an older version up to this one.

    Has to run in a transaction: every step succeeds or none.

    Raises:
        NewerSchemaError: They are of a newer version; nothing is changed.
        UnusableDatabaseError: They are another program's; nothing is changed.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({_STARTUP_LOCK})")
    version = check_version(connection)
    if version is None:
        metadata.create_all(connection)
        connection.execute(schema.insert().values(version=VERSION))
    for step in () if version is None else STEPS[version - 1 :]:
        step(connection)
    for name, columns in INDEXES.items():
        connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")
    connection.execute(schema.update().values(version=VERSION))
