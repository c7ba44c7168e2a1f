"""Shows the clusters that other monitors on one PostgreSQL poll, and lets the others show ours.

What a monitor has recorded of its clusters is in the store already. Each adds how its latest polls ended, and notifies
the others, which then load those clusters from the store. Polls do not wait for any of this.
"""

from collections.abc import Callable
from threading import Event, Thread
from time import monotonic, time
from typing import Final

import structlog

from monitor.replicas import Replicas
from monitor.sharing.other_clusters import OtherClusters
from monitor.sharing.own_clusters import OwnClusters
from monitor.store import Store, describe_error
from monitor.web import FleetStatus, StatusChange

EXCHANGE_INTERVAL: Final = 1.0
"""Seconds from one exchange with the database to the next."""

TIMES_INTERVAL: Final = 5.0
"""Seconds from one exchange of the times of polls to the next: they change with each poll."""

COMMIT_DELAY: Final = 1.0
"""Seconds that usually pass at most from when PostgreSQL gives a row its time until others can read it."""

LONGEST_COMMIT_DELAY: Final = 10.0
"""Seconds after which a row can be read in any case: transactions are given up earlier."""

STOP_TIMEOUT: Final = 0.3
"""Seconds that the running exchange has when the monitor stops."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.sharing")


class FleetSharing:
    """Exchanges the statuses of clusters with the other monitors, in a thread of its own.

    Args:
        store: The store that the monitors share.
        fleet: What this monitor shows.
        replicas: The monitors.
        clock: Seconds since the epoch.
    """

    def __init__(self, store: Store, fleet: FleetStatus, replicas: Replicas, clock: Callable[[], float] = time) -> None:
        self._fleet = fleet
        self._replicas = replicas
        self._clock = clock
        self._listener = store.listener()
        self._ours = OwnClusters(store, fleet, replicas)
        self._others = OtherClusters(store, fleet, replicas, clock)
        self._times_at = 0.0
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
            self._others.read_all_next()
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
        if change.status is None:  # clusters may have been added
            self._others.read_all_next()
        else:
            self._ours.note(change)

    def _exchange(self) -> None:
        notified = self._listener is not None and self._listener.notified()
        times_due = monotonic() >= self._times_at
        self._ours.store_changed()
        if times_due:
            self._ours.store_times()
        if times_due or notified or self._others.is_due():
            self._others.read_changed(LONGEST_COMMIT_DELAY if times_due else COMMIT_DELAY)
        self._others.load()
        if times_due:
            self._others.load_times()
            self._times_at = monotonic() + TIMES_INTERVAL
