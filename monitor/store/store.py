"""What was seen of every cluster: in memory for whoever asks now, in the database for whoever asks later.

The database can be away for a while: full, locked, gone. Then everything goes on from memory, and what was missed is
written when it is back.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from threading import Lock
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection

from monitor.jobs import Job, Snapshot, SnapshotDiff
from monitor.store.cluster_state import ClusterState
from monitor.store.database import Database
from monitor.store.expectations import ExpectationRecord, ExpectationTable, read_first
from monitor.store.listening import Listener
from monitor.store.loading import ClusterLoader
from monitor.store.log_marks import LogMarks
from monitor.store.maintenance import LogTransition, describe_error, log_pending, prune
from monitor.store.migrations import prepare
from monitor.store.pages import ClusterRef, RecordedTransition, TransitionFilter, TransitionPage
from monitor.store.queries import StoreReader, read_discovery
from monitor.store.recording import ClusterChanges, claim, delete_cluster, write_changes, write_discovery
from monitor.store.renaming import RENAME_TIMEOUT, rename_cluster, renamed_clusters
from monitor.store.rows import RowReader
from monitor.store.samples import SAMPLES_AT_ONCE, write_samples
from monitor.store.schema import LONGEST_FAILED_RETENTION
from monitor.store.sqlite import StoreBusyError
from monitor.store.statements import ROWS_AT_ONCE, chunks
from monitor.store.statuses import CHANNEL, StatusTable
from monitor.store.timeouts import transaction_timeout

FLUSH_INTERVAL: Final = 5.0
"""Seconds for which mere progress may wait to be written, for all clusters together."""

SHARED_FLUSH_INTERVAL: Final = 3.0
"""The same with PostgreSQL, where other monitors show the progress that is stored."""

PRUNE_INTERVAL: Final = 600.0
"""Seconds from one pruning to the next."""

LOG_AFTER: Final = 10.0
"""Seconds after which a transition in a shared database that nobody has logged is logged by another monitor; after the
database was away, the same time anew, in which whoever has logged it can note that."""

ABANDONED_AFTER: Final = 600.0
"""Seconds after which a row that another identity has taken from us, and not written since, is ours again."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that writing what is left may take at the end."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")

T = TypeVar("T")


class StoreUnavailableError(Exception):
    """The database is away: only what is in memory can be shown."""


