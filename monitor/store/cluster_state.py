"""One cluster in memory: its snapshot, and what of it is not written yet."""

from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Final

from msgspec.structs import replace

from monitor.jobs import CollectionKey, CollectionOutcome, Job, JobState, Snapshot, SnapshotDiff, Transition, first_seen
from monitor.store.pages import ClusterRef, RecordedTransition
from monitor.store.queries import StoredCluster
from monitor.store.recording import ClusterChanges

LOGGED_LIMIT: Final = 10_000
"""Transitions of one cluster that wait for an unavailable database; the oldest go first."""

FINISHED_LIMIT: Final = 10_000
"""Finished jobs of one cluster that wait for an unavailable database, unless its list is longer."""


class ClusterState:
    """The snapshot of a cluster, and the changes to it that wait to be written. To be used with its lock.

    Args:
        ref: The cluster.
    """

    def __init__(self, ref: ClusterRef) -> None:
        self.ref = ref
        self.lock = Lock()
        self.snapshot: Snapshot | None = None
        self.revision = 0
        self.loaded = False
        self.recent: tuple[RecordedTransition, ...] = ()
        self._highest_revision = 0
        self._compare_list = self._polled = False
        self.discard()

    def discard(self) -> None:
        """Drop what is not written."""
        self._jobs: dict[str, Job | None] = {}
        self._delisted: dict[str, float] = {}
        self._outcomes: dict[CollectionKey, CollectionOutcome | None] = {}
        self._logged: list[Transition] = []

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be written."""
        waiting = self._jobs or self._delisted or self._outcomes or self._logged
        is_new = self.snapshot is not None and not self.revision
        return bool(waiting or is_new or (self._compare_list and self._polled))

    def add(self, diff: SnapshotDiff, now: float) -> None:
        """Add what a poll has changed; its transitions are added by `changes` or by `keep_logged`."""
        self._polled = True
        tracked, listed = diff.snapshot.tracked, diff.snapshot.listing.records
        for job in diff.changed:
            self._jobs.pop(job.job_id, None)  # the latest go to the end
            self._jobs[job.job_id] = job if job.finished or job.job_id in tracked else None
        for job_id in diff.removed_ids:
            if diff.previous is not None and not diff.previous.tracked[job_id].finished:
                self._jobs[job_id] = None
        for job_id in self._delisted.keys() & listed.keys():
            del self._delisted[job_id]
        self._delisted |= dict.fromkeys(diff.delisted_ids, now)
        if diff.outcomes_changed:
            previous = {} if diff.previous is None else diff.previous.outcomes
            current = diff.snapshot.outcomes
            self._outcomes |= {key: outcome for key, outcome in current.items() if previous.get(key) != outcome}
            self._outcomes |= dict.fromkeys(previous.keys() - current.keys())
        if len(self._jobs) > len(tracked) + max(FINISHED_LIMIT, len(listed)):
            finished = [job_id for job_id in self._jobs if job_id not in tracked]
            for job_id in finished[: len(self._jobs) - len(tracked) - max(FINISHED_LIMIT, len(listed))]:
                del self._jobs[job_id]

    def keep_logged(self, steps: Iterable[Transition]) -> None:
        """Add transitions that are logged before they are written."""
        self._logged.extend(steps)
        del self._logged[:-LOGGED_LIMIT]

    def pending_jobs(self, ids: Iterable[str]) -> dict[str, Job]:
        """Return those of some jobs that wait to be written."""
        with self.lock:
            return {job_id: job for job_id in ids if (job := self._jobs.get(job_id)) is not None}

    def changes(self, now: float, diff: SnapshotDiff | None = None) -> ClusterChanges:
        """Return what is to be written: with a poll's transitions as the next revision, else often in the same one."""
        snapshot = self.snapshot or Snapshot() if diff is None else diff.snapshot
        listed = snapshot.listing.records.keys()
        is_progress = diff is None and self.revision and not self._logged and not self._outcomes
        return ClusterChanges(
            ref=self.ref,
            revision=self.revision,
            next_revision=self.revision if is_progress else max(self.revision, self._highest_revision) + 1,
            at=now,
            baseline_at=snapshot.baseline_at,
            jobs=dict(self._jobs),
            delisted=dict(self._delisted),
            outcomes=dict(self._outcomes),
            transitions=() if diff is None else diff.transitions,
            logged=tuple(self._logged),
            present=listed | snapshot.tracked.keys() if self._compare_list and self._polled else None,
        )

    def confirm(self, changes: ClusterChanges) -> None:
        """Take out what was written, and stay with what has come since."""
        if self.revision == changes.revision:
            self.revision = self._highest_revision = changes.next_revision
        if changes.present is not None:
            self._compare_list = False
        self._jobs = {key: job for key, job in self._jobs.items() if changes.jobs.get(key, self) is not job}
        self._delisted = {key: at for key, at in self._delisted.items() if changes.delisted.get(key) != at}
        self._outcomes = {key: it for key, it in self._outcomes.items() if changes.outcomes.get(key, self) is not it}
        written = set(map(id, changes.logged))
        self._logged = [step for step in self._logged if id(step) not in written]

    def ids_to_compare(self) -> list[str]:
        """Return the ids of jobs to look up in the database before `adopt` or `rewrite`."""
        listed = () if self.snapshot is None else self.snapshot.listing.records
        return list({*listed, *(step.job_id for step in self._logged)})

    def adopt(self, stored: StoredCluster | None, stored_jobs: Mapping[str, Job] | None = None) -> list[Transition]:
        """Take what is stored as the snapshot. What was logged meanwhile, and is newer, is written on top of it.

        Args:
            stored: The cluster as it is stored; None where it is not.
            stored_jobs: What is stored of `ids_to_compare`.

        Returns:
            What was logged and is not newer: it is stored, perhaps by us.
        """
        logged, pending, previous = self._logged, self._jobs, self.snapshot
        self.discard()
        self.loaded, self._polled, self._compare_list = True, False, stored is not None
        if stored is None:
            self.snapshot, self.revision = None, 0
            return []
        newer: dict[str, Job] = {}
        for step in reversed(logged):  # the first step of a job decides
            job, stored_job = pending.get(step.job_id), (stored_jobs or {}).get(step.job_id)
            newer.pop(step.job_id, None)
            if job and (not stored_job or (stored_job.state is not job.state and stored_job.state_since < step.at)):
                newer[step.job_id] = job
        self._jobs |= newer
        self._logged = [step for step in logged if step.job_id in newer]
        tracked = {**stored.snapshot.tracked, **newer}
        outcomes = dict(stored.snapshot.outcomes)
        for job_id, job in newer.items():
            if job.state is JobState.COMPLETED:
                del tracked[job_id]
            outcome = previous and previous.outcomes.get((job.database, job.collection))
            if job.finished and outcome:
                outcomes[job.database, job.collection] = self._outcomes[job.database, job.collection] = outcome
        self.snapshot = replace(stored.snapshot, tracked=tracked, outcomes=outcomes)
        self.revision = self._highest_revision = stored.revision
        return [step for step in logged if step.job_id not in newer]

    def rewrite(self, stored_revision: int, stored_jobs: Mapping[str, Job], now: float) -> None:
        """Prepare to write all that is in memory, for the database has less: it was restored, emptied, or is new."""
        self.loaded, self.revision = True, stored_revision
        if self.snapshot is not None:
            stored_ids = {*self.snapshot.tracked, *(job.job_id for job in stored_jobs.values() if job.finished)}
            listed = self.snapshot.listing.records
            finished = {
                job_id: first_seen(record, now) for job_id, record in listed.items() if job_id not in stored_ids
            }
            self._jobs = {**finished, **self.snapshot.tracked, **self._jobs}
            self._outcomes = {**self.snapshot.outcomes}
