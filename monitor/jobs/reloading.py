"""Compares the snapshots of a cluster that another monitor polls, before and after they were loaded anew."""

from collections.abc import Mapping

from monitor.jobs.model import Job
from monitor.jobs.snapshot import Snapshot, SnapshotDiff


def compare_snapshots(previous: Snapshot, current: Snapshot, stored: Mapping[str, Job]) -> SnapshotDiff:
    """Return what has changed between two stored snapshots; the lists are not known.

    Args:
        previous: The earlier snapshot.
        current: The later one.
        stored: What is stored of jobs that may have changed and are not tracked, by their ids.

    Returns:
        The changed jobs, those of ``stored`` included that are listed; all other jobs that are tracked no more are
        among ``removed_ids``.
    """
    tracked = tuple(job for job_id, job in current.tracked.items() if previous.tracked.get(job_id) != job)
    ended = tuple(job for job_id, job in stored.items() if job_id not in current.tracked and job.missing_since is None)
    shown = current.tracked.keys() | {job.job_id for job in ended}
    return SnapshotDiff(
        snapshot=current,
        previous=previous,
        changed=(*tracked, *ended),
        removed_ids=tuple(job_id for job_id in previous.tracked if job_id not in shown),
        outcomes_changed=previous.outcomes != current.outcomes,
        counts_changed=previous.counts != current.counts,
    )
