"""The log events of a poll: transitions, stalls, late reasons, faulty records."""

import logging
from collections.abc import Mapping
from typing import Final

import structlog

from monitor.client import KnownDatabases
from monitor.config import Cluster
from monitor.jobs import Job, JobList, JobState, SnapshotDiff, Transition

RECORD_WARNINGS: Final = 100
"""Different warnings about records that are logged for a cluster, each once."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.poller")


def cluster_fields(cluster: Cluster) -> dict[str, object]:
    """Return the fields of each event of a cluster; its own labels are one object, so that they replace no field."""
    fields: dict[str, object] = {"milvus_cluster": cluster.name, "cluster_id": cluster.cluster_id}
    if cluster.labels:
        fields["labels"] = cluster.labels
    return fields


def log_changes(changes: SnapshotDiff, now: float, labels: Mapping[str, object]) -> None:
    """Log what a poll changed, each change once.

    Args:
        changes: What it changed.
        now: When it was made.
        labels: The ``cluster_fields`` of its cluster.
    """
    if changes.baseline:
        states = changes.snapshot.count_states()
        by_name = {state.value: count for state, count in sorted(states.items())}
        _log.info("cluster_baseline", **labels, jobs=states.total(), **by_name)
    for transition in changes.transitions:
        log_transition(transition, labels)
    for job in changes.stalled:
        _log.warning("import_job_stalled", **labels, **_job_fields(job, now))
    for job in changes.resumed:
        _log.info("import_job_resumed", **labels, **_job_fields(job, now))
    for job in changes.explained:
        _log.warning("import_job_explained", **labels, **_job_fields(job, now))
    for job in changes.incomplete:
        rows = {"imported_rows": job.imported_rows, "total_rows": job.total_rows}
        _log.warning("import_job_incomplete", **labels, **_job_fields(job, now), **rows)
    for short in changes.short:
        times = {"duration_seconds": short.duration, "typical_duration_seconds": short.typical}
        _log.warning("import_job_short", **labels, **_job_fields(short.job, now), **times)
    for job in changes.describe_paused:
        _log.warning("import_job_describe_paused", **labels, **_job_fields(job, now))
    if changes.dropped:
        _log.warning("missing_jobs_dropped", **labels, jobs=changes.dropped)


def log_databases(before: KnownDatabases | None, after: KnownDatabases | None, labels: Mapping[str, object]) -> None:
    """Log what a poll changed in the databases that are followed; the first list of them is no news."""
    if before is None or after is None or before is after:
        return
    if after.error and not before.error:
        kind = None if after.error_kind is None else after.error_kind.value
        _log.warning("databases_unavailable", **labels, kind=kind, message=after.error)
    elif before.error and not after.error:
        _log.info("databases_recovered", **labels)
    added = [name for name in after.names if name not in before.names]
    dropped = [name for name in before.names if name not in after.names]
    if before.names and (added or dropped):
        _log.info("databases_changed", **labels, added=added, dropped=dropped)


def log_transition(transition: Transition, labels: Mapping[str, object]) -> None:
    """Log a transition with the fields of its cluster, at the level at which somebody has to hear of it."""
    if transition.to_state is JobState.FAILED:
        level = logging.ERROR
    elif transition.to_state is JobState.VANISHED or transition.unexpected:
        level = logging.WARNING
    else:
        level = logging.INFO
    _log.log(
        level,
        "import_job_transition",
        **labels,
        database=transition.database,
        collection=transition.collection,
        job_id=transition.job_id,
        from_state="new" if transition.from_state is None else transition.from_state.value,
        to_state=transition.to_state.value,
        progress=transition.progress,
        reason=transition.reason,
        failure=None if transition.failure is None else transition.failure.value,
        duration_seconds=round(transition.duration, 3),
    )


class RecordWarnings:
    """Logs what is wrong with the records of a cluster's lists: each fault and each repeated id once."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log(self, listing: JobList, labels: Mapping[str, object]) -> None:
        """Log the faults of a list that have not been logged yet, with the ``cluster_fields`` of its cluster."""
        for message in listing.bad_records:
            if self._is_new(message):
                _log.warning("import_record_skipped", **labels, message=message)
        for job_id in listing.repeated_ids:
            if self._is_new(f"repeated {job_id}"):
                _log.warning("import_record_repeated", **labels, job_id=job_id)

    def _is_new(self, warning: str) -> bool:
        if warning in self._logged or len(self._logged) >= RECORD_WARNINGS:
            return False
        self._logged.add(warning)
        return True


def _job_fields(job: Job, now: float) -> dict[str, object]:
    return {
        "database": job.database,
        "collection": job.collection,
        "job_id": job.job_id,
        "state": job.state.value,
        "progress": job.progress,
        "reason": job.reason,
        "failure": None if job.failure is None else job.failure.value,
        "unchanged_seconds": round(now - job.last_change, 3),
    }
