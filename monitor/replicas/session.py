"""The session in PostgreSQL by which a replica is alive: the server itself ends it when the replica dies.

Each replica holds two advisory locks, shared: one for its id, and one for the view of the members by which it acts.
"""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final, TypeAlias

import msgspec
import psycopg
from psycopg.errors import UndefinedObject

from monitor.replicas.ownership import View, view_id
from monitor.store.database import StoreError
from monitor.store.urls import postgres_server

STATEMENT_TIMEOUT: Final = 0.5
"""Share of a session's timeout that PostgreSQL may take for a statement; each reads or takes a few locks."""

MAX_LOCKS: Final = 2000
"""Locks that are read: two for each member, and a few for a moment while members come and go."""

POOLER_CHECKS: Final = 3
"""Times that we look whether two connections get one session: another client may have taken it in between."""

APPLICATION_NAME: Final = "milvus-import-monitor@"
"""What the names of our sessions begin with in `pg_stat_activity`."""

MAX_APPLICATION_NAME: Final = 63
"""Bytes of an application's name that PostgreSQL keeps."""

_LOCKS: Final = """
    SELECT locks.classid::bigint, locks.objid::bigint, locks.pid, locks.pid = pg_backend_pid(), application_name
    FROM pg_locks AS locks LEFT JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
    WHERE locks.locktype = 'advisory' AND locks.granted AND locks.objsubid = 2 AND locks.classid::bigint IN (%s, %s)
      AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LIMIT %s
"""

_END_OLD_SESSIONS: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = %s AND objid::bigint = %s
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND pid <> pg_backend_pid()
"""

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]


class ReplicasRefusedError(StoreError):
    """The monitors cannot share their clusters by this connection; the message says what to do."""


class Members(msgspec.Struct, frozen=True):
    """What the server says of the members.

    Attributes:
        names: The name of each member, by its id.
        agreed: Whether all of them act by exactly this view.
    """

    names: dict[int, str]
    agreed: bool


class ReplicaSession:
    """A replica's session, made anew where it was lost. For one thread, but for `cut_off`.

    Args:
        url: The URL of PostgreSQL; a direct connection, or through a pooler that pools sessions.
        replica_id: Our id, of 31 bits.
        name: How people call this replica.
        session_timeout: Seconds without contact after which the server ends the session.

    Raises:
        StoreError: The URL cannot be understood.
    """

    def __init__(self, url: str, replica_id: int, name: str, session_timeout: float) -> None:
        self._server = postgres_server(url)
        self._application_name = APPLICATION_NAME + name[len(APPLICATION_NAME) - MAX_APPLICATION_NAME :]
        self._replica_id = replica_id
        self._session_timeout = session_timeout
        self._connection: Connection | None = None
        self._sockets: list[socket.socket] = []
        self._ids = self._views = 0
        self._acting_by: int | None = None

    @property
    def joined(self) -> bool:
        """Whether there is a session, as far as is known."""
        return self._connection is not None

    def change_credentials(self, url: str) -> bool:
        """Begin sessions with the user and password of a URL from now on; return False if it is of another database."""
        return self._server.change_credentials(url)

    def join(self) -> bool:
        """Begin a session where there is none, and return whether there was none.

        Raises:
            ReplicasRefusedError: A pooler shares the session among connections, or the server is too old.
            psycopg.Error: The server is away.
        """
        if self._connection is not None:
            return False
        self._connection = self._begin()
        return True

    def members(self) -> Members:
        """Ask the server who is alive, which shows it that we are.

        Raises:
            ReplicasRefusedError: A pooler shares the session among connections.
            psycopg.Error: The server is away, or has ended the session.
        """
        if self._connection is None:
            raise psycopg.OperationalError("there is no session")
        rows = self._connection.execute(_LOCKS, (self._ids, self._views, MAX_LOCKS)).fetchall()
        ids = {pid: number for key, number, pid, _, _ in rows if key == self._ids}
        if self._replica_id not in {number for key, number, _, is_ours, _ in rows if is_ours and key == self._ids}:
            raise _refused_pooler()
        latest = view_id(frozenset(ids.values()))
        agreeing = {ids.get(pid) for key, number, pid, _, _ in rows if key == self._views and number == latest}
        names = {number: _name(row) for row in rows for key, number, *_ in [row] if key == self._ids}
        return Members(names, agreed=agreeing.issuperset(names))

    def act_by(self, members: View) -> None:
        """Let the others know that we have stopped to poll what is not our own by these members."""
        number = view_id(members)
        if self._connection is not None and number != self._acting_by:
            self._connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (self._views, number))
            if self._acting_by is not None:
                self._connection.execute("SELECT pg_advisory_unlock_shared(%s, %s)", (self._views, self._acting_by))
            self._acting_by = number

    def close(self) -> None:
        """End the session: the others see it at their next contact."""
        connection, self._connection, self._acting_by = self._connection, None, None
        if connection is not None:
            connection.close()
        self.cut_off()
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            each.close()

    def cut_off(self) -> None:
        """Break the connection, from another thread: a frozen server sends nothing, not even a reset."""
        for each in [*self._sockets]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _begin(self) -> Connection:
        connection = self._connect()
        try:
            pid, schema = _first(connection, "SELECT pg_backend_pid(), current_schema()")
            if pid != connection.info.backend_pid:
                self._check_pooler(connection)
            # Two schemas of one database hold two stores.
            self._ids, self._views = (_key(f"{kind} in {schema}") for kind in ("replicas", "views"))
            for setting, share in (("idle_session_timeout", 1.0), ("statement_timeout", STATEMENT_TIMEOUT)):
                value = f"{self._session_timeout * share * 1000:.0f}ms"
                connection.execute("SELECT set_config(%s, %s, false)", (setting, value))
            connection.execute(_END_OLD_SESSIONS, (self._ids, self._replica_id))
            connection.execute("SELECT pg_advisory_lock_shared(%s, %s)", (self._ids, self._replica_id))
        except UndefinedObject:
            connection.close()
            raise ReplicasRefusedError(
                "PostgreSQL 14 or newer is required, also for a single monitor: update it, or use SQLite"
            ) from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> Connection:
        connection: Connection = self._server.connect(
            autocommit=True, application_name=self._application_name, target_session_attrs="read-write"
        )
        self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))
        return connection

    def _check_pooler(self, connection: Connection) -> None:
        """Raise where a pooler, which there is, gives the session of one connection to another one meanwhile."""
        with self._connect() as other:
            for _ in range(POOLER_CHECKS):
                before, of_other, after = (
                    _first(each, "SELECT pg_backend_pid()") for each in (connection, other, connection)
                )
                if of_other == before or after != before:
                    raise _refused_pooler()
        self._sockets.pop().close()


def _first(connection: Connection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    if row is None:
        raise psycopg.OperationalError("the server gave no row")
    return row


def _key(text: str) -> int:
    """Return the first key of our advisory locks, of 31 bits, so that they collide with nobody else's."""
    return int.from_bytes(blake2b(f"milvus-import-monitor: {text}".encode(), digest_size=4).digest()) >> 1


def _name(row: Sequence[Any]) -> str:
    return str(row[-1] or "").removeprefix(APPLICATION_NAME)


def _refused_pooler() -> ReplicasRefusedError:
    return ReplicasRefusedError(
        "a pooler between the monitor and PostgreSQL gives each transaction another session, which does not work, not"
        " even for one monitor: connect to PostgreSQL directly (state.url), or set pool_mode = session in the pooler"
    )
