"""One cluster in memory: its snapshot, and what of it is not stored yet."""

from collections.abc import Iterable, Mapping
from threading import RLock
from typing import Any, Final

from msgspec.structs import replace

from monitor.jobs import (
    Job,
    JobDatabases,
    JobList,
    Snapshot,
    SnapshotDiff,
    Transition,
    first_seen,
    normalize_state,
)
from monitor.store.loading import StoredCluster
from monitor.store.pages import ClusterRef, RecordedTransition
from monitor.store.recording import ClusterChanges, is_progress
from monitor.store.samples import new_samples

WAITING_LIMIT: Final = 10_000
"""Transitions, and finished jobs unless the list is longer, that wait of one cluster; the oldest go first."""

DELISTINGS_KEPT: Final = 4
"""Latest polls in which finished jobs left the list, whose ids are kept: a list can lack jobs for once."""


class ClusterState:
    """The snapshot of a cluster, what is stored of it, and what waits to be stored. To be used with its lock."""

    def __init__(self, ref: ClusterRef) -> None:
        self.ref = ref
        self.lock = RLock()
        self.snapshot: Snapshot | None = None
        self.revision = 0
        self.outdated_revision: int | None = None
        self.replaced_by: tuple[str, int] | None = None
        self.replaced_at = 0.0
        self.loaded = False
        self.recent: tuple[RecordedTransition, ...] = ()
        self._stored = Snapshot()
        self._highest_revision = 0
        self.unconfirmed = False
        self._list_known = self._compare_list = False
        self._last_delisted: tuple[frozenset[str], ...] = ()
        self.samples_wait = False
        self._sampled: Mapping[str, Job] = {}
        self.discard()

    def discard(self) -> None:
        """Drop what waits to be stored."""
        self.dirty = False
        self._finished: dict[str, Job] = {}
        self._delisted = frozenset[str]()
        self._logged: list[Transition] = []
        self._before_add: tuple[dict[str, Job], frozenset[str]] = self._finished, self._delisted

    def add(self, diff: SnapshotDiff) -> None:
        """Add what a poll has changed; its transitions are added by `changes` or by `keep_logged`."""
        self._before_add = self._finished, self._delisted
        self.samples_wait |= bool(diff.changed)
        self._compare_list |= not self._list_known
        self._note_delisted(diff.delisted_ids)
        if self._delisted or diff.delisted_ids:
            self._delisted = self._delisted.union(diff.delisted_ids).difference(diff.snapshot.listing.records)
        self.dirty |= diff.changes_something or self._compare_list
        tracked = diff.snapshot.tracked
        ended = {job.job_id: job for job in diff.changed if job.finished and job.job_id not in tracked}
        if diff.previous is not None:
            expired = (diff.previous.tracked[job_id] for job_id in diff.removed_ids)
            ended |= {job.job_id: job for job in expired if job.finished}
        waiting = {job_id: job for job_id, job in self._finished.items() if job_id not in tracked} | ended
        surplus = len(waiting) - max(WAITING_LIMIT, len(diff.snapshot.listing.records))
        self._finished = dict([*waiting.items()][max(0, surplus) :])

    def take_back(self) -> None:
        """Drop what the latest poll has added; what was logged before it still waits to be stored."""
        self._finished, self._delisted = self._before_add

    def leave_to(self, identity: str, revision: int, now: float) -> None:
        """Let another identity have the row, which is at a revision: it is stored by whoever has it."""
        if self.replaced_by != (identity, revision):
            self.replaced_by, self.replaced_at = (identity, revision), now
        self.discard()

    def show(self, snapshot: Snapshot) -> None:
        """Put a new snapshot in place of the previous one."""
        self.snapshot = snapshot
        if not self.dirty:
            self._note_stored(snapshot, snapshot.tracked)  # it is the same, and need not be in memory twice
        if not self.samples_wait:
            self._sampled = snapshot.tracked

    def take_samples(self) -> list[dict[str, Any]]:
        """Return the points of progress since the last call, to be written once."""
        before, now = self._sampled, {} if self.snapshot is None else self.snapshot.tracked
        self.samples_wait, self._sampled = False, now
        return [*new_samples(self.ref.name, before, now)]

    def forget_list(self) -> None:
        """Forget the latest list: another monitor has polled the cluster since."""
        if self.snapshot is not None:
            self.snapshot = replace(
                self.snapshot, listing=JobList(), counts={}, databases=JobDatabases(), polled_at=None, just_finished={}
            )

    def keep_logged(self, steps: Iterable[Transition]) -> None:
        """Add transitions that are logged before they are stored."""
        self._logged.extend(steps)
        del self._logged[:-WAITING_LIMIT]

    def waiting_jobs(self, ids: Iterable[str]) -> dict[str, Job]:
        """Return those of some finished jobs that wait to be stored."""
        with self.lock:
            return {job_id: job for job_id in ids if (job := self._finished.get(job_id)) is not None}

    def note_unconfirmed(self, ids: Iterable[str]) -> set[str]:
        """Return those of some ids whose jobs may be stored as finished, which the database could not be asked.

        These are all ids until the list has been compared with the database, else those that the previous list has or
        that have left it lately. What is seen of their jobs counts until `synchronize` replaces it; then the next poll
        sees them anew.
        """
        with self.lock:
            listed = {} if self.snapshot is None else self.snapshot.listing.records
            places = (listed, self._delisted, *self._last_delisted)
            unconfirmed = {job_id for job_id in ids if not self._list_known or any(job_id in place for place in places)}
            self.unconfirmed |= bool(unconfirmed)
        return unconfirmed

    def changes(self, now: float, diff: SnapshotDiff | None = None) -> ClusterChanges:
        """Return what is to be stored: everything, often in the same revision.

        Of a poll that is what must not be lost, with its transitions as the next revision: not mere progress, nor which
        finished jobs have left the list.
        """
        snapshot = self.snapshot or Snapshot() if diff is None else diff.snapshot
        is_progress = diff is None and not self._logged and snapshot.outcomes == self._stored.outcomes
        steps = () if diff is None else diff.transitions
        return ClusterChanges(
            ref=self.ref,
            revision=self.revision,
            next_revision=self.revision if is_progress and self.revision else self._highest_revision + 1,
            at=now,
            stored=self._stored,
            snapshot=snapshot,
            tracked=snapshot.tracked if diff is None else self._without_progress(snapshot.tracked),
            finished=self._finished,
            transitions=(*self._logged, *steps),
            to_log=len(steps),
            delisted=self._delisted if diff is None else (),
            compare_list=self._compare_list,
        )

    def _without_progress(self, tracked: Mapping[str, Job]) -> Mapping[str, Job]:
        """Return jobs with those as they are stored that have only progressed since."""
        stored = self._stored.tracked
        pairs = [(before, job) for job_id, job in tracked.items() if (before := stored.get(job_id)) is not None]
        progressed = {job.job_id: before for before, job in pairs if before != job and is_progress(before, job)}
        return {**tracked, **progressed} if progressed else tracked

    def confirm(self, changes: ClusterChanges, delisted: Iterable[str] = ()) -> None:
        """Note what has been stored, unless something else is by now, and stay with what has come since.

        Args:
            changes: What has been written.
            delisted: Ids that had left the list without our knowledge, as the comparison with the database has shown.
        """
        if self.revision != changes.revision:
            return
        self._list_known |= changes.compare_list
        self._note_delisted(delisted)
        self.revision = self._highest_revision = changes.next_revision
        self.outdated_revision = None
        self._note_stored(changes.snapshot, changes.tracked)
        self._finished = {key: job for key, job in self._finished.items() if changes.finished.get(key) is not job}
        stored = set(map(id, changes.transitions))
        self._logged = [step for step in self._logged if id(step) not in stored]
        if self.snapshot is changes.snapshot:
            self._compare_list = False
            self._delisted = self._delisted.difference(changes.delisted)
            self.dirty = bool(self._delisted) or changes.tracked is not changes.snapshot.tracked

    def _note_stored(self, snapshot: Snapshot, tracked: Mapping[str, Job]) -> None:
        """Remember what is stored of a snapshot to compare the next one with; not its list, which is not stored."""
        self._stored = Snapshot(tracked=tracked, outcomes=snapshot.outcomes)

    def _note_delisted(self, ids: Iterable[str]) -> None:
        if delisted := frozenset(ids):
            self._last_delisted = (*self._last_delisted, delisted)[-DELISTINGS_KEPT:]

    def ids(self) -> set[str]:
        """Return the ids of jobs in memory of which `synchronize` has to know what is stored."""
        listed = () if self.snapshot is None else self.snapshot.listing.records
        return {*listed, *(step.job_id for step in self._logged)}

    def synchronize(self, stored: StoredCluster | None, stored_jobs: Mapping[str, Job], now: float) -> list[Transition]:
        """Get back in step with the database, whatever has happened to it; the next write stores the difference.

        What is stored counts, with what was logged meanwhile, and is newer, on top of it. Of the list in memory those
        finished jobs stay that are stored alike; the next poll sees all others anew. What is in memory counts where the
        database has less: it is new, or was emptied or restored.

        Args:
            stored: The cluster as it is stored; None where it is not.
            stored_jobs: What is stored of the jobs of `ids`.
            now: Seconds since the epoch.

        Returns:
            What was logged and is not newer: it is stored, perhaps by us.
        """
        memory, logged = self.snapshot or Snapshot(), self._logged
        revision = 0 if stored is None else stored.revision
        memory_counts = stored is None or (self.loaded and revision < self.revision)
        self.loaded, self.dirty, self.revision = True, self.snapshot is not None, revision
        self.unconfirmed = False
        self._highest_revision = max(self._highest_revision, revision)
        self._stored = Snapshot() if stored is None else stored.snapshot
        if memory_counts:
            untracked = (record for job_id, record in memory.listing.records.items() if job_id not in memory.tracked)
            jobs = [first_seen(record, now) for record in untracked]
            ended = {job.job_id for job in stored_jobs.values() if job.finished}
            unstored = {job.job_id: job for job in jobs if job.finished and job.job_id not in ended}
            self._finished = unstored | self._finished
            self._compare_list = self._list_known
            return []
        steps: dict[str, list[Transition]] = {}
        for step in logged:
            steps.setdefault(step.job_id, []).append(step)
        in_memory = {**self._finished, **memory.tracked}
        newer = dict[str, Job]()
        newer_steps = set[int]()
        for job_id, of_job in steps.items():
            job, stored_job = in_memory.get(job_id), stored_jobs.get(job_id)
            missing = _newer_steps(of_job, stored_job)
            if job is not None and missing:
                newer[job_id] = job if stored_job is None else replace(job, first_seen=stored_job.first_seen)
                newer_steps |= set(map(id, missing))
        self.discard()
        self._finished = {job_id: job for job_id, job in newer.items() if job_id not in memory.tracked}
        self._logged = [step for step in logged if id(step) in newer_steps]
        tracked = {**self._stored.tracked, **newer}
        for job_id in self._finished:
            del tracked[job_id]
        collections = {(job.database, job.collection) for job in newer.values() if job.finished}
        outcomes = {key: outcome for key in collections if (outcome := memory.outcomes.get(key)) is not None}
        records = {
            job_id: record
            for job_id, record in memory.listing.records.items()
            if job_id not in tracked
            and job_id not in memory.databases.unknown
            and (job := stored_jobs.get(job_id)) is not None
            and job.finished
            and job.missing_since is None
            and job.state is normalize_state(record.state)
        }
        databases = {job_id: name for job_id, name in memory.databases.known.items() if job_id in records}
        self.snapshot = replace(
            self._stored,
            listing=JobList(records),
            tracked=tracked,
            outcomes={**self._stored.outcomes, **outcomes},
            databases=JobDatabases(databases),
        )
        self._list_known = self._compare_list = False
        self.dirty = bool(newer)
        if not self.samples_wait:
            self._sampled = tracked
        return [step for step in logged if id(step) not in newer_steps]


def _newer_steps(steps: list[Transition], stored: Job | None) -> list[Transition]:
    """Return those of a job's steps that it took after what is stored of it."""
    if stored is None or (stored.state is steps[0].from_state and stored.state_since < steps[0].at):
        return steps
    reached = [number for number, step in enumerate(steps, 1) if step.to_state is stored.state]
    later = steps[reached[-1] :] if reached else steps
    return later if later and stored.state_since < later[0].at else []
