"""Compares the result of a poll with the previous snapshot: the only place that decides what has changed.

A record equal to that of the previous list is skipped, so the cost depends on the length of the list and on the tracked
jobs, never on how many have finished before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from sys import intern
from typing import Final

from msgspec.structs import replace

from monitor.jobs.databases import drop_unknown_outcomes
from monitor.jobs.describe_queue import HARMFUL_DESCRIBES
from monitor.jobs.durations import add_durations
from monitor.jobs.model import (
    STATE_ORDER,
    TERMINAL,
    Job,
    JobRecord,
    JobState,
    Policy,
    Transition,
    normalize_state,
)
from monitor.jobs.outcomes import update_outcomes, with_databases
from monitor.jobs.short_retention import follow_finished
from monitor.jobs.snapshot import JobList, ListedCounts, PollResult, Snapshot, SnapshotDiff
from monitor.jobs.stalls import is_stalled_in_silence, is_stalled_while_missing
from monitor.jobs.tracking import first_seen, follow, merge, vanish

_PERCENTS: Final[Mapping[float | None, float]] = {float(percent): float(percent) for percent in range(101)}

CLOCK_SKEW: Final = 60.0
"""Seconds by which the server's clock may be behind ours before what has just happened looks old."""


def diff(previous: Snapshot | None, result: PollResult, now: float, policy: Policy) -> SnapshotDiff:
    """Compare the result of a complete poll with the previous snapshot.

    ``previous`` is None at a cluster's first poll ever: the baseline has no transitions. A job that is missing from the
    list becomes ``vanished`` only if it is in ``confirmed_absent``.
    """
    before = previous or Snapshot()
    listing = result.listing
    pairs = [*_listed(before, result, now, policy), *_missing(before, result, now, policy)]
    changes = [(old, job) for old, job in pairs if job != old]
    changed = tuple(job for _, job in changes)
    changed_ids = {job.job_id for job in changed}
    tracked, expired, dropped = _track(before.tracked, changed, now, policy)
    is_same_list = listing.records is before.listing.records
    left_ids = frozenset[str]() if is_same_list else before.listing.records.keys() - listing.records.keys()

    reported = _reported(previous, changes, result)
    transitions = tuple(
        _transition(old, job, now)
        for old, job in reported
        if (old is None or old.state is not job.state) and _is_news(old, job, before.baseline_at)
    )

    several = policy.several_databases
    found = [job for old, job in changes if several and old is not None and job.database and not old.database]
    decisive = with_databases(changed) if several else changed
    outcomes = update_outcomes(previous, decisive, transitions, now, found)
    if several and (changes or expired or dropped):
        outcomes = drop_unknown_outcomes(outcomes, tracked.values())
    outcomes, short = add_durations(outcomes, previous, changed, transitions, found)

    counts = _count(result, tracked) if left_ids or _may_count_otherwise(before, result, changes) else before.counts
    missing = sum(job.missing_since is not None and not job.finished for job in tracked.values())
    followed = {} if policy.poll_failed else before.just_finished
    just_finished, left_early = follow_finished(followed, listing.records, transitions, complete=not missing)

    known = [(old, job) for old, job in changes if old is not None]
    moves = [(job.progress or 0.0) - (old.progress or 0.0) for old, job in known if old.state is job.state]
    return SnapshotDiff(
        snapshot=Snapshot(
            listing=listing,
            tracked=tracked,
            counts=counts,
            outcomes=outcomes,
            baseline_at=now if previous is None else previous.baseline_at,
            databases=result.databases,
            polled_at=now,
            just_finished=just_finished,
        ),
        previous=previous,
        changed=changed,
        removed_ids=tuple(job.job_id for job in (*expired, *dropped) if job.job_id not in changed_ids),
        delisted_ids=tuple(left_ids - before.tracked.keys()),
        transitions=transitions,
        stalled=tuple(job for old, job in known if job.stalled and not old.stalled),
        resumed=tuple(job for old, job in known if old.stalled and not job.stalled),
        explained=tuple(job for old, job in known if _is_explained(old, job)),
        incomplete=tuple(job for old, job in reported if job.incomplete and not (old and old.incomplete)),
        left_early=left_early,
        short=short,
        describe_paused=tuple(
            job for old, job in known if job.harmful_describes == HARMFUL_DESCRIBES > old.harmful_describes
        ),
        progressed=sum(gain > 0 for gain in moves),
        regressed=sum(gain < 0 for gain in moves),
        missing=missing,
        dropped=len(dropped),
        outcomes_changed=previous is None or outcomes != previous.outcomes,
        counts_changed=counts != before.counts,
    )


