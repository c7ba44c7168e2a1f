"""Keeps the clusters in memory in step with the database, which can be restored, or written by other monitors."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import structlog

from monitor.jobs import Job
from monitor.store.cluster_state import ClusterState
from monitor.store.database import Database
from monitor.store.loading import ClusterLoader
from monitor.store.log_marks import LogMarks
from monitor.store.pages import ClusterRef
from monitor.store.schema import LONGEST_FAILED_RETENTION

ABANDONED_AFTER: Final = 600.0
"""Seconds after which a row that another identity has taken from us, and not written since, is ours again."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.store")


class Synchronizer:
    """Gets clusters back in step with the database. Its errors come out as they are.

    Args:
        database: The database.
        loader: Loads clusters from it.
        marks: Gets the transitions that turn out to be logged and stored.
        clock: Seconds since the epoch.
    """

    def __init__(self, database: Database, loader: ClusterLoader, marks: LogMarks, clock: Callable[[], float]) -> None:
        self._database = database
        self._loader = loader
        self._marks = marks
        self._clock = clock
        self._conflicts = set[ClusterRef]()

    def synchronize(self, states: Iterable[ClusterState], finished_since: float | None = None) -> None:
        """Get clusters back in step, whatever has happened to the database.

        Of failed and vanished jobs those are loaded that finished since a time, in seconds since the epoch; of None as
        long ago as they can be tracked.
        """
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

    def synchronize_changed(self, states: Iterable[ClusterState]) -> None:
        """Get those clusters back in step that are not loaded, or that the database has in another revision."""
        stored = self._loader.revisions()
        self.synchronize(
            state
            for state in [*states]
            if not state.loaded
            or stored.get(state.ref.name, (state.ref.identity, 0)) != (state.ref.identity, state.revision)
        )

    def take_over_rows(self, states: Iterable[ClusterState]) -> None:
        """Write those clusters again whose rows another identity has replaced, and nobody has written for long."""
        replaced = [state for state in [*states] if state.replaced_by is not None]
        stored, now = self._loader.revisions() if replaced else {}, self._clock()
        for state in replaced:
            with state.lock:
                identity, revision = stored.get(state.ref.name, (state.ref.identity, 0))
                if identity == state.ref.identity:
                    self.synchronize([state])
                    continue
                state.leave_to(identity, revision, now)
                if now >= state.replaced_at + ABANDONED_AFTER:
                    state.replaced_by = None
                    state.synchronize(None, {}, now)

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
