"""Creates the tables of the store, and brings those of an older version up to this one."""

import sqlite3
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection, Inspector, inspect, select, text
from sqlalchemy.exc import DatabaseError

from monitor.jobs import DECISIONS, TERMINAL, Job, JobState, append_duration, classify, import_duration
from monitor.store.database import Database, StoreError
from monitor.store.recording import job_row
from monitor.store.schema import (
    INDEXES,
    SINCE,
    VERSION,
    discoveries,
    expectations,
    metadata,
    samples,
    schema,
    statuses,
)

CHECKED_SIZE: Final = 64 * 1024 * 1024
"""Bytes of a SQLite file that is checked for damage at the start; a larger one would take seconds."""

MIGRATION_TIMEOUT: Final = 600.0
"""Seconds that making or migrating the tables may take."""

_STARTUP_LOCK: Final = 0x696D706F
"""PostgreSQL's advisory lock by which only one monitor at a time creates or migrates the tables."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")


class NewerSchemaError(StoreError):
    """The tables were made by a newer version of the monitor."""


class UnusableDatabaseError(Exception):
    """The database holds tables of another program, or cannot hold ours."""


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


_OUR_COLUMNS: Final = {
    "clusters": {"name", "identity", "revision"},
    "jobs": {"cluster", "job_id", "facts"},
    "outcomes": {"cluster", "database", "collection", "last_failed"},
    "transitions": {"cluster", "cluster_id", "job_id", "from_state", "to_state", "at"},
}
"""Columns that our tables have in every version, and that tell them from those of another program."""


def _add_baselines(connection: Connection) -> None:
    """To version 2: the time of each cluster's baseline, which is unknown for those that had it before."""
    connection.exec_driver_sql("ALTER TABLE clusters ADD COLUMN baseline_at FLOAT")


def _add_job_columns(connection: Connection) -> None:
    """To version 3: flat facts of jobs with columns to query them by; ``told`` becomes ``logged``."""
    for column in ("database", "collection", "state", "reason"):
        connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN \"{column}\" TEXT DEFAULT '' NOT NULL")
    flag = "INTEGER DEFAULT 0" if connection.dialect.name == "sqlite" else "BOOLEAN DEFAULT false"
    connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN stalled {flag} NOT NULL")
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN finished_at FLOAT")
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN missing_since FLOAT")
    _flatten_facts(connection)
    connection.exec_driver_sql("DROP INDEX transitions_untold")
    connection.exec_driver_sql("ALTER TABLE transitions RENAME COLUMN told TO logged")
    connection.exec_driver_sql("ALTER TABLE transitions ADD COLUMN recorded_at FLOAT")
    connection.exec_driver_sql("UPDATE transitions SET recorded_at = at")


def _add_aborted(connection: Connection) -> None:
    """To version 4: whether each collection's latest import was aborted, as far as its failed jobs tell.

    Which jobs completed without their rows is known only of those that complete from now on.
    """
    flag = "INTEGER DEFAULT 0" if connection.dialect.name == "sqlite" else "BOOLEAN DEFAULT false"
    connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN incomplete {flag} NOT NULL")
    connection.exec_driver_sql(f"ALTER TABLE outcomes ADD COLUMN last_aborted {flag} NOT NULL")
    connection.execute(_SET_ABORTED, {"aborted": True})


def _add_discoveries(connection: Connection) -> None:
    """To version 5: the latest list of each discovery."""
    discoveries.create(connection, checkfirst=True)


def _add_statuses(connection: Connection) -> None:
    """To version 6: how the latest poll of each cluster ended."""
    statuses.create(connection, checkfirst=True)


def _add_samples(connection: Connection) -> None:
    """To version 7: points of the progress of jobs."""
    samples.create(connection, checkfirst=True)


def _add_durations(connection: Connection) -> None:
    """To version 8: how long the latest imports of each collection took, and failures in a row, by the stored jobs."""
    flag = "INTEGER DEFAULT 0" if connection.dialect.name == "sqlite" else "BOOLEAN DEFAULT false"
    connection.exec_driver_sql("ALTER TABLE outcomes ADD COLUMN durations TEXT DEFAULT '' NOT NULL")
    connection.exec_driver_sql(f"ALTER TABLE outcomes ADD COLUMN last_short {flag} NOT NULL")
    connection.exec_driver_sql("ALTER TABLE outcomes ADD COLUMN failures_in_a_row INTEGER DEFAULT 0 NOT NULL")
    by_end = "jobs_of_collection_by_end"
    connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {by_end} ON {INDEXES[by_end]}")
    for outcome in connection.execute(_OUTCOMES).mappings().all():
        ended = connection.execute(_LATEST_ENDED, dict(outcome)).scalars().all()
        connection.execute(_SET_DURATIONS, {**outcome, **_summarize(ended, outcome["baseline_at"])})


