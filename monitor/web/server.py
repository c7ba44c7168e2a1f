"""uvicorn, within bounds, listening on a socket of ours, and leaving signals to the daemon."""

import asyncio
import ipaddress
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.config import WebConfig
from monitor.web.connection import Connection, full
from monitor.web.door import Door

KEEP_ALIVE: Final = 75
"""Seconds that an idle connection is kept, and that a request may take to come: more than a usual scrape interval."""

CONNECTIONS: Final = 2048
"""Connections at a time; one more is answered 503."""

FILES: Final = 2 * CONNECTIONS
"""Open files asked of the system, where its soft limit is lower and its hard limit is not."""

HANDSHAKE: Final = 10
"""Seconds that a TLS handshake may take."""

TLS_END: Final = 5
"""Seconds that the end of TLS may take before the connection is cut."""

BACKLOG: Final = 512
GRACE: Final = 1
"""Seconds that answers under way have when the monitor stops."""


class AddressError(Exception):
    """The address cannot be listened on; the message says which and why."""


class Server(uvicorn.Server):
    """An HTTP server for one app that somebody else starts and stops.

    Args:
        app: What it serves.
        web: TLS, users and headers.
        end_streams: Ends the answers that would go on for ever.
    """

    def __init__(
        self, app: ASGIApp, web: WebConfig | None = None, end_streams: Callable[[], None] = lambda: None
    ) -> None:
        self._end_streams = end_streams
        self._web = web or WebConfig()
        self._door = Door(app, self._web)
        self._connections = CONNECTIONS
        self._own_sockets: list[socket.socket] = []
        self._changing = asyncio.Lock()

        class OwnConnection(Connection):
            pass

        OwnConnection.web = self._web
        self._connection = OwnConnection
        super().__init__(
            uvicorn.Config(
                self._answer,
                interface="asgi3",
                log_config=None,
                log_level="error",  # below it uvicorn tells what strangers send
                access_log=False,
                lifespan="off",
                http=OwnConnection,
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
            )
        )

    async def take(self, web: WebConfig) -> None:
        """Go by another web config from now on.

        New connections have its TLS; those that are open end before their next request, so that none of them goes on
        by what was allowed before. Nobody who connects meanwhile is turned away.

        Raises:
            AddressError: It cannot be listened on anew; the old web config stays.
        """
        async with self._changing:
            if web.fingerprint == self._web.fingerprint or self.should_exit:
                return
            before = self.servers if self.started else []
            if before:
                try:
                    self.servers = await self._listen(web)
                except OSError as error:
                    raise AddressError(f"cannot listen with the new web config: {error.strerror or error}") from None
            self._web = self._connection.web = web
            self._door.take(web)
            self._end_streams()
            await _stop_listening(before)
            for connection in list(self.server_state.connections):
                connection.shutdown()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the sockets."""
        _allow_files()
        self._own_sockets = [sock.dup() for sock in sockets or []]
        self.lifespan = self.config.lifespan_class(self.config)
        async with self._changing:
            self.servers = await self._listen(self._web)
            self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and end every connection within a bounded time."""
        for sock in self._own_sockets:
            sock.close()
        self._door.close()
        self._end_streams()
        await super().shutdown(sockets)

    async def _listen(self, web: WebConfig) -> list[asyncio.base_events.Server]:
        loop = asyncio.get_running_loop()
        return [
            await loop.create_server(
                lambda: self._connection(self.config, self.server_state, {}),
                # Each has a file of its own, so that one can be closed while the next one listens already.
                sock=sock.dup(),
                backlog=BACKLOG,
                ssl=web.context,
                ssl_handshake_timeout=HANDSHAKE if web.context else None,
                ssl_shutdown_timeout=TLS_END if web.context else None,
            )
            for sock in self._own_sockets
        ]

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = self._web.headers

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = MutableHeaders(raw=message["headers"])
                for name, value in headers:
                    present.setdefault(name, value)
            await send(message)

        app: ASGIApp = full if len(self.server_state.connections) >= self._connections else self._door
        await app(scope, receive, send_with_headers if headers else send)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the daemon handles them."""
        yield

    def stop(self) -> None:
        """Make ``serve`` return soon."""
        self.should_exit = True


def is_loopback(host: str) -> bool:
    """Say whether an address is reached from this machine only."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


async def _stop_listening(servers: list[asyncio.base_events.Server]) -> None:
    """Accept no more, and lose nobody who was accepted a moment ago."""
    loop = asyncio.get_running_loop()
    for server in servers:
        for sock in server.sockets:
            loop.remove_reader(sock.fileno())
    for _ in range(3):
        await asyncio.sleep(0)  # asyncio attaches an accepted connection in its next round, and to no closed server
    for server in servers:
        server.close()


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


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
    return AddressError(f"cannot listen on {where}: {why}; `listen` in the config file, or --listen, says where")
