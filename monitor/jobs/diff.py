"""Compares the result of a poll with the previous snapshot: the only place that decides what has changed.

A record that has not changed since the previous list is skipped, so the cost depends on the length of the list and on
the tracked jobs, never on how many jobs have finished before.
"""

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from monitor.jobs.databases import drop_unknown_outcomes
from monitor.jobs.describe_queue import HARMFUL_DESCRIBES
from monitor.jobs.durations import add_durations
from monitor.jobs.lists import count_listed, may_count_otherwise
from monitor.jobs.model import TERMINAL, Job, JobPair, JobRecord, JobState, Policy, normalize_state
from monitor.jobs.outcomes import update_outcomes, with_databases
from monitor.jobs.short_retention import follow_finished
from monitor.jobs.snapshot import PollResult, Snapshot, SnapshotDiff
from monitor.jobs.stalls import is_stalled_in_silence, is_stalled_while_missing
from monitor.jobs.tracking import first_seen, follow, merge, vanish
from monitor.jobs.transitions import find_transitions, reported_changes


def diff(previous: Snapshot | None, result: PollResult, now: float, policy: Policy) -> SnapshotDiff:
    """Compare the result of a complete poll with the previous snapshot.

    ``previous`` is None at a cluster's first poll ever: the baseline has no transitions. A job that is missing from the
    list becomes ``vanished`` only if it is in ``confirmed_absent``.
    """
    before = previous or Snapshot()
    pairs = [*_follow_listed(before, result, now, policy), *_follow_missing(before, result, now, policy)]
    changes = [(old, job) for old, job in pairs if job != old]
    changed = tuple(job for _, job in changes)
    tracked, expired, dropped = _track(before.tracked, changed, now, policy)

    reported = reported_changes(previous, changes, result)
    transitions = find_transitions(reported, before.baseline_at, now)

    several = policy.several_databases
    # Jobs whose database this poll has found: only now is it clear of which collection they are an import.
    located = [job for old, job in changes if several and old is not None and job.database and not old.database]
    decisive = with_databases(changed) if several else changed
    outcomes = update_outcomes(previous, decisive, transitions, now, located)
    if several and (changes or expired or dropped):
        outcomes = drop_unknown_outcomes(outcomes, tracked.values())
    outcomes, short = add_durations(outcomes, previous, changed, transitions, located)

    records, records_before = result.listing.records, before.listing.records
    left_ids = frozenset[str]() if records is records_before else records_before.keys() - records.keys()
    counts = before.counts
    if left_ids or may_count_otherwise(before, result, changes):
        counts = count_listed(result, tracked)
    missing = sum(job.missing_since is not None and not job.finished for job in tracked.values())
    finished_before = {} if policy.poll_failed else before.just_finished
    just_finished, left_early = follow_finished(finished_before, records, transitions, complete=not missing)

    changed_ids = {job.job_id for job in changed}
    updates = [(old, job) for old, job in changes if old is not None]
    gains = [(job.progress or 0.0) - (old.progress or 0.0) for old, job in updates if old.state is job.state]
    return SnapshotDiff(
        snapshot=Snapshot(
            listing=result.listing,
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
        stalled=tuple(job for old, job in updates if job.stalled and not old.stalled),
        resumed=tuple(job for old, job in updates if old.stalled and not job.stalled),
        explained=tuple(job for old, job in updates if _is_explained(old, job)),
        incomplete=tuple(job for old, job in reported if job.incomplete and not (old and old.incomplete)),
        left_early=left_early,
        short=short,
        describe_paused=tuple(
            job for old, job in updates if job.harmful_describes == HARMFUL_DESCRIBES > old.harmful_describes
        ),
        progressed=sum(gain > 0 for gain in gains),
        regressed=sum(gain < 0 for gain in gains),
        missing=missing,
        dropped=len(dropped),
        outcomes_changed=previous is None or outcomes != previous.outcomes,
        counts_changed=counts != before.counts,
    )


def _follow_listed(before: Snapshot, result: PollResult, now: float, policy: Policy) -> list[JobPair]:
    """Follow the listed jobs that may have changed: by their record, a describe, their database, or by stalling."""
    tracked = before.tracked
    shortest = min(policy.stall_after, policy.pending_after, policy.uncommitted_after)
    may_stall = [job.job_id for job in tracked.values() if job.stalled or now - job.last_change > shortest]
    databases = result.databases.known
    located = databases.keys() - before.databases.known.keys() if result.databases is not before.databases else ()
    ids = {*result.new_ids, *result.describes_sent, *may_stall, *located}
    pairs: list[JobPair] = []
    for job_id, record in result.listing.records.items() if ids else ():
        if job_id not in ids:
            continue
        job = tracked.get(job_id) or result.finished.get(job_id)
        if job is None and job_id in result.finished:
            job = _finished_in_list(before.listing.records.get(job_id), now)
        described = result.described.get(job_id)
        if described is not None:
            record = merge(record, described)  # noqa: PLW2901 - from here on, the record has what list and describe report
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
    """Return the job of a record of the previous list, if that record says that the job had finished."""
    return None if record is None or normalize_state(record.state) not in TERMINAL else first_seen(record, now)


def _follow_missing(before: Snapshot, result: PollResult, now: float, policy: Policy) -> list[JobPair]:
    """Follow the tracked jobs that are missing from the list: a job has vanished only if the server says so."""
    pairs: list[JobPair] = []
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
    """Note in a job when its describe was sent, whether the server answered, and how many in a row did harm."""
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
    """Return the jobs tracked after a poll, the jobs whose retention has passed, and the surplus of missing jobs."""
    jobs = {**tracked, **{job.job_id: job for job in changed}}
    expired = [job for job in jobs.values() if job.finished_at is not None and not _is_retained(job, now, policy)]
    for job in expired:
        del jobs[job.job_id]
    dropped = _surplus(jobs.values(), policy.missing_limit)
    for job in dropped:
        del jobs[job.job_id]
    return jobs, expired, dropped


def _is_retained(job: Job, now: float, policy: Policy) -> bool:
    """Return whether a finished job stays in memory: if it was unsuccessful, for ``failed_retention``."""
    return job.unsuccessful and (job.finished_at or 0.0) + policy.failed_retention > now


def _surplus(jobs: Iterable[Job], limit: int) -> list[Job]:
    """Return the missing jobs above the limit, so that a server cannot fill the memory with jobs that come and go.

    Finished jobs go first, for the store has them in full; then the jobs that have been missing longest.
    """
    missing = [(not job.finished, job.missing_since, job.job_id, job) for job in jobs if job.missing_since is not None]
    missing.sort()
    return [job for *_, job in missing[: max(0, len(missing) - limit)]]


def _is_explained(old: Job, job: Job) -> bool:
    return old.state is JobState.FAILED is job.state and not old.reason and bool(job.reason)
