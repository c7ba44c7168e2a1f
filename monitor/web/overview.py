"""The overview of some clusters for the pages: totals, and which jobs need attention or run."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from monitor.jobs import TERMINAL, Job, JobState
from monitor.store import JobFilter
from monitor.web.cluster_status import ClusterStatus
from monitor.web.headline import UNREACHABLE, kind_of_trouble

ClusterJob = tuple[str, Job]
"""A job with the name of its cluster."""


def matches(search: JobFilter, cluster: str, job: Job) -> bool:
    """Return whether a filter of the store matches a tracked job of one of its clusters."""
    texts = cluster, job.database, job.collection, job.job_id, job.reason
    return (
        (not search.states or job.state in search.states)
        and (search.stalled is None or job.stalled is search.stalled)
        and (search.collection is None or job.collection == search.collection)
        and (search.database is None or job.database == search.database)
        and (not search.text or any(search.text in text.casefold() for text in texts))
    )


def finished_only(search: JobFilter) -> JobFilter | None:
    """Return a filter for finished jobs only; None where none of them can match."""
    states = (search.states or TERMINAL) & TERMINAL
    return replace(search, states=states) if states and not search.stalled else None


class FleetOverview(msgspec.Struct, frozen=True):
    """What a search finds in memory; the totals are those of the clusters, whatever else is searched for."""

    version: int  # of the fleet's status that was summarized
    totals: Counter[JobState]
    stalled: int
    statuses: Counter[str]
    clusters: list[ClusterStatus]  # those that need attention first
    attention: list[ClusterJob]  # matching jobs that were unsuccessful, are stalled, or wait for a commit
    running: list[ClusterJob]  # other matching unfinished jobs, oldest first
    troubles: Counter[str]  # what is wrong with `attention`, in one word each, and how many clusters are unreachable


def summarize(clusters: Iterable[ClusterStatus], search: JobFilter, now: float, version: int) -> FleetOverview:
    """Return an overview of some clusters."""
    totals: Counter[JobState] = Counter()
    statuses: Counter[str] = Counter()
    attention: list[ClusterJob] = []
    running: list[ClusterJob] = []
    ranked: list[tuple[int, str, ClusterStatus]] = []
    stalled = 0
    for status in clusters:
        name, oldest = status.cluster.name, now - status.cluster.failed_retention
        totals.update(status.count_states())
        statuses[status.status] += 1
        troubled = False
        for job in status.tracked.values():
            stalled += job.stalled
            urgent = needs_attention(job, oldest)
            troubled |= urgent
            if (urgent or not job.finished) and matches(search, name, job):
                (attention if urgent else running).append((name, job))
        rank = 0 if status.status == "down" else 1 if troubled else 2 if status.status == "up" else 3
        ranked.append((rank, name, status))
    attention.sort(key=lambda entry: (_urgency(entry[1]), -entry[1].state_since))
    running.sort(key=lambda entry: entry[1].first_seen)
    ranked.sort(key=lambda entry: entry[:2])
    troubles = Counter(kind_of_trouble(job) for _, job in attention)
    troubles[UNREACHABLE] = statuses["down"]
    by_rank = [entry[2] for entry in ranked]
    return FleetOverview(version, totals, stalled, statuses, by_rank, attention, running, troubles)


def needs_attention(job: Job, oldest: float) -> bool:
    """Return whether a job was unsuccessful after a time, is stalled, or waits for a commit."""
    if job.finished:
        return job.unsuccessful and (job.finished_at or 0.0) > oldest
    return job.stalled or job.state is JobState.UNCOMMITTED


def _urgency(job: Job) -> int:
    if job.finished:
        return 0 if job.state is JobState.FAILED else 1
    return 2 if job.stalled else 3
