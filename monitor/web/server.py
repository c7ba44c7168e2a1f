"""uvicorn, within bounds, listening on a socket of ours, and leaving signals to the daemon."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept, and that a request may take to come: more than a usual scrape interval."""

CONNECTIONS: Final = 2048
"""Connections at a time; one more is answered 503."""

BACKLOG: Final = 512
GRACE: Final = 1
"""Seconds that answers under way have when the monitor stops."""


class AddressError(Exception):
    """The address cannot be listened on; the message says which and why."""


class _Connection(HttpToolsProtocol):
    """Closes itself where no whole request comes in time, or connections that never ask would fill ``CONNECTIONS``."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._expect_nothing()
        super().on_headers_complete()

    def _expect(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()


class Server(uvicorn.Server):
    """An HTTP server for one app that somebody else starts and stops."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                http=_Connection,
                ws="none",
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=GRACE,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the daemon handles them."""
        yield

    def stop(self) -> None:
        """Make ``serve`` return soon."""
        self.should_exit = True


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: Host name or address.
        port: The port; 0 for any that is free.

    Raises:
        AddressError: It cannot be listened on.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
    except (OSError, UnicodeError) as error:  # UnicodeError: a part of the name is empty or too long
        raise _refused(host, port, error) from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _refused(host, port, error) from None
    return sock


def _refused(host: str, port: int, error: OSError | UnicodeError) -> AddressError:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    why = (error.strerror if isinstance(error, OSError) else "it is not a host name") or str(error)
    return AddressError(f"cannot listen on {where}: {why}")
