"""Jobs for tests: records as a server lists them, and what a poll makes of them."""

from collections.abc import Iterable
from typing import Any

from monitor.jobs import JobList, JobRecord, Policy, PollResult, Snapshot, SnapshotDiff, compare_lists, diff


def record(job_id: str = "1", state: str = "Importing", progress: float | None = None, **facts: Any) -> JobRecord:
    """Return a record of the collection ``books``; `progress` is in percent, `state` the server's word."""
    return JobRecord(job_id, state, facts.pop("collection", "books"), progress, **facts)


def poll(
    previous: Snapshot | None,
    *records: JobRecord,
    now: float,
    policy: Policy | None = None,
    described: Iterable[JobRecord] = (),
    absent: Iterable[str] = (),
) -> SnapshotDiff:
    """Return what a poll changes whose list has these records.

    Args:
        previous: The snapshot before it, None for a baseline.
        *records: The list.
        now: The time of the poll.
        policy: The default unless given.
        described: Answers to describes.
        absent: Ids of which a describe says that there is no such job.
    """
    listing, new_ids = compare_lists(previous, JobList({record.job_id: record for record in records}))
    answers = {record.job_id: record for record in described}
    gone = frozenset(absent)
    result = PollResult(listing, new_ids, answers, gone, gone | answers.keys())
    return diff(previous, result, now, policy or Policy())
