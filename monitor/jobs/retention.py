"""Which jobs need not be tracked any more. The store goes on knowing them."""

from collections.abc import Iterable

from monitor.jobs.model import UNSUCCESSFUL, Job, Policy


def is_tracked(job: Job, now: float, policy: Policy) -> bool:
    """Say whether a job has to stay in memory: unfinished, or failed or vanished within ``failed_retention``."""
    if not job.finished:
        return True
    return job.state in UNSUCCESSFUL and (job.finished_at or 0.0) + policy.failed_retention > now


def surplus(jobs: Iterable[Job], limit: int) -> list[Job]:
    """Return the missing jobs that are too many, so that a server cannot fill the memory with jobs that come and go.

    Finished jobs go first, for they are in the store whole, then those that have been missing longest.
    """
    missing = [(not job.finished, job.missing_since, job.job_id, job) for job in jobs if job.missing_since is not None]
    missing.sort()
    return [job for *_, job in missing[: max(0, len(missing) - limit)]]
