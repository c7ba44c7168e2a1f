"""Shows the clusters that other monitors on one PostgreSQL poll, and lets the others show ours.

What a monitor has recorded of its clusters is in the store already. Each adds how its latest polls ended, and notifies
the others, which then load those clusters from the store. Polls do not wait for any of this.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from threading import Event, Lock, Thread
from time import monotonic, time
from typing import Final, TypeVar

import msgspec
import structlog

from monitor.jobs import Job, JobState, Snapshot
from monitor.replicas import Replicas
from monitor.store import PolledStatus, PollTimes, RecordedTransition, Store, describe_error
from monitor.web import FleetStatus, OtherUpdate, StatusChange

EXCHANGE_INTERVAL: Final = 1.0
"""Seconds from one exchange with the database to the next."""

READ_INTERVAL: Final = 3.0
"""Seconds after which changes by others are looked for without a notification: one can be lost."""

TIMES_INTERVAL: Final = 5.0
"""Seconds from one exchange of the times of polls to the next: they change with each poll."""

CLUSTERS_AT_ONCE: Final = 500
"""Clusters that are stored or loaded in one transaction."""

LOADED_AT_ONCE: Final = 2000
"""Clusters that are loaded in one exchange; of the others the latest status waits."""

COMMIT_DELAY: Final = 1.0
"""Seconds that usually pass at most from when PostgreSQL gives a row its time until others can read it."""

LONGEST_COMMIT_DELAY: Final = 10.0
"""Seconds after which a row can be read in any case: transactions are given up earlier."""

LOAD_DELAY: Final = 30.0
"""Seconds from when a transition is recorded until streams have it, at most; later ones are only in the history."""

STOP_TIMEOUT: Final = 0.3
"""Seconds that the running exchange has when the monitor stops."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.sharing")

T = TypeVar("T")


class FleetSharing:
    """Exchanges the statuses of clusters with the other monitors, in a thread of its own.

    Args:
        store: The store that the monitors share.
        fleet: What this monitor shows.
        replicas: The monitors.
        clock: Seconds since the epoch.
    """

    def __init__(self, store: Store, fleet: FleetStatus, replicas: Replicas, clock: Callable[[], float] = time) -> None:
        self._store = store
        self._fleet = fleet
        self._replicas = replicas
        self._clock = clock
        self._listener = store.listener()
        self._lock = Lock()
        self._to_store: set[str] = set()
        self._stored: dict[str, tuple[str, str, float]] = {}
        self._read_all = True
        self._since = self._read_at = self._times_at = 0.0
        self._changed_at: dict[str, float] = {}
        self._to_load: dict[str, PolledStatus] = {}
        self._transitions = _NewTransitions(store)
        self._current_at = clock()
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="fleet-sharing", daemon=True)
        fleet.subscribe(self._note)

    def start(self) -> None:
        """Start to exchange, where there can be other monitors."""
        if self._listener is not None:
            self._thread.start()

    def stop(self) -> None:
        """Stop within a bounded time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT)
        if self._listener is not None:
            self._listener.cut_off()
            if not self._thread.is_alive():
                self._listener.close()

    def exchange(self) -> None:
        """Store what has changed here, and load what the others have stored; a failure is logged once."""
        shared = len(self._replicas.members()) > 1
        self._fleet.set_myself(self._replicas.myself.name if shared else "")
        if not shared:  # all is polled here, and is stored once somebody joins
            self._read_all = True
            self._note_answer()
            return
        try:
            self._exchange()
        except Exception as error:  # noqa: BLE001 - logged; what was known is shown until the database answers
            if self._stopping.is_set():
                return
            if self._fleet.outdated_since is None:
                _log.warning("other_monitors_unknown", message=describe_error(error))
            self._fleet.set_outdated(self._current_at)
            return
        self._note_answer()

    def _note_answer(self) -> None:
        """Note that the clusters of others are shown as they are now, or that there are no others."""
        if self._fleet.outdated_since is not None:
            _log.info("other_monitors_known")
        self._current_at = self._clock()
        self._fleet.set_outdated(None)

    def _run(self) -> None:
        while not self._stopping.is_set():
            started = monotonic()
            self.exchange()
            self._stopping.wait(max(0.0, started + EXCHANGE_INTERVAL - monotonic()))

    def _note(self, change: StatusChange) -> None:
        """Note a change of a status that has to be stored; changes of jobs are noted once they are stored."""
        if change.status is None:  # clusters may have been added
            self._read_all = True
            return
        status = change.status
        if status.polled_here:
            jobs_changed = change.diff is not None and change.diff.changes_something
            name = status.cluster.name
            if not jobs_changed or self._stored.get(name, ())[:2] != (status.status, status.why):
                with self._lock:
                    self._to_store.add(name)

    def _exchange(self) -> None:
        notified = self._listener is not None and self._listener.notified()
        times_due = monotonic() >= self._times_at
        self._store_changed()
        if times_due:
            self._store_times()
        if times_due or self._read_all or notified or monotonic() >= self._read_at:
            self._read_changed(LONGEST_COMMIT_DELAY if times_due else COMMIT_DELAY)
        self._load()
        if times_due:
            self._fleet.others_polled(self._store.statuses.times(self._replicas.myself.id))
            self._transitions.advance()
            self._times_at = monotonic() + TIMES_INTERVAL

    def _store_changed(self) -> None:
        """Store the statuses that have changed here, and those of clusters whose stored jobs have."""
        changed = self._store.take_changed()
        with self._lock:
            names, self._to_store = changed | self._to_store, set()
        try:
            for some in _batches(self._own_statuses([*names]), CLUSTERS_AT_ONCE):
                self._store.statuses.write(some)
                for status in some:
                    self._stored[status.name] = status.status, status.why, status.last_poll
                    names.discard(status.name)
        except Exception:
            with self._lock:
                self._to_store |= names
            raise

    def _own_statuses(self, names: Iterable[str]) -> Iterator[PolledStatus]:
        """Yield the statuses of those clusters that are polled here."""
        myself = self._replicas.myself
        for name in names:
            status = self._fleet.cluster(name)
            if status is None or status.last_poll is None or status.status not in ("up", "down"):
                continue
            if not (status.polled_here and self._replicas.owns(name)):
                continue
            listed: dict[JobState, int] = defaultdict(int)
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

    def _store_times(self) -> None:
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
        for some in _batches(times, CLUSTERS_AT_ONCE):
            self._store.statuses.write_times(some, self._replicas.myself.id)
            for polled in some:
                self._stored[polled.name] = *self._stored[polled.name][:2], polled.last_poll

    def _read_changed(self, overlap: float) -> None:
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

    def _load(self) -> None:
        """Load clusters that have changed at other monitors."""
        for some in _batches([*islice(self._to_load.values(), LOADED_AT_ONCE)], CLUSTERS_AT_ONCE):
            batch = {status.name: status for status in some if self._is_polled_elsewhere(status)}
            if batch:
                self._fleet.others_changed(self._updates(batch))
            for status in some:
                del self._to_load[status.name]
                if status.name in batch:
                    self._changed_at[status.name] = status.changed_at

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


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Cut items into lists of at most so many."""
    rest = iter(items)
    while some := [*islice(rest, size)]:
        yield some
