"""The tables, the same in SQLite and PostgreSQL, and how older ones become these."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    false,
    inspect,
    select,
)

metadata: Final = MetaData()

_Id: Final = BigInteger().with_variant(Integer, "sqlite")

schema: Final = Table("schema", metadata, Column("version", Integer, nullable=False))
"""One row: the version of the schema."""

clusters: Final = Table(
    "clusters",
    metadata,
    Column("name", Text, primary_key=True),
    Column("identity", Text, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""One row for each cluster that has had its baseline; ``revision`` counts what was recorded of it."""

jobs: Final = Table(
    "jobs",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("facts", Text, nullable=False),
)
"""The latest picture of each cluster, a job a row; ``facts`` is the tracked job as JSON."""

outcomes: Final = Table(
    "outcomes",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("database", Text, primary_key=True),
    Column("collection", Text, primary_key=True),
    Column("last_failed", Boolean),
    Column("last_completed_at", Float),
    Column("last_finished_at", Float),
)
"""How the latest import of each collection ended."""

transitions: Final = Table(
    "transitions",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("cluster", Text, nullable=False),
    Column("cluster_id", Text, nullable=False),
    Column("database", Text, nullable=False),
    Column("collection", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("progress", Float),
    Column("reason", Text, nullable=False),
    Column("failure", Text),
    Column("duration", Float, nullable=False),
    Column("unexpected", Boolean, nullable=False),
    Column("told", Boolean, nullable=False, server_default=false()),
    Index("transitions_by_time", "at"),
    Index("transitions_by_job", "cluster", "job_id"),
    Index("transitions_untold", "told", "at"),
    sqlite_autoincrement=True,
)
"""Every step that was recorded; ``told`` once the log has it."""

VERSION: Final = 1


class NewerSchemaError(Exception):
    """The tables were made by a newer version of the monitor."""


def migrate(connection: Connection) -> None:
    """Make the tables, or bring those of an older version up to this one; old data stays.

    Raises:
        NewerSchemaError: They are of a newer version; nothing is changed.
    """
    if not inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(schema.insert().values(version=VERSION))
        return
    check_version(connection)


def check_version(connection: Connection) -> None:
    """Check that the tables are of a version that this monitor knows.

    Raises:
        NewerSchemaError: They are of a newer one.
        NoResultFound: They say no version.
    """
    version = connection.execute(select(schema.c.version)).scalar_one()
    if version > VERSION:
        message = f"the store's schema has version {version}, and this monitor knows only those up to {VERSION}"
        raise NewerSchemaError(message)
