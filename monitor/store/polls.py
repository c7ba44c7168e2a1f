"""What polls ask of the store, and what they record: at once what must not be lost, mere progress a little later."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from threading import Lock

from monitor.jobs import Job, SnapshotDiff
from monitor.store.availability import Availability
from monitor.store.cluster_state import ClusterState
from monitor.store.database import Database
from monitor.store.loading import ClusterLoader
from monitor.store.pages import RecordedTransition
from monitor.store.recording import ClusterChanges, write_changes
from monitor.store.samples import SAMPLES_AT_ONCE, write_samples
from monitor.store.sqlite import StoreBusyError
from monitor.store.statements import ROWS_AT_ONCE, chunks
from monitor.store.synchronizing import Synchronizer
from monitor.store.timeouts import transaction_timeout


class PollRecorder:
    """Records what polls see of clusters; what another monitor has recorded since counts. Safe for several threads.

    Args:
        database: The database.
        loader: Loads clusters from it.
        availability: Whether it can be used.
        synchronizer: Gets clusters back in step with it.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        loader: ClusterLoader,
        availability: Availability,
        synchronizer: Synchronizer,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._loader = loader
        self._availability = availability
        self._synchronizer = synchronizer
        self._clock = clock
        self._lock = Lock()
        self._changed: set[str] = set()

    def finished_jobs(self, state: ClusterState, wanted: Collection[str]) -> Mapping[str, Job | None]:
        """Return what is stored of finished jobs; see `Store.finished_jobs`."""
        stored: dict[str, Job] = {}
        answered = False
        try:
            if self._availability.up:
                read = partial(self._loader.jobs_by_id, ref=state.ref, ids=wanted)
                revision, stored = self._database.read_in_poll(read, len(wanted))
                answered = True
                if revision != state.revision:  # another monitor knows more, also of jobs that have to be tracked
                    self._synchronizer.synchronize([state])
        except StoreBusyError:  # a large write to a store in memory; not confirmed until the next poll
            answered = False
        except Exception as error:  # noqa: BLE001 - logged and counted; the poll goes on without it
            self._availability.mark_unavailable(error)
        known = stored | state.waiting_jobs(wanted)
        finished: dict[str, Job | None] = {job_id: job for job_id, job in known.items() if job.finished}
        return finished if answered else dict.fromkeys(state.note_unconfirmed(wanted)) | finished

    def record(self, state: ClusterState, diff: SnapshotDiff, is_ours: Callable[[], bool]) -> list[int] | None:
        """Put a new snapshot in place of the previous one; see `Store.record`."""
        with state.lock:
            if state.snapshot is not diff.previous:
                return None
            if state.unconfirmed and self._availability.up and self._synchronized(state):
                return None
            state.add(diff)
            written = self._write_poll(state, diff)
            if written is None or (written[0] is None and diff.transitions and not is_ours()):
                self._drop_poll(state)
                return None
            changes, ids, delisted = written
            state.show(diff.snapshot)
            if changes is None:
                state.keep_logged(diff.transitions)
            else:
                state.confirm(changes, delisted)
                self._note_changed(state.ref.name)
            if state.replaced_by is not None:
                state.discard()
            ids = ids[len(ids) - len(diff.transitions) :]
            numbers = [*map(str, ids)] or [""] * len(diff.transitions)
            steps = zip(numbers, diff.transitions, strict=True)
            state.recent = tuple(RecordedTransition(number, state.ref.name, step) for number, step in steps)
        return ids

    def flush(self, states: Collection[ClusterState], timeout: float | None = None) -> None:
        """Write what waits of clusters, which can be a view that changes meanwhile; of many in one transaction."""
        self._synchronizer.synchronize(state for state in [*states] if state.unconfirmed)
        for some in chunks([*states], ROWS_AT_ONCE):
            batch = {}
            for state in some:
                waits = state.dirty and state.replaced_by is None
                if waits and state.lock.acquire(blocking=False):  # else a poll of it is being recorded
                    if state.loaded:
                        batch[state] = state.changes(self._clock())
                    state.lock.release()
            if not batch:
                continue
            limit = timeout or transaction_timeout(sum(len(changes.snapshot.tracked) for changes in batch.values()))
            written = self._database.write(partial(write_changes, changes=batch.values()), limit)
            for state, changes in batch.items():
                with state.lock:
                    if changes.ref.name not in written.stale:
                        state.confirm(changes, written.delisted.get(changes.ref.name, ()))
                        self._note_changed(changes.ref.name)
                    elif state.revision == changes.revision:
                        self._synchronizer.synchronize([state])
        self._write_samples(states, timeout)

    def take_changed(self) -> set[str]:
        """Return the names of the clusters whose stored jobs have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def _write_poll(
        self, state: ClusterState, diff: SnapshotDiff
    ) -> tuple[ClusterChanges | None, list[int], Iterable[str]] | None:
        """Write what a poll has changed.

        Returns:
            What was written, with the ids of the transitions, and of jobs that have left the list unnoticed; no changes
            where the poll is kept only in memory. None where nothing was written because another monitor has recorded a
            poll.
        """
        if diff.transitions and self._availability.up:
            self._availability.check_file()
        if not (diff.must_be_recorded and self._availability.up and state.loaded) or state.replaced_by is not None:
            return None, [], ()
        changes = state.changes(self._clock(), diff)
        rows = len(diff.changed) + len(changes.finished) + len(changes.transitions)
        try:
            written = self._database.write_in_poll(partial(write_changes, changes=[changes]), rows)
        except StoreBusyError:  # `maintain` writes it
            return None, [], ()
        except Exception as error:  # noqa: BLE001 - logged and counted; the cluster is shown all the same
            self._availability.mark_unavailable(error)
            return None, [], ()
        if not written.stale:
            return changes, written.transition_ids, written.delisted.get(state.ref.name, ())
        if state.revision != state.outdated_revision:
            state.outdated_revision = state.revision
            return None
        # Nobody has recorded anything since the last time: to drop polls for ever would hide the cluster.
        self._availability.mark_unavailable(RuntimeError(f"the row of the cluster {state.ref.name} cannot be updated"))
        return None, [], ()

    def _drop_poll(self, state: ClusterState) -> None:
        """Drop what a poll has seen: another monitor has recorded a poll since, or has the cluster by now."""
        state.take_back()
        if not self._synchronized(state):
            state.loaded = False  # loaded when the store has recovered

    def _synchronized(self, state: ClusterState) -> bool:
        """Get a cluster back in step with the database, and say whether that was possible."""
        try:
            self._synchronizer.synchronize([state])
        except Exception as error:  # noqa: BLE001 - logged and counted; tried again when the store has recovered
            self._availability.mark_unavailable(error)
            return False
        return True

    def _write_samples(self, states: Collection[ClusterState], timeout: float | None) -> None:
        """Write how far jobs have come, for the charts; a point that cannot be written is missing there."""
        rows = []
        for state in [*states]:
            waits = state.samples_wait and state.loaded and state.replaced_by is None
            if waits and state.lock.acquire(blocking=False):
                rows += state.take_samples()
                state.lock.release()
        if rows:
            limit = timeout or transaction_timeout(min(len(rows), SAMPLES_AT_ONCE))
            self._database.write(partial(write_samples, rows=rows), limit)

    def _note_changed(self, cluster: str) -> None:
        with self._lock:
            self._changed.add(cluster)