def _summarize(ended: Sequence[str], baseline_at: float | None) -> dict[str, object]:
    """Return the durations, and the failures in a row, of jobs that have ended, the latest first."""
    jobs = [*filter(None, map(_readable_job, ended))]
    failed = takewhile(lambda job: job.state is not JobState.COMPLETED, jobs)
    failures = sum(job.state is JobState.FAILED and job.failure not in DECISIONS for job in failed)
    durations = ""
    for job in reversed(jobs):
        duration = import_duration(job, baseline_at) if job.state is JobState.COMPLETED else None
        if duration is not None:
            durations = append_duration(durations, duration)
    return {"durations": durations, "failures": failures}


def _readable_job(facts: str) -> Job | None:
    try:
        return msgspec.json.decode(facts, type=Job)
    except (msgspec.MsgspecError, TypeError):
        return None


_OUTCOMES: Final = text("""
    SELECT outcomes.cluster, outcomes."database", outcomes.collection, clusters.baseline_at
    FROM outcomes LEFT JOIN clusters ON clusters.name = outcomes.cluster
""")

_LATEST_ENDED: Final = text("""
    SELECT facts FROM jobs
    WHERE cluster = :cluster AND "database" = :database AND collection = :collection AND finished_at IS NOT NULL
    ORDER BY finished_at DESC LIMIT 40
""")

_SET_DURATIONS: Final = text("""
    UPDATE outcomes SET durations = :durations, failures_in_a_row = :failures
    WHERE cluster = :cluster AND "database" = :database AND collection = :collection
""")


def _add_expectations(connection: Connection) -> None:
    """To version 9: the current occurrence of each expected import."""
    expectations.create(connection, checkfirst=True)


_SET_ABORTED: Final = text("""
    UPDATE outcomes SET last_aborted = :aborted
    FROM (
        SELECT cluster, "database", collection FROM jobs WHERE state = 'failed' AND finished_at IS NOT NULL
        GROUP BY cluster, "database", collection
        HAVING COUNT(*) = SUM(CASE WHEN facts LIKE '%"failure":"aborted"%' THEN 1
                                   WHEN facts LIKE '%"failure":"collection_dropped"%' THEN 1 ELSE 0 END)
    ) AS aborted
    WHERE outcomes.last_failed AND aborted.cluster = outcomes.cluster
      AND aborted."database" = outcomes."database" AND aborted.collection = outcomes.collection
""")

_FLATTEN: Final = text(
    'UPDATE jobs SET facts = :facts, "database" = :database, collection = :collection, state = :state,'
    " reason = :reason, finished_at = :finished_at, missing_since = :missing_since, stalled = :stalled"
    " WHERE cluster = :cluster_name AND job_id = :id"
)


def _flatten_facts(connection: Connection) -> None:
    """Rewrite the facts of all jobs, in the order of the key; what cannot be read stays as it is."""
    page = text(
        "SELECT cluster, job_id, facts FROM jobs WHERE (cluster, job_id) > (:cluster, :job_id)"
        " ORDER BY cluster, job_id LIMIT 1000"
    )
    last = {"cluster": "", "job_id": ""}
    unreadable = 0
    while rows := connection.execute(page, last).all():
        last = {"cluster": rows[-1].cluster, "job_id": rows[-1].job_id}
        flat = []
        for row in rows:
            try:
                flat.append(
                    job_row(row.cluster, _read_job(row.facts)) | {"cluster_name": row.cluster, "id": row.job_id}
                )
            except (msgspec.MsgspecError, AttributeError, TypeError, KeyError):
                unreadable += 1
        if flat:
            connection.execute(_FLATTEN, flat)
    if unreadable:
        _log.warning("store_rows_skipped", rows=unreadable, message="jobs that could not be migrated")


def _read_job(facts: str) -> Job:
    """Return the job that versions 1 and 2 wrote."""
    nested = msgspec.json.decode(facts)
    job = {**nested.pop("job"), **nested}
    for before, now in (("asked_at", "describe_sent_at"), ("answered_at", "described_at")):
        job[now] = job.pop(before, None)
    if job["state"] == JobState.FAILED:
        job["failure"] = classify(job.get("reason", ""))
    if job["state"] in TERMINAL and job.get("finished_at") is None:
        job["finished_at"] = job["state_since"]
    return msgspec.convert({key: value for key, value in job.items() if value is not None}, Job)


STEPS: Final[tuple[Callable[[Connection], None], ...]] = (
    _add_baselines,
    _add_job_columns,
    _add_aborted,
    _add_discoveries,
    _add_statuses,
    _add_samples,
    _add_durations,
    _add_expectations,
)
"""How version 1 becomes 2, 2 becomes 3, and so on. A step that was released is never changed."""