class Store(StoreReader):
    """Keeps the snapshot of each cluster. Safe to use from the threads of several clusters.

    Its answers to pages leave out clusters that are not watched, and raise ``StoreUnavailableError`` while the
    database is away. The arguments are those of `open_store`.
    """

    def __init__(
        self,
        database: Database,
        *,
        retention: float,
        clock: Callable[[], float] = time.time,
        flush_interval: float | None = None,
    ) -> None:
        rows = RowReader()
        super().__init__(database, rows)
        self._database = database
        self._rows = rows
        self._loader = ClusterLoader(database, rows)
        self.up = True
        self.failures = 0
        self.statuses = StatusTable(database)
        self.expectations = ExpectationTable(database)
        self._retention = retention
        self._clock = clock
        usual_interval = SHARED_FLUSH_INTERVAL if database.is_postgres else FLUSH_INTERVAL
        self._flush_interval = usual_interval if flush_interval is None else flush_interval
        self._flush_at = self._prune_at = 0.0
        self._states: dict[str, ClusterState] = {}
        self._lock = Lock()
        self._marks = LogMarks()
        self._recovered_at = float("-inf")
        self._closed = False
        self._changed: set[str] = set()
        self._started_at = clock()
        self._conflicts: set[ClusterRef] = set()
        self._kept_lists: dict[str, str] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a thread uses the disk; after `close` only one that hangs does, and keeps the process from ending."""
        return self._database.is_busy

    def watch(self, refs: Iterable[ClusterRef], renamed: Mapping[str, Snapshot] | None = None) -> None:
        """Start to keep clusters, with what is stored of them; what cannot be loaded now is loaded by `maintain`.

        A cluster that is stored under a name that is watched no more is the same one, and gets its new name there.

        Args:
            refs: The clusters.
            renamed: The latest snapshots of those that had another name until now, by their new names.
        """
        states = [ClusterState(ref) for ref in refs]
        for state in states:
            state.snapshot = (renamed or {}).get(state.ref.name)
        self._states |= {state.ref.name: state for state in states}
        if self.up:
            try:
                self._rename([state.ref for state in states if state.snapshot is None])
                self._synchronize(states)
                self._hide_unwatched()
            except Exception as error:  # noqa: BLE001 - logged and counted; the clusters are watched without it
                self.mark_unavailable(error)

    def take_over(self, clusters: Iterable[str]) -> None:
        """Load clusters anew that another monitor has polled until now, which can record nothing more of them.

        What cannot be loaded now is loaded when the database is back; until then what is in memory counts.
        """
        states = [state for name in clusters if (state := self._states.get(name)) is not None]
        if not self.up:
            return
        try:
            for some in chunks(states, ROWS_AT_ONCE):
                self._database.write(partial(claim, refs=[state.ref for state in some]))
                self._synchronize(some)
        except Exception as error:  # noqa: BLE001 - logged and counted; the clusters are watched without it
            self.mark_unavailable(error)

    def flush(self) -> None:
        """Write what waits, mere progress too, for another monitor to load."""
        if not self.up:
            return
        try:
            self._flush()
        except StoreBusyError:  # `maintain` writes it
            return
        except Exception as error:  # noqa: BLE001 - logged and counted; tried again by `maintain`
            self.mark_unavailable(error)

    def snapshot(self, cluster: str) -> Snapshot | None:
        """Return the snapshot after the latest complete poll of a cluster; None before its first, the baseline."""
        state = self._states.get(cluster)
        return None if state is None else state.snapshot

    def finished_jobs(self, cluster: str, ids: Iterable[str]) -> Mapping[str, Job | None]:
        """Return what is stored of finished jobs of a cluster that are not tracked, by id.

        None stands for a job that may be stored as finished, while the database is away and cannot say.
        """
        wanted, state = list(ids), self._states.get(cluster)
        if not wanted or state is None:
            return {}
        stored: dict[str, Job] = {}
        answered = False
        try:
            if self.up:
                read = partial(self._loader.jobs_by_id, ref=state.ref, ids=wanted)
                revision, stored = self._database.read_in_poll(read, len(wanted))
                answered = True
                if revision != state.revision:  # another monitor knows more, also of jobs that have to be tracked
                    self._synchronize([state])
        except StoreBusyError:  # a large write to a store in memory; not confirmed until the next poll
            answered = False
        except Exception as error:  # noqa: BLE001 - logged and counted; the poll goes on without it
            self.mark_unavailable(error)
        known = stored | state.waiting_jobs(wanted)
        finished: dict[str, Job | None] = {job_id: job for job_id, job in known.items() if job.finished}
        return finished if answered else dict.fromkeys(state.note_unconfirmed(wanted)) | finished

    def record(self, cluster: str, diff: SnapshotDiff) -> list[int] | None:
        """Put a new snapshot in place of the previous one, and its transitions with it, all or nothing.

        Mere progress is written a little later, by `maintain`.

        Returns:
            The ids of the transitions, for `mark_logged`; none while they are kept only in memory. None where the
            snapshot is no longer the one that the poll was compared with, for another monitor has recorded a poll of
            the cluster, or the stored snapshot could be read at last: then that one counts, and what this poll saw,
            which may be older, is dropped.
        """
        state = self._states[cluster]
        with state.lock:
            if state.snapshot is not diff.previous:
                return None
            if state.unconfirmed and self.up and self._synchronized(state):
                return None
            state.add(diff)
            written = self._write_poll(state, diff)
            if written is None:
                self._drop_poll(state)
                return None
            changes, ids, delisted = written
            state.show(diff.snapshot)
            if changes is None:
                state.keep_logged(diff.transitions)
            else:
                state.confirm(changes, delisted)
                self._note_changed(cluster)
            if state.replaced_by is not None:
                state.discard()
            ids = ids[len(ids) - len(diff.transitions) :]
            numbers = [*map(str, ids)] or [""] * len(diff.transitions)
            steps = zip(numbers, diff.transitions, strict=True)
            state.recent = tuple(RecordedTransition(number, cluster, step) for number, step in steps)
        return ids

    def recent_transitions(self, cluster: str) -> tuple[RecordedTransition, ...]:
        """Return the transitions of the latest recorded poll of a cluster."""
        state = self._states.get(cluster)
        return () if state is None else state.recent

    def mark_logged(self, ids: Iterable[int]) -> None:
        """Note that recorded transitions are in the log; it is written at the next `maintain`, or by `close`."""
        self._marks.add(ids)
        if self._closed and self._marks:
            self._write_last()

    def forget(self, cluster: str, *, delete: bool = True) -> None:
        """Forget a cluster that is no longer watched; its transitions stay until they are pruned, its jobs a little.

        Args:
            cluster: The cluster's name.
            delete: Whether it is deleted from the database; else only left out of the pages, for another monitor, whose
                config may still have it, polls it.
        """
        state = self._states.pop(cluster, None)
        if state is None or not self.up or state.replaced_by is not None:
            return
        if not delete:
            self.hidden |= {cluster}
            return
        with state.lock:
            try:
                self._database.write(lambda connection: delete_cluster(connection, cluster))
                self.hidden |= {cluster}
                self._prune_at = 0.0
            except Exception as error:  # noqa: BLE001 - logged and counted
                self.mark_unavailable(error)

    def listener(self) -> Listener | None:
        """Return what receives notifications of changes by other monitors; None where there can be none."""
        return self._database.listener(CHANNEL)

    def take_changed(self) -> set[str]:
        """Return the names of the clusters whose stored jobs have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
        return changed

    def reload(self, clusters: Iterable[str], finished_since: float) -> None:
        """Load what other monitors have recorded of clusters that they poll; errors come out as they are.

        Of failed and vanished jobs those are loaded that finished since a time, in seconds since the epoch.
        """
        states = [state for name in clusters if (state := self._states.get(name)) is not None]
        for state in states:
            with state.lock:
                state.forget_list()
        self._synchronize(states, finished_since)

    def maintain(self, log_transition: LogTransition) -> None:
        """Do what is due: write progress and what was missed, log what was recorded and nobody logged, prune."""
        try:
            if self.up:
                self._check_file()
            if not self.up:
                self._recover()
            self._marks.write(self._database)  # before what can wait: another monitor logs what is not marked in time
            if not self.up or time.monotonic() >= self._flush_at:
                self._flush()
                self._flush_at = time.monotonic() + self._flush_interval
            self._marks.write(self._database)
            self._log_pending(log_transition)
            if time.monotonic() >= self._prune_at:
                self._prune_at = time.monotonic() + PRUNE_INTERVAL
                self._take_over_rows()
                self._hide_unwatched()
                prune(self._database, self._clock(), self._retention)
        except StoreBusyError:  # tried again at the next call
            return
        except Exception as error:  # noqa: BLE001 - logged and counted; tried again at the next call
            self.mark_unavailable(error)
            return
        self._rows.report_skipped()
        if not self.up:
            self.up = True
            _log.info("store_recovered")

    def discovered(self, discovery: str) -> str | None:
        """Return the list of a discovery that was kept last; None where there is none, or the database is away."""
        if not self.up:
            return None
        try:
            return self._database.read(lambda connection: read_discovery(connection, discovery))
        except Exception as error:  # noqa: BLE001 - logged and counted; the discovery goes on without it
            self.mark_unavailable(error)
            return None

    def keep_discovered(self, discovery: str, clusters: str) -> bool:
        """Keep the list of a discovery, and return whether that was possible now."""
        if not self.up:
            return False
        if self._kept_lists.get(discovery) == clusters:
            return True
        try:
            self._check_file()
            if self.up:
                self._database.write(lambda connection: write_discovery(connection, discovery, clusters))
                self._kept_lists[discovery] = clusters
        except StoreBusyError:
            return False
        except Exception as error:  # noqa: BLE001 - logged and counted; tried again after the next list
            self.mark_unavailable(error)
        return self.up

    def close(self) -> None:
        """Write what is left and close the database; polls that have not ended yet still record what they see."""
        self._closed = True
        self._write_last()
        self._database.close()

    def transitions(self, wanted: TransitionFilter, limit: int = 100, cursor: str = "") -> TransitionPage:
        """Return recorded transitions, newest first; none, and not ``complete``, while the database is away."""
        try:
            return super().transitions(wanted, limit, cursor)
        except StoreUnavailableError:
            return TransitionPage((), complete=False)

    def job(self, cluster: str, job_id: str) -> Job | None:
        """Return a job, None where it is not known; raises ``StoreUnavailableError`` if it is not tracked."""
        snapshot = self.snapshot(cluster)
        if snapshot is not None and (job := snapshot.tracked.get(job_id)) is not None:
            return job
        return super().job(cluster, job_id)

    def expected_imports(self, clusters: Collection[str] | None, limit: int) -> list[ExpectationRecord]:
        """Return expected imports of some clusters, None for all, those in trouble first."""
        return self.ask(partial(read_first, clusters=clusters, limit=limit))

    def change_credentials(self, url: str) -> bool:
        """Use the user and the password of a URL of PostgreSQL; return False where it is that of another database."""
        return self._database.change_credentials(url)

    def mark_unavailable(self, error: Exception) -> None:
        """Go on from memory; logged once until the store has recovered."""
        self.failures += 1
        with self._lock:
            was_up, self.up = self.up, False
        if was_up:
            file = {} if self._database.file is None else {"file": str(self._database.file)}
            _log.error("store_unavailable", message=describe_error(error), **file)

    def _write_last(self) -> None:
        """Write what is left: first which transitions were logged, for another monitor would log them again."""
        try:
            self._marks.write(self._database, CLOSE_TIMEOUT)
            self._flush(CLOSE_TIMEOUT)
            self._marks.write(self._database, CLOSE_TIMEOUT)
        except Exception as error:  # noqa: BLE001 - logged and counted
            self.mark_unavailable(error)

    def _log_pending(self, log_transition: LogTransition) -> None:
        """Log what was recorded and nobody logged; in a shared database once whoever recorded it had time to."""
        now = self._clock()
        if not self._database.is_postgres:
            before = self._started_at
        elif self._recovered_at <= now < self._recovered_at + LOG_AFTER:
            return
        else:
            before = now - LOG_AFTER
        log_pending(self._database, self._rows, before, log_transition, self.mark_logged)

    def _note_changed(self, cluster: str) -> None:
        with self._lock:
            self._changed.add(cluster)

    def _check_file(self) -> None:
        """Notice that the file of SQLite was deleted or replaced: what is written into it would be lost."""
        if self._database.is_replaced():
            self.mark_unavailable(FileNotFoundError("the file was deleted or replaced"))

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Answer a question of a page; raises ``StoreUnavailableError``."""
        if not self.up:
            raise StoreUnavailableError("the store is unavailable: only tracked jobs are known")
        try:
            return super().ask(work)
        except Exception as error:  # who asks for too much must not keep polls from being recorded
            _log.warning("history_unavailable", message=describe_error(error))
            raise StoreUnavailableError("the store did not answer: only tracked jobs are known") from error

    def _write_poll(
        self, state: ClusterState, diff: SnapshotDiff
    ) -> tuple[ClusterChanges | None, list[int], Iterable[str]] | None:
        """Write what a poll has changed.

        Returns:
            What was written, with the ids of the transitions, and of jobs that have left the list unnoticed; no changes
            where the poll is kept only in memory. None where nothing was written because another monitor has recorded a
            poll.
        """
        if diff.transitions and self.up:
            self._check_file()
        if not (diff.must_be_recorded and self.up and state.loaded) or state.replaced_by is not None:
            return None, [], ()
        changes = state.changes(self._clock(), diff)
        rows = len(diff.changed) + len(changes.finished) + len(changes.transitions)
        try:
            written = self._database.write_in_poll(partial(write_changes, changes=[changes]), rows)
        except StoreBusyError:  # `maintain` writes it
            return None, [], ()
        except Exception as error:  # noqa: BLE001 - logged and counted; the cluster is shown all the same
            self.mark_unavailable(error)
            return None, [], ()
        if not written.stale:
            return changes, written.transition_ids, written.delisted.get(state.ref.name, ())
        if state.revision != state.outdated_revision:
            state.outdated_revision = state.revision
            return None
        # Nobody has recorded anything since the last time: to drop polls for ever would hide the cluster.
        self.mark_unavailable(RuntimeError(f"the row of the cluster {state.ref.name} cannot be updated"))
        return None, [], ()

    def _drop_poll(self, state: ClusterState) -> None:
        """Drop what a poll has seen, for another monitor has recorded one since."""
        state.take_back()
        if not self._synchronized(state):
            state.loaded = False  # loaded when the store has recovered

    def _synchronized(self, state: ClusterState) -> bool:
        """Get a cluster back in step with the database, and say whether that was possible."""
        try:
            self._synchronize([state])
        except Exception as error:  # noqa: BLE001 - logged and counted; tried again when the store has recovered
            self.mark_unavailable(error)
            return False
        return True

    def _flush(self, timeout: float | None = None) -> None:
        """Write what waits, of many clusters in one transaction; what another monitor has recorded since counts."""
        self._synchronize(state for state in [*self._states.values()] if state.unconfirmed)
        for some in chunks([*self._states.values()], ROWS_AT_ONCE):
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
                        self._synchronize([state])
        self._write_samples(timeout)

    def _write_samples(self, timeout: float | None) -> None:
        """Write how far jobs have come, for the charts; a point that cannot be written is missing there."""
        rows = []
        for state in [*self._states.values()]:
            waits = state.samples_wait and state.loaded and state.replaced_by is None
            if waits and state.lock.acquire(blocking=False):
                rows += state.take_samples()
                state.lock.release()
        if rows:
            limit = timeout or transaction_timeout(min(len(rows), SAMPLES_AT_ONCE))
            self._database.write(partial(write_samples, rows=rows), limit)

    def _recover(self) -> None:
        """Compare every cluster with the database: it can have been restored, or recorded by another monitor."""
        self._database.reconnect()
        self._kept_lists = {}
        prepare(self._database)
        stored = self._loader.revisions()
        self._synchronize(
            state
            for name, state in [*self._states.items()]
            if not state.loaded or stored.get(name, (state.ref.identity, 0)) != (state.ref.identity, state.revision)
        )
        self._prune_at = 0.0
        self._recovered_at = self._clock()

    def _synchronize(self, states: Iterable[ClusterState], finished_since: float | None = None) -> None:
        """Get clusters back in step with the database, whatever has happened to it."""
        states, now = [*states], self._clock()
        since = now - LONGEST_FAILED_RETENTION if finished_since is None else finished_since
        loaded = self._loader.load([state.ref for state in states], since)
        for state in states:
            stored, jobs = loaded.get(state.ref.name), dict[str, Job]()
            with state.lock:
                if stored is not None and (ids := state.ids()):
                    jobs = self._database.read(partial(self._loader.jobs_by_id, ref=state.ref, ids=ids))[1]
                was_ours = state.revision > 0
                self._marks.add_steps(state.ref.name, state.synchronize(stored, jobs, now))
                if stored is not None:
                    state.replaced_by = None
                elif was_ours or state.replaced_by is not None:
                    self._check_identity(state)

    def _check_identity(self, state: ClusterState) -> None:
        """Leave the row of a cluster to another identity that has replaced ours, instead of replacing it in turn.

        Another monitor spells the URL of the cluster differently, or means another cluster by that name.
        """
        ref = state.ref
        identity, revision = self._loader.revisions().get(ref.name, (ref.identity, 0))
        if identity == ref.identity:
            state.replaced_by = None
            return
        if ref not in self._conflicts:
            self._conflicts.add(ref)
            labels = {"milvus_cluster": ref.name, "cluster_id": ref.cluster_id}
            _log.warning("store_identity_conflict", **labels, identity=ref.identity, other_identity=identity)
        state.leave_to(identity, revision, self._clock())

    def _take_over_rows(self) -> None:
        """Write those clusters again whose rows another identity has replaced, and nobody has written for long."""
        replaced = [state for state in [*self._states.values()] if state.replaced_by is not None]
        stored, now = self._loader.revisions() if replaced else {}, self._clock()
        for state in replaced:
            with state.lock:
                identity, revision = stored.get(state.ref.name, (state.ref.identity, 0))
                if identity == state.ref.identity:
                    self._synchronize([state])
                    continue
                state.leave_to(identity, revision, now)
                if now >= state.replaced_at + ABANDONED_AFTER:
                    state.replaced_by = None
                    state.synchronize(None, {}, now)

    def _rename(self, refs: Collection[ClusterRef]) -> None:
        """Find new clusters again that are stored under other names, which nothing is watched by any more."""
        for previous, ref in renamed_clusters(refs, self._loader.revisions(), self._states).items():
            if self._database.write(partial(rename_cluster, previous=previous, ref=ref), RENAME_TIMEOUT):
                labels = {"milvus_cluster": ref.name, "cluster_id": ref.cluster_id}
                _log.info("cluster_renamed", **labels, previous_name=previous)

    def _hide_unwatched(self) -> None:
        """Leave clusters out of the pages that are stored, but not watched (any more)."""
        self.hidden = frozenset(self._loader.revisions().keys() - self._states.keys())
