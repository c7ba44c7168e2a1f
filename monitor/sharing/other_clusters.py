"""Loads the clusters that other monitors poll from the store, where those have recorded them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from time import monotonic
from typing import Final

import msgspec

from monitor.jobs import Job, Snapshot
from monitor.replicas import Replicas
from monitor.sharing.batches import batches
from monitor.store import PolledStatus, RecordedTransition, Store
from monitor.web import FleetStatus, OtherUpdate

READ_INTERVAL: Final = 3.0
"""Seconds after which changes by others are looked for without a notification: one can be lost."""

LOADED_AT_ONCE: Final = 2000
"""Clusters that are loaded in one exchange; of the others the latest status waits."""

LOAD_DELAY: Final = 30.0
"""Seconds from when a transition is recorded until streams have it, at most; later ones are only in the history."""


class OtherClusters:
    """Shows the clusters that other monitors poll.

    Args:
        store: The store that the monitors share.
        fleet: What this monitor shows.
        replicas: The monitors.
        clock: Seconds since the epoch.
    """

    def __init__(self, store: Store, fleet: FleetStatus, replicas: Replicas, clock: Callable[[], float]) -> None:
        self._store = store
        self._fleet = fleet
        self._replicas = replicas
        self._clock = clock
        self._read_all = True
        self._since = self._read_at = 0.0
        self._changed_at: dict[str, float] = {}
        self._to_load: dict[str, PolledStatus] = {}
        self._transitions = _NewTransitions(store)

    def read_all_next(self) -> None:
        """Read next which clusters have changed at any time, for clusters or monitors may have been added."""
        self._read_all = True

    def is_due(self) -> bool:
        """Return whether to look for changes also without a notification."""
        return self._read_all or monotonic() >= self._read_at

    def read_changed(self, overlap: float) -> None:
        """Read which clusters have changed at other monitors, from some seconds before the latest change on."""
        since, self._read_all = 0.0 if self._read_all else self._since - overlap, False
        try:
            statuses = self._store.statuses.changed(since, self._replicas.myself.id)
        except Exception:
            self._read_all = True
            raise
        self._read_at = monotonic() + READ_INTERVAL
        for status in statuses:
            self._since = max(self._since, status.changed_at)
            shown = self._fleet.cluster(status.name)
            is_shown = shown is not None and shown.status != "not_polled"
            if not is_shown or self._changed_at.get(status.name) != status.changed_at:
                self._to_load[status.name] = status

    def load(self) -> None:
        """Load clusters that have changed at other monitors."""
        for some in batches([*islice(self._to_load.values(), LOADED_AT_ONCE)]):
            batch = {status.name: status for status in some if self._is_polled_elsewhere(status)}
            if batch:
                self._fleet.others_changed(self._updates(batch))
            for status in some:
                del self._to_load[status.name]
                if status.name in batch:
                    self._changed_at[status.name] = status.changed_at

    def load_times(self) -> None:
        """Show when the others have polled their clusters, which changes with each poll."""
        self._fleet.others_polled(self._store.statuses.times(self._replicas.myself.id))
        self._transitions.advance()

    def _is_polled_elsewhere(self, status: PolledStatus) -> bool:
        shown = self._fleet.cluster(status.name)
        same = shown is not None and shown.cluster.identity() == status.identity
        return same and not self._replicas.owns(status.name)

    def _updates(self, batch: Mapping[str, PolledStatus]) -> list[OtherUpdate]:
        """Load clusters from the store, and return what has changed of them."""
        previous = [status for name in batch if (status := self._fleet.cluster(name)) is not None]
        tracked = {status.cluster.name: status.tracked.keys() for status in previous}
        now = self._clock()
        oldest = {status.cluster.name: now - status.cluster.failed_retention for status in previous}
        self._store.reload(batch, min(oldest.values(), default=now))
        snapshots = {name: self._store.snapshot(name) or Snapshot() for name in batch}
        snapshots = {name: _retained(snapshot, oldest.get(name, now)) for name, snapshot in snapshots.items()}
        steps = self._transitions.read(batch)
        ids = {name: {step.transition.job_id for step in steps[name]} | tracked.get(name, set()) for name in batch}
        keys = [(name, job_id) for name in batch for job_id in ids[name] - snapshots[name].tracked.keys()]
        jobs: dict[str, dict[str, Job]] = defaultdict(dict)
        for (name, job_id), job in self._store.jobs_by_key(keys).items():
            jobs[name][job_id] = job
        return [OtherUpdate(status, snapshots[name], jobs[name], tuple(steps[name])) for name, status in batch.items()]


class _NewTransitions:
    """Reads the transitions of other monitors, each once; those that were recorded lately, whose ids are unknown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._latest: list[tuple[float, int]] = []
        self._read: set[int] = set()

    def advance(self) -> None:
        """Note which transition is the latest one by now."""
        now = monotonic()
        recent = [entry for entry in self._latest if entry[0] >= now - LOAD_DELAY] or self._latest[-1:]
        self._latest = [*recent, (now, self._store.last_transition_id())]
        floor = self._floor()
        self._read = {number for number in self._read if number > floor}

    def read(self, names: Iterable[str]) -> dict[str, list[RecordedTransition]]:
        """Return the new transitions of some clusters by the clusters' names."""
        if not self._latest:
            self.advance()
        steps: dict[str, list[RecordedTransition]] = defaultdict(list)
        for step in self._store.transitions_after(self._floor(), [*names]):
            if int(step.id) not in self._read:
                self._read.add(int(step.id))
                steps[step.cluster].append(step)
        return steps

    def _floor(self) -> int:
        return self._latest[0][1] if self._latest else 0


def _retained(snapshot: Snapshot, oldest: float) -> Snapshot:
    """Return a snapshot without the jobs that finished before a time."""
    tracked = {
        job_id: job for job_id, job in snapshot.tracked.items() if job.finished_at is None or job.finished_at > oldest
    }
    return msgspec.structs.replace(snapshot, tracked=tracked)
