"""Receives notifications of PostgreSQL on a connection of its own."""

import os
import socket
from contextlib import suppress
from threading import Timer
from time import monotonic
from typing import Any, Final

from monitor.store.postgres import PostgresServer

RECONNECT_INTERVAL: Final = 5.0
"""Seconds from one attempt to connect to the next."""

CHECK_INTERVAL: Final = 15.0
"""Seconds without a notification after which the server is asked whether it is there."""

CHECK_TIMEOUT: Final = 2.5
"""Seconds that the server has to answer, before the connection is made anew."""


class Listener:
    """Receives the notifications of a channel. For one thread, but for `cut_off`.

    A notification can be lost: whoever depends on them has to look for changes now and then all the same.
    """

    def __init__(self, server: PostgresServer, channel: str) -> None:
        self._server = server
        self._channel = channel
        self._closed = False
        self._connection: Any = None
        self._socket: socket.socket | None = None
        self._connect_at = self._check_at = 0.0

    def notified(self) -> bool:
        """Return whether a notification has come since the last call, or one may have been lost."""
        if self._connection is None:
            return self._connect()
        if monotonic() >= self._check_at:
            self._execute("SELECT 1")
        if self._connection is None:
            return True
        try:
            notified = [*self._connection.notifies(timeout=0)] != []
        except Exception:  # noqa: BLE001 - the connection is lost: it is made anew
            self._drop()
            return True
        if notified:
            self._check_at = monotonic() + CHECK_INTERVAL
        return notified

    def close(self) -> None:
        """Close the connection, and connect no more."""
        self._closed = True
        self._drop()

    def cut_off(self) -> None:
        """Break the connection off, from any thread."""
        if (its := self._socket) is not None:
            with suppress(OSError):
                its.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> bool:
        """Connect if it is time to, and return whether there is a connection."""
        if self._closed or monotonic() < self._connect_at:
            return False
        self._connect_at = monotonic() + RECONNECT_INTERVAL
        try:
            self._connection = self._server.connect(autocommit=True)
        except Exception:  # noqa: BLE001 - the store, which uses the same server, reports it
            return False
        self._socket = socket.socket(fileno=os.dup(self._connection.fileno()))
        self._execute(f"LISTEN {self._channel}")
        return self._connection is not None

    def _execute(self, statement: str) -> None:
        """Execute a statement on the connection, which is dropped if that fails or takes too long."""
        timer = Timer(CHECK_TIMEOUT, self.cut_off)  # a frozen server sends nothing, not even a reset
        timer.daemon = True
        timer.start()
        try:
            self._connection.execute(statement)
            self._check_at = monotonic() + CHECK_INTERVAL
        except Exception:  # noqa: BLE001 - see `_connect`
            self._drop()
        finally:
            timer.cancel()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