def compare_lists(previous: Snapshot | None, listing: JobList) -> tuple[JobList, frozenset[str]]:
    """Return a list as it is remembered, and the ids whose records are new or differ from those of the previous one.

    Unchanged records stay the objects that they are, and equal values are shared: a decoder makes new ones for every
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


_Pair = tuple[Job | None, Job]
"""A job before the poll, None for a new one, and after it."""


def _listed(before: Snapshot, result: PollResult, now: float, policy: Policy) -> list[_Pair]:
    """Follow the jobs in the list: those whose record has changed, that were described, or that may have stalled."""
    tracked = before.tracked
    shortest = min(policy.stall_after, policy.pending_after, policy.uncommitted_after)
    may_stall = [job.job_id for job in tracked.values() if job.stalled or now - job.last_change > shortest]
    databases = result.databases.known
    found = databases.keys() - before.databases.known.keys() if result.databases is not before.databases else ()
    ids = {*result.new_ids, *result.describes_sent, *may_stall, *found}
    pairs: list[_Pair] = []
    for job_id, record in result.listing.records.items() if ids else ():
        if job_id not in ids:
            continue
        job = tracked.get(job_id) or result.finished.get(job_id)
        if job is None and job_id in result.finished:
            job = _finished_in_list(before.listing.records.get(job_id), now)
        described = result.described.get(job_id)
        if described is not None:
            record = merge(record, described)  # noqa: PLW2901 - from here on the record has what both report
        current = first_seen(record, now) if job is None else follow(job, record, now, policy)
        if not current.database and job_id in databases:
            current = replace(current, database=databases[job_id])
        if job_id in result.describes_sent:
            current = _note_describe(current, result, now)
            if job is not None and is_stalled_in_silence(job, current, now, policy):
                current = replace(current, stalled=True)
        pairs.append((job, current))
    return pairs


def _finished_in_list(record: JobRecord | None, now: float) -> Job | None:
    """Return a job that had finished by the previous list, which is all that is known of it."""
    return None if record is None or normalize_state(record.state) not in TERMINAL else first_seen(record, now)


def _missing(before: Snapshot, result: PollResult, now: float, policy: Policy) -> list[_Pair]:
    """Follow the tracked jobs that are missing from the list, which alone proves nothing."""
    pairs: list[_Pair] = []
    for job_id in before.tracked.keys() - result.listing.records.keys():
        job = before.tracked[job_id]
        since = now if job.missing_since is None else job.missing_since
        described = result.described.get(job_id)
        if described is not None:
            current = follow(job, described, now, policy, missing_since=since)
        elif job_id in result.confirmed_absent and not job.finished:
            current = vanish(job, now, since)
        else:
            stalled = is_stalled_while_missing(job, since, now, policy)
            current = replace(job, missing_since=since, stalled=stalled)
        if job_id in result.describes_sent:
            current = _note_describe(current, result, now)
        pairs.append((job, current))
    return pairs


def _note_describe(job: Job, result: PollResult, now: float) -> Job:
    """Return a job with the time of the describe that was sent for it, of its answer, and of the harm that it did."""
    answered = job.job_id in result.described or job.job_id in result.confirmed_absent
    return replace(
        job,
        describe_sent_at=now,
        described_at=now if answered else job.described_at,
        harmful_describes=0 if answered else job.harmful_describes + (job.job_id in result.harmful_describes),
    )


def _track(
    tracked: Mapping[str, Job], changed: Iterable[Job], now: float, policy: Policy
) -> tuple[dict[str, Job], list[Job], list[Job]]:
    """Return the tracked jobs after a poll, those whose retention has passed, and those of which there are too many."""
    jobs = {**tracked, **{job.job_id: job for job in changed}}
    expired = [job for job in jobs.values() if job.finished_at is not None and not _is_retained(job, now, policy)]
    for job in expired:
        del jobs[job.job_id]
    dropped = _surplus(jobs.values(), policy.missing_limit)
    for job in dropped:
        del jobs[job.job_id]
    return jobs, expired, dropped


def _reported(previous: Snapshot | None, changes: Iterable[_Pair], result: PollResult) -> list[_Pair]:
    """Return the changes that may be reported: none of a baseline, and no finished job that may have been before."""
    unconfirmed = {job_id for job_id, job in result.finished.items() if job is None}
    if previous is None:
        return []
    return [(old, job) for old, job in changes if old is not None or not job.finished or job.job_id not in unconfirmed]


def _is_retained(job: Job, now: float, policy: Policy) -> bool:
    """Return whether a finished job stays in memory: an unsuccessful one, within ``failed_retention``."""
    return job.unsuccessful and (job.finished_at or 0.0) + policy.failed_retention > now


def _surplus(jobs: Iterable[Job], limit: int) -> list[Job]:
    """Return the missing jobs that are too many, so that a server cannot fill the memory with jobs that come and go.

    Finished jobs go first, for they are in the store whole, then those that have been missing longest.
    """
    missing = [(not job.finished, job.missing_since, job.job_id, job) for job in jobs if job.missing_since is not None]
    missing.sort()
    return [job for *_, job in missing[: max(0, len(missing) - limit)]]


def _is_news(old: Job | None, job: Job, baseline_at: float | None) -> bool:
    """Return whether a step is to be reported: not that of a job that ended before the baseline and was listed late."""
    if old is not None or not job.finished or job.completed_at is None or baseline_at is None:
        return True
    return job.completed_at >= baseline_at - CLOCK_SKEW


def _is_explained(old: Job, job: Job) -> bool:
    return old.state is JobState.FAILED is job.state and not old.reason and bool(job.reason)


def _transition(old: Job | None, job: Job, now: float) -> Transition:
    from_state = None if old is None else old.state
    return Transition(
        job_id=job.job_id,
        database=job.database,
        collection=job.collection,
        from_state=from_state,
        to_state=job.state,
        at=now,
        progress=job.progress,
        reason=job.reason,
        failure=job.failure,
        duration=max(0.0, now - job.first_seen),
        unexpected=from_state is not None and _is_unexpected(from_state, job.state),
    )


def _is_unexpected(from_state: JobState, to_state: JobState) -> bool:
    """Return whether jobs do not normally take a step: out of a terminal state, or backwards."""
    last = len(STATE_ORDER)
    return from_state in TERMINAL or STATE_ORDER.get(to_state, last) < STATE_ORDER.get(from_state, 0)


def _may_count_otherwise(before: Snapshot, result: PollResult, changes: Iterable[_Pair]) -> bool:
    """Return whether the listed jobs may have to be counted anew: not where those that have changed only progressed."""
    progressed = {job.job_id for old, job in changes if old is not None and _counted_as(old) == _counted_as(job)}
    return (
        not before.counts
        or not result.new_ids <= progressed
        or not result.new_ids <= before.listing.records.keys()
        or any(job.job_id not in progressed for _, job in changes)
    )


def _counted_as(job: Job) -> tuple[str, str, JobState]:
    return job.database, job.collection, job.state


def _count(result: PollResult, tracked: Mapping[str, Job]) -> ListedCounts:
    """Count the listed jobs: a tracked one by its state, any other by its record."""
    counts: Counter[tuple[str, str, JobState]] = Counter()
    databases = result.databases.known
    for job_id, record in result.listing.records.items():
        job = tracked.get(job_id)
        if job is None:
            counts[record.database or databases.get(job_id, ""), record.collection, normalize_state(record.state)] += 1
        else:
            counts[job.database, job.collection, job.state] += 1
    return dict(counts)  # compares faster than a Counter
