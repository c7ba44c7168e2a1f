"""This replica's place among the monitors on one database."""

import random
import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Final

import psycopg
import structlog

from monitor.replicas.members import Member, OnChange
from monitor.replicas.ownership import Ownership, steady_clock
from monitor.replicas.session import ReplicaSession, ReplicasRefusedError
from monitor.store.availability import describe_error

HEARTBEAT: Final = 0.5
"""Seconds from one contact with the database to the next."""

SETTLE: Final = 1.5
"""Heartbeats for which a change of the members has to stand before clusters are taken over because of it."""

TAKEOVER_HEARTBEATS: Final = 3.0
"""Heartbeats from when PostgreSQL ends a silent session until the other monitors have seen that, have agreed on the
members, and poll: the session ends as long before ``takeover``."""

CONTACT_TIMEOUT: Final = 0.5
"""Share of a session's timeout after which a contact that is not answered counts as none, and is broken off."""

FIRST_CONTACT_TIMEOUT: Final = 5.0
"""Seconds that a start waits for the first contact, to refuse a connection that cannot work."""

RELEASE_TIMEOUT: Final = 0.5
"""Seconds that leaving may take before the connection is broken off."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.replicas")


class Membership:
    """Shares the clusters with every other monitor on one PostgreSQL. Safe to use from several threads.

    One thread asks for the members at each heartbeat. Another notices when the database does not answer it: the
    monitor goes on with the clusters that it owned last, see `Ownership`. Back in contact, it lets others take clusters
    over once it has recorded what it has seen meanwhile, or after the timeout of a session.

    Args:
        url: The URL of PostgreSQL.
        name: How people call this monitor; best unique.
        takeover: Seconds after which the others poll the clusters of a monitor that stands still or is cut off; more
            than `TAKEOVER_HEARTBEATS`.
        heartbeat: Seconds from one contact with the database to the next.
        on_change: Called with the members when they have changed.
        is_recorded: Says whether all that this monitor has seen is recorded, for another one to go on from there.
        clock: A `steady_clock`.

    Raises:
        StoreError: The URL cannot be understood.
    """

    def __init__(
        self,
        url: str,
        name: str,
        *,
        takeover: float,
        heartbeat: float = HEARTBEAT,
        on_change: OnChange = lambda _: None,
        is_recorded: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = steady_clock,
    ) -> None:
        self.myself = Member(name, random.getrandbits(31))
        self._session_timeout = takeover - TAKEOVER_HEARTBEATS * heartbeat
        self._session = ReplicaSession(url, self.myself.id, name, self._session_timeout)
        self._heartbeat = heartbeat
        self._on_change = on_change
        self._is_recorded = is_recorded
        self._clock = clock
        self._ownership = Ownership(
            self.myself.id,
            clock(),
            session_timeout=self._session_timeout,
            settle=SETTLE * heartbeat,
            margin=heartbeat / 2,
        )
        self._gives_up_at = clock() + self._session_timeout
        self._names: Mapping[int, str] = {}
        self._members_in_force: frozenset[Member] = frozenset()
        self._asked_at: float | None = None
        self._hands_over_from = float("-inf")
        self._in_contact = False
        self._isolated = False
        self._refused: ReplicasRefusedError | None = None
        self._tried, self._stopping = Event(), Event()
        self._threads = [
            Thread(target=run, name=run_name, daemon=True)  # a lookup of a host's name can hang for long
            for run, run_name in ((self._run, "replicas"), (self._watch_contacts, "replicas-watch"))
        ]

    def start(self) -> None:
        """Join the others.

        A database that cannot be reached now is no reason not to start.

        Raises:
            ReplicasRefusedError: The connection goes through a pooler that shares sessions, or the server is too old.
        """
        for thread in self._threads:
            thread.start()
        self._tried.wait(FIRST_CONTACT_TIMEOUT)
        if (refused := self._refused) is not None:  # the next contact forgets it
            self.release()
            raise refused

    def owns(self, cluster: str) -> bool:
        """Say whether to poll a cluster now; to be asked before each poll."""
        return self._ownership.owns(cluster, self._clock())

    def ownership(self) -> Callable[[str], bool]:
        """Return what says of a cluster whether it is ours as of now: another function after each change."""
        return self._ownership.current(self._clock())

    def owner(self, cluster: str) -> Member | None:
        """Return the monitor that owns a cluster, or is about to; None before the first contact."""
        number = self._ownership.owner(cluster)
        return None if number is None else Member(self._names.get(number, ""), number)

    def members(self) -> tuple[Member, ...]:
        """Return the live monitors in the order of their names; as of the last contact, if there is none now."""
        return tuple(sorted(Member(name, number) for number, name in self._names.items())) or (self.myself,)

    def in_contact(self) -> bool:
        """Say whether the database answers, so that the members are known."""
        return self._in_contact

    def knows_owners(self) -> bool:
        """Say whether all members have seen one another, or the database was away for as long as a session lasts."""
        return self._ownership.settled or (not self._in_contact and self._clock() >= self._gives_up_at)

    def change_credentials(self, url: str) -> bool:
        """Use the user and the password of a URL for the next session; return False if it is of another database."""
        return self._session.change_credentials(url)

    def release(self) -> None:
        """Leave: own nothing any more, and let the others take over at their next heartbeats."""
        self._ownership.release()
        self._stopping.set()
        if self._threads[0].ident is not None:
            self._threads[0].join(RELEASE_TIMEOUT)
            self._session.cut_off()

    def _run(self) -> None:
        while not self._stopping.is_set():
            started = time.monotonic()
            self._contact()
            self._tried.set()
            pause = self._heartbeat if self._ownership.settled else self._heartbeat / 2  # the others wait for us
            self._stopping.wait(max(0.0, started + pause - time.monotonic()))
        self._session.close()

    def _contact(self) -> None:
        """Ask for the members; once more where a session was lost, for the server may be there."""
        had_session = self._session.joined
        try:
            self._exchange()
        except ReplicasRefusedError as error:
            self._refused = None if self._tried.is_set() else error
            self._lose_contact(error)
        except (psycopg.Error, OSError) as error:
            self._lose_contact(error, retry=had_session)
            if had_session and not self._stopping.is_set():
                self._contact()
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end these contacts: it is logged
            if not self._isolated:
                _log.exception("replicas_crashed")
            self._lose_contact(error)

    def _exchange(self) -> None:
        self._asked_at = self._clock()
        joined = self._session.join()
        asked_at = self._asked_at = self._clock()
        listed = self._session.members()
        members = frozenset(listed.names)
        came_into_force = self._ownership.seen(
            members, agreed=listed.agreed, joined=joined, asked_at=asked_at, answered_at=self._clock()
        )
        self._names = listed.names | {self.myself.id: self.myself.name}
        if joined:
            self._hands_over_from = asked_at + self._session_timeout
        if self._is_recorded() or asked_at >= self._hands_over_from:
            self._session.act_by(members)
            self._hands_over_from = float("-inf")
        self._asked_at = None
        self._in_contact = True
        if self._isolated:
            self._isolated = False
            _log.info("replicas_reachable", replicas=len(members))
        if came_into_force:
            self._report_change(frozenset(self.members()))

    def _report_change(self, current: frozenset[Member]) -> None:
        previous, self._members_in_force = self._members_in_force, current
        if current == previous:
            return
        joined, lost = current - previous, previous - current
        for member in sorted(joined if previous else {self.myself}):
            _log.info("replica_joined", replica=member.name, replicas=len(current))
        for member in sorted(lost):
            _log.warning("replica_lost", replica=member.name, replicas=len(current))
        self._on_change(tuple(sorted(current)))

    def _lose_contact(self, error: Exception, *, retry: bool = False) -> None:
        """Go on with what was owned last; logged once until the database answers again."""
        self._session.close()
        self._asked_at = None
        self._in_contact = False
        self._ownership.out_of_contact(self._clock())
        if not (retry or self._isolated or self._refused or self._stopping.is_set()):
            self._isolated = True
            _log.error("replicas_unreachable", message=describe_error(error))

    def _watch_contacts(self) -> None:
        """Notice a contact that is not answered: a frozen server, a connection that is cut, a slow lookup of a name."""
        while not self._stopping.wait(self._heartbeat / 2):
            asked_at = self._asked_at
            if asked_at is not None and self._clock() - asked_at >= CONTACT_TIMEOUT * self._session_timeout:
                self._in_contact = False
                self._session.cut_off()
                self._ownership.out_of_contact(self._clock())
