"""The tables, the same in SQLite and PostgreSQL, and how older ones become these."""

from collections.abc import Callable
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
    Column("baseline_at", Float),
)
"""One row for each cluster that has had its baseline; ``revision`` counts what was recorded of it."""

jobs: Final = Table(
    "jobs",
    metadata,
    Column("cluster", Text, primary_key=True),
    Column("job_id", Text, primary_key=True),
    Column("facts", Text, nullable=False),
)
"""The latest picture of each cluster, a job a row; ``facts`` is the tracked job as JSON, less what has its default."""

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


def _remember_baselines(connection: Connection) -> None:
    """To version 2: when each cluster had its baseline; of those that had it before, that is not known."""
    connection.exec_driver_sql("ALTER TABLE clusters ADD COLUMN baseline_at FLOAT")


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (_remember_baselines,)
"""How version 1 becomes 2, 2 becomes 3, and so on. A step that was released is never changed."""

VERSION: Final = 1 + len(STEPS)


class NewerSchemaError(Exception):
    """The tables were made by a newer version of the monitor."""


def migrate(connection: Connection) -> None:
    """Make the tables, or bring those of an older version up to this one; old data stays.

    To be called in a transaction: either every step is taken or none.

    Raises:
        NewerSchemaError: They are of a newer version; nothing is changed.
    """
    if not inspect(connection).has_table(schema.name):
        metadata.create_all(connection)
        connection.execute(schema.insert().values(version=VERSION))
        return
    # Of two monitors that start on one database, the second waits here and finds the work done.
    version = check_version(connection, lock=True)
    for step in STEPS[version - 1 :]:
        step(connection)
    if version != VERSION:
        connection.execute(schema.update().values(version=VERSION))


def check_version(connection: Connection, *, lock: bool = False) -> int:
    """Return the version of the tables, which must be one that this monitor knows.

    Args:
        connection: In a transaction.
        lock: Whether nobody else may change it until that ends.

    Raises:
        NewerSchemaError: They are of a newer one.
        NoResultFound: They say no version.
    """
    asked = select(schema.c.version)
    version: int = connection.execute(asked.with_for_update() if lock else asked).scalar_one()
    if version > VERSION:
        message = f"the store's schema has version {version}, and this monitor knows only those up to {VERSION}"
        raise NewerSchemaError(message)
    return version
