"""A cluster followed by the diff alone: a test says what its polls bring, and a dict has its finished jobs."""

from dataclasses import dataclass, field

from msgspec.structs import replace

from monitor.jobs import (
    Job,
    JobList,
    JobRecord,
    JobState,
    Policy,
    PollResult,
    Snapshot,
    SnapshotDiff,
    compare_lists,
    diff,
)


def listed(
    job_id: str = "1", state: JobState = JobState.IMPORTING, progress: float | None = None, **fields: object
) -> JobRecord:
    """Return a record; ``progress`` is a ratio, the other fields are those of `JobRecord`."""
    raw = "Quiescing" if state is JobState.UNKNOWN else state.value.capitalize()
    fields.setdefault("collection", "books")
    return JobRecord(job_id, raw, progress=None if progress is None else 100 * progress, **fields)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Answers:
    """What the server answers to one poll."""

    records: tuple[JobRecord, ...] = ()
    described: tuple[JobRecord, ...] = ()
    absent: frozenset[str] = frozenset()
    unanswered: frozenset[str] = frozenset()
    harmful: frozenset[str] = frozenset()


def answers(
    *records: JobRecord,
    described: tuple[JobRecord, ...] = (),
    absent: set[str] | frozenset[str] = frozenset(),
    unanswered: set[str] | frozenset[str] = frozenset(),
    harmful: set[str] | frozenset[str] = frozenset(),
) -> Answers:
    """Return the answers to one poll: the list, describes, verdicts, ids whose describe failed, or did harm."""
    return Answers(records, described, frozenset(absent), frozenset(unanswered), frozenset(harmful))


@dataclass
class FollowedCluster:
    """A cluster, its snapshot, and its finished jobs as the store would have them."""

    policy: Policy = field(default_factory=Policy)
    snapshot: Snapshot | None = None
    finished: dict[str, Job] = field(default_factory=dict)

    def poll(self, brought: Answers, now: float, policy: Policy | None = None) -> SnapshotDiff:
        """Compare what a poll brought with the last one and keep what it changed."""
        listing, new_ids = compare_lists(self.snapshot, JobList({record.job_id: record for record in brought.records}))
        asked = new_ids | (
            set() if self.snapshot is None else self.snapshot.tracked.keys()
        )  # as the describe queue asks
        described = {record.job_id: record for record in brought.described if record.job_id in asked}
        result = PollResult(
            listing,
            new_ids,
            described=described,
            confirmed_absent=brought.absent & asked,
            describes_sent=asked & {*brought.absent, *brought.unanswered, *brought.harmful, *described},
            harmful_describes=brought.harmful & asked,
            finished={job_id: self.finished[job_id] for job_id in new_ids if job_id in self.finished},
        )
        changes = diff(self.snapshot, result, now, policy or self.policy)
        self.snapshot = changes.snapshot
        for job in changes.changed:
            self.finished.pop(job.job_id, None)
            if job.finished:
                self.finished[job.job_id] = job
        for job_id in changes.delisted_ids:
            self.finished[job_id] = replace(self.finished[job_id], missing_since=now)
        return changes

    def job(self, job_id: str = "1") -> Job:
        """Return a job, tracked or finished."""
        assert self.snapshot is not None
        return self.snapshot.tracked.get(job_id) or self.finished[job_id]
