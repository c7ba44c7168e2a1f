"""uvicorn, within bounds, listening on a socket of ours, and leaving signals to the daemon."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.types import ASGIApp

KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept: longer than the usual scrape interval."""

CONNECTIONS: Final = 2048
"""Connections at a time; one more is answered 503."""

BACKLOG: Final = 512
GRACE: Final = 1
"""Seconds that answers under way have when the monitor stops."""


class AddressError(Exception):
    """The address cannot be listened on; the message says which and why."""


class Server(uvicorn.Server):
    """An HTTP server for one app that somebody else starts and stops."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                http="httptools",
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
    except OSError as error:
        raise AddressError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise AddressError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    return sock
