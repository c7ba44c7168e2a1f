"""Stores how the latest polls of our clusters ended, for the other monitors."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from threading import Lock

from monitor.jobs import JobState
from monitor.replicas import Replicas
from monitor.sharing.batches import batches
from monitor.store import PolledStatus, PollTimes, Store
from monitor.web import FleetStatus, StatusChange


class OwnClusters:
    """Stores the statuses of the clusters that this monitor polls.

    Args:
        store: The store that the monitors share.
        fleet: What this monitor shows.
        replicas: The monitors.
    """

    def __init__(self, store: Store, fleet: FleetStatus, replicas: Replicas) -> None:
        self._store = store
        self._fleet = fleet
        self._replicas = replicas
        self._lock = Lock()
        self._to_store: set[str] = set()
        self._stored: dict[str, tuple[str, str, float]] = {}

    def note(self, change: StatusChange) -> None:
        """Note a change of a status that has to be stored; changes of jobs are noted once they are stored."""
        status = change.status
        if status is not None and status.polled_here:
            jobs_changed = change.diff is not None and change.diff.changes_something
            name = status.cluster.name
            if not jobs_changed or self._stored.get(name, ())[:2] != (status.status, status.why):
                with self._lock:
                    self._to_store.add(name)

    def store_changed(self) -> None:
        """Store the statuses that have changed here, and those of clusters whose stored jobs have."""
        changed = self._store.take_changed()
        with self._lock:
            names, self._to_store = changed | self._to_store, set()
        try:
            for some in batches(self._statuses([*names])):
                self._store.statuses.write(some)
                for status in some:
                    self._stored[status.name] = status.status, status.why, status.last_poll
                    names.discard(status.name)
        except Exception:
            with self._lock:
                self._to_store |= names
            raise

    def store_times(self) -> None:
        """Store when clusters were polled here since their statuses were stored."""
        times = []
        for status in self._fleet.clusters():
            name, last_poll = status.cluster.name, status.last_poll
            if last_poll is None or not (status.polled_here and self._replicas.owns(name)):
                continue
            stored = self._stored.get(name)
            if stored is None:
                with self._lock:
                    self._to_store.add(name)
            elif stored[2] != last_poll:
                times.append(PollTimes(name, self._replicas.myself.id, last_poll, status.last_success))
        for some in batches(times):
            self._store.statuses.write_times(some, self._replicas.myself.id)
            for polled in some:
                self._stored[polled.name] = *self._stored[polled.name][:2], polled.last_poll

    def _statuses(self, names: Iterable[str]) -> Iterator[PolledStatus]:
        """Yield the statuses of those clusters that are polled here."""
        myself = self._replicas.myself
        for name in names:
            status = self._fleet.cluster(name)
            if status is None or status.last_poll is None or status.status not in ("up", "down"):
                continue
            if not (status.polled_here and self._replicas.owns(name)):
                continue
            listed = defaultdict[JobState, int](int)
            for (_, _, state), count in status.snapshot.counts.items():
                listed[state] += count
            yield PolledStatus(
                name=name,
                identity=status.cluster.identity(),
                owner=myself.name,
                owner_id=myself.id,
                status=status.status,
                why=status.why,
                listed=listed,
                last_poll=status.last_poll,
                last_success=status.last_success,
            )
