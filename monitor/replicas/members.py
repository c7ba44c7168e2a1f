"""The monitors that share the clusters, as the rest of the program sees them."""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from monitor.store.urls import is_postgres


class Member(msgspec.Struct, frozen=True, order=True):
    """A monitor that shares the clusters: its name for people, and its id."""

    name: str
    id: int


OnChange = Callable[[tuple[Member, ...]], None]
"""Takes the members when a change of them has come into force; called in a thread of the membership."""


class Replicas(Protocol):
    """What the daemon has to know of the monitors that share its clusters."""

    @property
    def myself(self) -> Member:
        """This monitor."""

    def start(self) -> None:
        """Join the others; raises ``StoreError`` where that can never work."""

    def owns(self, cluster: str) -> bool:
        """Say whether to poll a cluster now."""

    def ownership(self) -> Callable[[str], bool]:
        """Return what says of a cluster whether it is ours as of now: another function after each change."""

    def owner(self, cluster: str) -> Member | None:
        """Return the monitor that owns a cluster; None where it is not known."""

    def members(self) -> tuple[Member, ...]:
        """Return the live monitors, as they were last seen."""

    def in_contact(self) -> bool:
        """Say whether the others are known, or there can be none."""

    def knows_owners(self) -> bool:
        """Say whether it is known who owns what, or will not be known soon, for the database is away."""

    def change_credentials(self, url: str) -> bool:
        """Use the user and the password of a URL; return False where it is that of another database."""

    def release(self) -> None:
        """Leave: own nothing any more, and let the others take over."""


class SingleReplica:
    """A monitor with a database of its own: it owns every cluster."""

    def __init__(self, name: str) -> None:
        self.myself = Member(name, 0)

    def start(self) -> None:
        """Do nothing."""

    def owns(self, cluster: str) -> bool:  # noqa: ARG002 - see `Replicas`
        """Return True."""
        return True

    def ownership(self) -> Callable[[str], bool]:
        """Return what is always True."""
        return self.owns

    def owner(self, cluster: str) -> Member:  # noqa: ARG002
        """Return this monitor."""
        return self.myself

    def members(self) -> tuple[Member, ...]:
        """Return this monitor."""
        return (self.myself,)

    def in_contact(self) -> bool:
        """Return True."""
        return True

    def knows_owners(self) -> bool:
        """Return True."""
        return True

    def change_credentials(self, url: str) -> bool:  # noqa: ARG002
        """Return False: there is no database to connect to."""
        return False

    def release(self) -> None:
        """Do nothing."""


def open_replicas(
    url: str,
    *,
    takeover: float,
    name: str = "",
    on_change: OnChange = lambda _: None,
    is_recorded: Callable[[], bool] = lambda: True,
) -> Replicas:
    """Return the monitors on the database of a URL: those on one PostgreSQL share the clusters.

    Args:
        url: The URL of the state.
        takeover: Seconds after which the others poll the clusters of a monitor that stands still or is cut off.
        name: How people call this monitor; the name of its pod, or its host and process, if it is empty.
        on_change: Called with the members when they have changed.
        is_recorded: Says whether all that this monitor has seen is recorded, for another one to go on from there.

    Raises:
        StoreError: The URL cannot be understood.
    """
    if not is_postgres(url):
        return SingleReplica(name or replica_name())
    from monitor.replicas.membership import Membership  # noqa: PLC0415 - psycopg, see `monitor.store.postgres`

    name = name or replica_name()
    return Membership(url, name, takeover=takeover, on_change=on_change, is_recorded=is_recorded)


def replica_name(environ: Mapping[str, str] = os.environ) -> str:
    """Return how people call this monitor: the name of its pod, or its host and process."""
    return environ.get("POD_NAME") or f"{socket.gethostname()}:{os.getpid()}"
