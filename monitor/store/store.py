"""What was seen of every cluster: in memory for whoever asks now, in the database for whoever asks later."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection

from monitor.jobs import Job, Snapshot, SnapshotDiff
from monitor.store.availability import Availability, StoreUnavailableError, describe_error
from monitor.store.cluster_state import ClusterState
from monitor.store.database import Database
from monitor.store.discoveries import DiscoveryLists
from monitor.store.expectations import ExpectationRecord, ExpectationTable, read_first
from monitor.store.listening import Listener
from monitor.store.loading import ClusterLoader
from monitor.store.log_marks import LogMarks
from monitor.store.migrations import prepare
from monitor.store.pages import ClusterRef, RecordedTransition, TransitionFilter, TransitionPage
from monitor.store.pending_log import LogTransition, PendingLog
from monitor.store.polls import PollRecorder
from monitor.store.pruning import prune
from monitor.store.queries import StoreReader
from monitor.store.recording import claim, delete_cluster
from monitor.store.renaming import rename_clusters
from monitor.store.rows import RowReader
from monitor.store.sqlite import StoreBusyError
from monitor.store.statements import ROWS_AT_ONCE, chunks
from monitor.store.statuses import CHANNEL, StatusTable
from monitor.store.synchronizing import Synchronizer

FLUSH_INTERVAL: Final = 5.0
"""Seconds for which mere progress may wait to be written, for all clusters together."""

SHARED_FLUSH_INTERVAL: Final = 3.0
"""The same with PostgreSQL, where other monitors show the progress that is stored."""

PRUNE_INTERVAL: Final = 600.0
"""Seconds from one pruning to the next."""

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that writing what is left may take at the end."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")

T = TypeVar("T")


class Store(StoreReader):
    """Keeps the snapshot of each cluster. Safe to use from the threads of several clusters.

    Its answers to pages leave out clusters that are not watched, and raise ``StoreUnavailableError`` while the
    database is away. The arguments are those of `open_store`.
    """

    def __init__(
        self, database: Database, *, retention: float, clock: Callable[[], float], flush_interval: float | None
    ) -> None:
        rows = RowReader()
        super().__init__(database, rows)
        self._database = database
        self._rows = rows
        self._loader = ClusterLoader(database, rows)
        self._marks = LogMarks()
        self.availability = Availability(database)
        self._synchronizer = Synchronizer(database, self._loader, self._marks, clock)
        self._recorder = PollRecorder(database, self._loader, self.availability, self._synchronizer, clock)
        self._pending = PendingLog(database, rows, clock)
        self._discoveries = DiscoveryLists(database, self.availability)
        self.statuses = StatusTable(database)
        self.expectations = ExpectationTable(database)
        self._retention = retention
        self._clock = clock
        usual_interval = SHARED_FLUSH_INTERVAL if database.is_postgres else FLUSH_INTERVAL
        self._flush_interval = usual_interval if flush_interval is None else flush_interval
        self._flush_at = self._prune_at = 0.0
        self._states: dict[str, ClusterState] = {}
        self._closed = False

    @property
    def up(self) -> bool:
        """Whether the database can be used, as far as is known."""
        return self.availability.up

    @property
    def failures(self) -> int:
        """How often the database could not be used."""
        return self.availability.failures

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
            with self.availability.attempt():
                new = [state.ref for state in states if state.snapshot is None]
                rename_clusters(self._database, new, self._loader.revisions(), self._states)
                self._synchronizer.synchronize(states)
                self._hide_unwatched()

    def take_over(self, clusters: Iterable[str]) -> None:
        """Load clusters anew that another monitor has polled until now, which can record nothing more of them.

        What cannot be loaded now is loaded when the database is back; until then what is in memory counts.
        """
        states = [state for name in clusters if (state := self._states.get(name)) is not None]
        if self.up:
            with self.availability.attempt():
                for some in chunks(states, ROWS_AT_ONCE):
                    self._database.write(partial(claim, refs=[state.ref for state in some]))
                    self._synchronizer.synchronize(some)

    def flush(self) -> None:
        """Write what waits, mere progress too, for another monitor to load."""
        if self.up:
            with self.availability.attempt(), suppress(StoreBusyError):  # `maintain` writes it
                self._recorder.flush(self._states.values())

    def snapshot(self, cluster: str) -> Snapshot | None:
        """Return the snapshot after the latest complete poll of a cluster; None before its first, the baseline."""
        state = self._states.get(cluster)
        return None if state is None else state.snapshot

    def finished_jobs(self, cluster: str, ids: Iterable[str]) -> Mapping[str, Job | None]:
        """Return what is stored of finished jobs of a cluster that are not tracked, by id.

        None stands for a job that may be stored as finished, while the database is away and cannot say.
        """
        wanted, state = list(ids), self._states.get(cluster)
        return {} if not wanted or state is None else self._recorder.finished_jobs(state, wanted)

    def record(self, cluster: str, diff: SnapshotDiff, is_ours: Callable[[], bool] = lambda: True) -> list[int] | None:
        """Put a new snapshot in place of the previous one, and its transitions with it, all or nothing.

        Mere progress is written a little later, by `maintain`. Where nothing can be written, `is_ours` says whether we
        still poll the cluster: whoever polls it by now logs what has changed.

        Returns:
            The ids of the transitions, for `mark_logged`; none while they are kept only in memory. None where the
            snapshot is no longer the one that the poll was compared with, for another monitor has recorded a poll of
            the cluster or polls it by now, or the stored snapshot could be read at last: then that one counts, and what
            this poll saw, which may be older, is dropped.
        """
        return self._recorder.record(self._states[cluster], diff, is_ours)

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
        with state.lock, self.availability.attempt():
            self._database.write(lambda connection: delete_cluster(connection, cluster))
            self.hidden |= {cluster}
            self._prune_at = 0.0

    def listener(self) -> Listener | None:
        """Return what receives notifications of changes by other monitors; None where there can be none."""
        return self._database.listener(CHANNEL)

    def take_changed(self) -> set[str]:
        """Return the names of the clusters whose stored jobs have changed since the last call."""
        return self._recorder.take_changed()

    def reload(self, clusters: Iterable[str], finished_since: float) -> None:
        """Load what other monitors have recorded of clusters that they poll; errors come out as they are.

        Of failed and vanished jobs those are loaded that finished since a time, in seconds since the epoch.
        """
        states = [state for name in clusters if (state := self._states.get(name)) is not None]
        for state in states:
            with state.lock:
                state.forget_list()
        self._synchronizer.synchronize(states, finished_since)

    def maintain(self, log_transition: LogTransition) -> None:
        """Do what is due: write progress and what was missed, log what was recorded and nobody logged, prune."""
        with self.availability.attempt(), suppress(StoreBusyError):  # tried again at the next call
            if self.up:
                self.availability.check_file()
            if not self.up:
                self._recover()
            self._marks.write(self._database)  # before what can wait: another monitor logs what is not marked in time
            if not self.up or time.monotonic() >= self._flush_at:
                self._recorder.flush(self._states.values())
                self._flush_at = time.monotonic() + self._flush_interval
            self._marks.write(self._database)
            self._pending.log(log_transition, self.mark_logged)
            if time.monotonic() >= self._prune_at:
                self._prune_at = time.monotonic() + PRUNE_INTERVAL
                self._synchronizer.take_over_rows(self._states.values())
                self._hide_unwatched()
                prune(self._database, self._clock(), self._retention)
            self._rows.report_skipped()
            self.availability.mark_recovered()

    def close(self) -> None:
        """Write what is left and close the database; polls that have not ended yet still record what they see."""
        self._closed = True
        self._write_last()
        self._database.close()

    def discovered(self, discovery: str) -> str | None:
        """Return the list of a discovery that was kept last; None where there is none, or the database is away."""
        return self._discoveries.latest(discovery)

    def keep_discovered(self, discovery: str, clusters: str) -> bool:
        """Keep the list of a discovery, and return whether that was possible now."""
        return self._discoveries.keep(discovery, clusters)

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

    def ask(self, work: Callable[[Connection], T]) -> T:
        """Answer a question of a page; raises ``StoreUnavailableError``."""
        if not self.up:
            raise StoreUnavailableError("the store is unavailable: only tracked jobs are known")
        try:
            return super().ask(work)
        except Exception as error:  # who asks for too much must not keep polls from being recorded
            _log.warning("history_unavailable", message=describe_error(error))
            raise StoreUnavailableError("the store did not answer: only tracked jobs are known") from error

    def change_credentials(self, url: str) -> bool:
        """Use the user and the password of a URL of PostgreSQL; return False where it is that of another database."""
        return self._database.change_credentials(url)

    def _recover(self) -> None:
        """Compare every cluster with the database: it can have been restored, or recorded by another monitor."""
        self._database.reconnect()
        self._discoveries.forget_kept()
        prepare(self._database)
        self._synchronizer.synchronize_changed(self._states.values())
        self._prune_at = 0.0
        self._pending.note_recovery()

    def _write_last(self) -> None:
        """Write what is left: first which transitions were logged, for another monitor would log them again."""
        with self.availability.attempt():
            self._marks.write(self._database, CLOSE_TIMEOUT)
            self._recorder.flush(self._states.values(), CLOSE_TIMEOUT)
            self._marks.write(self._database, CLOSE_TIMEOUT)

    def _hide_unwatched(self) -> None:
        """Leave clusters out of the pages that are stored, but not watched (any more)."""
        self.hidden = frozenset(self._loader.revisions().keys() - self._states.keys())
