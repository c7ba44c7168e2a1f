"""The list of a poll: compares it with the previous list, and counts the listed jobs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from sys import intern
from typing import Final

from msgspec.structs import replace

from monitor.jobs.model import Job, JobPair, JobRecord, JobState, normalize_state
from monitor.jobs.snapshot import JobList, ListedCounts, PollResult, Snapshot

_PERCENTS: Final[Mapping[float | None, float]] = {float(percent): float(percent) for percent in range(101)}


def compare_lists(previous: Snapshot | None, listing: JobList) -> tuple[JobList, frozenset[str]]:
    """Return a list as it is remembered, and the ids whose records are new or differ from those of the previous list.

    Unchanged records stay the objects that they are, and equal values are shared: a decoder makes new objects for every
    record, and a list of 100 jobs would take 20 kB more. ``previous`` is None at a baseline.
    """
    before = (previous or Snapshot()).listing.records
    if listing.records is before or listing.records == before:
        return replace(listing, records=before), frozenset()
    records: dict[str, JobRecord] = {}
    new_ids: list[str] = []
    for job_id, record in listing.records.items():
        old = before.get(job_id)
        if old == record:
            records[old.job_id] = old
            continue
        records[job_id] = replace(
            record,
            state=intern(record.state),
            collection=intern(record.collection),
            progress=_PERCENTS.get(record.progress, record.progress),
        )
        new_ids.append(job_id)
    return replace(listing, records=records), frozenset(new_ids)


def count_listed(result: PollResult, tracked: Mapping[str, Job]) -> ListedCounts:
    """Count the listed jobs by database, collection and state: a tracked job as it is followed, else its record."""
    counts: Counter[tuple[str, str, JobState]] = Counter()
    databases = result.databases.known
    for job_id, record in result.listing.records.items():
        job = tracked.get(job_id)
        if job is None:
            counts[record.database or databases.get(job_id, ""), record.collection, normalize_state(record.state)] += 1
        else:
            counts[job.database, job.collection, job.state] += 1
    return dict(counts)  # compares faster than a Counter


def may_count_otherwise(before: Snapshot, result: PollResult, changes: Iterable[JobPair]) -> bool:
    """Return whether the listed jobs may have to be counted anew: not if unfinished jobs have only progressed."""
    progressed = {
        job.job_id
        for old, job in changes
        if old is not None and not job.finished and _counted_as(old) == _counted_as(job)
    }
    return (
        not before.counts
        or not result.new_ids <= progressed
        or not result.new_ids <= before.listing.records.keys()
        or any(job.job_id not in progressed for _, job in changes)
    )


def _counted_as(job: Job) -> tuple[str, str, JobState]:
    return job.database, job.collection, job.state
