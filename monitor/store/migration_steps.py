"""The steps by which the tables of each older version become those of the next one."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import takewhile
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection, text

from monitor.jobs import DECISIONS, TERMINAL, Job, JobState, append_duration, classify, import_duration
from monitor.store.recording import job_row
from monitor.store.schema import INDEXES, discoveries, expectations, samples, statuses

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")


def _add_baselines(connection: Connection) -> None:
    """To version 2: the time of each cluster's baseline, which is unknown for those that had it before."""
    connection.exec_driver_sql("ALTER TABLE clusters ADD COLUMN baseline_at FLOAT")


def _add_job_columns(connection: Connection) -> None:
    """To version 3: flat facts of jobs with columns to query them by; ``told`` becomes ``logged``."""
    for column in ("database", "collection", "state", "reason"):
        connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN \"{column}\" TEXT DEFAULT '' NOT NULL")
    connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN stalled {_flag(connection)}")
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN finished_at FLOAT")
    connection.exec_driver_sql("ALTER TABLE jobs ADD COLUMN missing_since FLOAT")
    _flatten_facts(connection)
    connection.exec_driver_sql("DROP INDEX transitions_untold")
    connection.exec_driver_sql("ALTER TABLE transitions RENAME COLUMN told TO logged")
    connection.exec_driver_sql("ALTER TABLE transitions ADD COLUMN recorded_at FLOAT")
    connection.exec_driver_sql("UPDATE transitions SET recorded_at = at")


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


def _add_aborted(connection: Connection) -> None:
    """To version 4: whether each collection's latest import was aborted, as far as its failed jobs tell.

    Which jobs completed without their rows is known only of those that complete from now on.
    """
    connection.exec_driver_sql(f"ALTER TABLE jobs ADD COLUMN incomplete {_flag(connection)}")
    connection.exec_driver_sql(f"ALTER TABLE outcomes ADD COLUMN last_aborted {_flag(connection)}")
    connection.execute(_SET_ABORTED, {"aborted": True})


def _add_durations(connection: Connection) -> None:
    """To version 8: how long the latest imports of each collection took, and failures in a row, by the stored jobs."""
    connection.exec_driver_sql("ALTER TABLE outcomes ADD COLUMN durations TEXT DEFAULT '' NOT NULL")
    connection.exec_driver_sql(f"ALTER TABLE outcomes ADD COLUMN last_short {_flag(connection)}")
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


def _flag(connection: Connection) -> str:
    """Return the type of a boolean that is false in the rows that are there."""
    type_ = "INTEGER DEFAULT 0" if connection.dialect.name == "sqlite" else "BOOLEAN DEFAULT false"
    return f"{type_} NOT NULL"


_FLATTEN: Final = text(
    'UPDATE jobs SET facts = :facts, "database" = :database, collection = :collection, state = :state,'
    " reason = :reason, finished_at = :finished_at, missing_since = :missing_since, stalled = :stalled"
    " WHERE cluster = :cluster_name AND job_id = :id"
)

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

STEPS: Final[tuple[Callable[[Connection], None], ...]] = (
    _add_baselines,
    _add_job_columns,
    _add_aborted,
    partial(discoveries.create, checkfirst=True),
    partial(statuses.create, checkfirst=True),
    partial(samples.create, checkfirst=True),
    _add_durations,
    partial(expectations.create, checkfirst=True),
)
"""How version 1 becomes 2, 2 becomes 3, and so on. A step that was released is never changed."""
