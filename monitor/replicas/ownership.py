"""Which clusters are ours: rendezvous hashing over the members, and for how long what was last seen of them holds.

A cluster changes hands in two steps, so that it never has two owners: every member stops polling what is not its own by
the new members as soon as it sees them, and starts to poll what has become its own once all of them have seen them.
"""

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from hashlib import blake2b
from threading import Lock
from typing import Final

OWNERS_CACHED: Final = 32_768
"""Clusters whose owner is remembered until the members change; 10 members cost 10 us a cluster."""

VIEWS_KEPT: Final = 16
"""Latest views that count: a replica that keeps losing its session while members come and go would collect more."""

View = frozenset[int]
"""The ids of the members, as one of them has seen them."""


def owner(cluster: str, members: Iterable[int]) -> int | None:
    """Return the member that owns a cluster, None where there are no members.

    It is the one with the highest hash together with the cluster (rendezvous hashing): the same everywhere, and when
    one joins or leaves, only its own clusters move.
    """
    name = cluster.encode("utf-8", "surrogatepass")
    return max(members, key=lambda member: blake2b(b"%d:%b" % (member, name), digest_size=8).digest(), default=None)


def view_id(members: View) -> int:
    """Return a number of 31 bits that stands for a view."""
    text = ",".join(map(str, sorted(members)))
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest()) >> 1


def steady_clock() -> float:
    """Return seconds since any point in time, of a clock that goes on while the process or the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _owns_nothing(_cluster: str) -> bool:
    return False


class _Counted:
    """A view, and until when it counts.

    Attributes:
        until: When it counts no longer: all who acted by it have seen a newer one by then, or own nothing any more.
        since: When it was first seen.
        awaited: Whether its members may be cut off from the database, where they go on with what they owned by it.
    """

    def __init__(self, members: View, since: float) -> None:
        self.members = members
        self.since = since
        self.until = float("inf")
        self.awaited = False


class Ownership:
    """Says which clusters a replica owns. Safe to use from several threads; all times are of one `steady_clock`.

    - In contact with the database, it owns what is its own by every view that somebody may still act by.
    - A new one owns nothing until all members have seen it, or for ``session_timeout``.
    - Out of contact, it goes on with what it owned last, and one that never was in contact with every cluster after
      ``session_timeout``: a database that is away stops nothing.
    - Back in contact, it goes on with what is its own by the members of before and of now. The others may have taken it
      over, and let it go at their next contact; those that are out of contact, too, count for ``session_timeout``.
    - Suspended for about ``session_timeout``, it owns nothing when it is resumed, for others have taken over: it is new
      again.

    Args:
        replica_id: Our own id among the members.
        now: The time of the start.
        session_timeout: Seconds without contact after which the database ends our session.
        settle: Seconds for which a view has to stand before clusters are taken over because of it.
        margin: Seconds before the end of ``session_timeout`` at which we stop, so that polls have ended by then.
    """

    def __init__(self, replica_id: int, now: float, *, session_timeout: float, settle: float, margin: float) -> None:
        self._replica_id = replica_id
        self._session_timeout = session_timeout
        self._settle = settle
        self._hold = session_timeout - margin
        self._lock = Lock()
        self._views: tuple[_Counted, ...] = ()
        self._settled = False
        self._is_new = True
        self._released = False
        self._owns_from = now + session_timeout
        self._owns_until = now + self._hold
        self._is_ours, self._owner = self._cached()

    def owns(self, cluster: str, now: float) -> bool:
        """Say whether a cluster is ours now; to be asked before each poll."""
        return self.current(now)(cluster)

    def current(self, now: float) -> Callable[[str], bool]:
        """Return what says of a cluster whether it is ours as of now: another function after each change."""
        return self._is_ours if self._owns_from <= now < self._owns_until else _owns_nothing

    def owner(self, cluster: str) -> int | None:
        """Return the owner of a cluster by the latest view; it may not have taken over yet. None before the first."""
        return self._owner(cluster)

    @property
    def settled(self) -> bool:
        """Whether all members have seen the latest view, so that we own what is ours by it."""
        return self._settled

    def seen(self, members: View, *, agreed: bool, joined: bool, asked_at: float, answered_at: float) -> bool:
        """Note what the database said of the members.

        Args:
            members: Their ids.
            agreed: Whether each of them has stopped polling what is not its own by exactly this view.
            joined: Whether this is the first contact of a session: somebody may have seen us missing.
            asked_at: When the database was asked.
            answered_at: When it had answered.

        Returns:
            Whether the view has come into force with this contact.
        """
        with self._lock:
            if self._released:
                return False
            views, newest = self._views, self._views[-1] if self._views else None
            lapsed = asked_at >= self._owns_until
            if joined or lapsed:
                if self._is_new or lapsed:
                    self._owns_from = answered_at + self._session_timeout
                self._settled = self._is_new = False
                for view in views:
                    view.until = answered_at + self._session_timeout
                    view.awaited = True
            if newest is None or newest.members != members:
                if newest is not None:
                    newest.until = min(newest.until, answered_at + self._session_timeout)
                newest = _Counted(members, answered_at)
                views = (*views, newest)
            elif joined or lapsed:
                views = (*views[:-1], newest := _Counted(members, answered_at))
            in_force = agreed and answered_at >= newest.since + self._settle
            came_into_force = in_force and not self._settled
            if in_force:
                self._owns_from = float("-inf")
                views = tuple(
                    view for view in views if view is newest or (view.awaited and not view.members <= members)
                )
            self._settled = in_force
            self._count(tuple(view for view in views if view.until > answered_at)[-VIEWS_KEPT:])
            self._owns_until = asked_at + self._hold
            return came_into_force

    def out_of_contact(self, now: float) -> None:
        """Note that the database does not answer: go on with what was owned last, unless we were suspended."""
        with self._lock:
            if self._released:
                return
            if now >= self._owns_until:
                self._owns_from = now + self._session_timeout
                self._settled, self._is_new = False, True
            self._owns_until = now + self._hold

    def release(self) -> None:
        """Own nothing from now on, for good."""
        with self._lock:
            self._released = True
            self._settled = False
            self._owns_until = float("-inf")

    def _count(self, views: tuple[_Counted, ...]) -> None:
        """Let these views count."""
        changed = [view.members for view in views] != [view.members for view in self._views]
        self._views = views
        if changed:
            self._is_ours, self._owner = self._cached()

    def _cached(self) -> tuple[Callable[[str], bool], Callable[[str], int | None]]:
        replica_id, views = self._replica_id, [view.members for view in self._views]
        newest, older = views[-1] if views else frozenset(), views[:-1]

        @lru_cache(OWNERS_CACHED)
        def newest_owner(cluster: str) -> int | None:
            return owner(cluster, newest)

        @lru_cache(OWNERS_CACHED)
        def is_ours(cluster: str) -> bool:
            return newest_owner(cluster) == replica_id and all(owner(cluster, view) == replica_id for view in older)

        return (is_ours if views else lambda _: True), newest_owner
