"""uvicorn with limits, on a listening socket of ours; signals are left to the daemon."""

import asyncio
import ipaddress
import os
import resource
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import structlog
import uvicorn
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.config import WebConfig
from monitor.web.auth import BasicAuth
from monitor.web.browsers import HostNames
from monitor.web.limits import WebLimits, limited_by_files
from monitor.web.protocol import LimitedProtocol

TLS_SHUTDOWN: Final = 5  # seconds that the end of TLS may take before the connection is aborted
BACKLOG: Final = 2048  # connections that the system accepts before we do; a full queue costs a client a second
ACCEPTED_AT_ONCE: Final = 16  # connections that asyncio accepts before those that they replace are closed
ACCEPT_LOG_INTERVAL: Final = 60.0  # seconds from one log event about connections that cannot be accepted to the next
GRACEFUL_SHUTDOWN: Final = 1  # seconds that running responses have when the monitor stops


_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.web")


class AddressError(Exception):
    """The address cannot be listened on; the message says which and why."""


class Server(uvicorn.Server):
    """An HTTP server for one app; ``end_streams`` ends the responses that have no end of their own."""

    def __init__(
        self,
        app: ASGIApp,
        web: WebConfig | None = None,
        end_streams: Callable[[], None] = lambda: None,
        limits: WebLimits | None = None,
        reserved_files: int = 192,
        host_names: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._end_streams = end_streams
        self._web = web or WebConfig()
        self._limits = limits or WebLimits()
        self._auth = BasicAuth(app, self._web, self._limits, HostNames(host_names))
        self._reserved_files = reserved_files
        self._handshakes: dict[int, socket.socket] = {}
        self._next_accept_log = 0.0
        self._sockets: list[socket.socket] = []
        self._reloading = asyncio.Lock()
        super().__init__(
            uvicorn.Config(
                self._respond,
                interface="asgi3",
                log_config=None,
                log_level="error",  # below it uvicorn logs what strangers send
                access_log=False,
                lifespan="off",
                http=LimitedProtocol,
                ws="none",
                server_header=False,
                proxy_headers=False,
                forwarded_allow_ips="",  # not that of the environment
                workers=1,
                timeout_keep_alive=self._limits.keep_alive,
                timeout_graceful_shutdown=GRACEFUL_SHUTDOWN,
            )
        )

    @property
    def web_config(self) -> WebConfig:
        """The web config in effect."""
        return self._web

    async def apply_web_config(self, web: WebConfig) -> None:
        """Apply another web config without refusing anybody who connects meanwhile; raises ``AddressError``.

        New connections use its TLS; open ones are closed before their next request, so that none continues with what
        was allowed before. If the socket cannot be listened on again, the previous web config stays in effect.
        """
        async with self._reloading:
            if web.fingerprint == self._web.fingerprint or self.should_exit:
                return
            previous = self.servers if self.started else []
            if previous:
                try:
                    self.servers = await self._listen(web)
                except OSError as error:
                    raise AddressError(f"cannot listen with the new web config: {error.strerror or error}") from None
            self._web = web
            self._auth.apply_web_config(web)
            self._end_streams()
            await _stop_listening(previous)
            for connection in list(self.server_state.connections):
                connection.shutdown()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the sockets."""
        files = _raise_file_limit(self._limits.connections + self._limits.handshakes + self._reserved_files)
        self._limits = limited_by_files(self._limits, max(files - self._reserved_files, files // 4))
        asyncio.get_running_loop().set_exception_handler(self._handle_loop_error)
        self._sockets = sockets or []
        for sock in self._sockets:
            sock.setblocking(False)  # as every duplicate will be, so that accept never blocks
        async with self._reloading:
            self.servers = await self._listen(self._web)
            self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, and close every connection within a bounded time."""
        self._end_streams()
        await super().shutdown(sockets)

    async def _listen(self, web: WebConfig) -> list[asyncio.base_events.Server]:
        servers: list[asyncio.base_events.Server] = []
        for own in self._sockets:
            sock = own.dup()  # so that one can be closed while the next one already listens
            if web.context:
                sock = _TlsListener(sock, self._handshakes, self._limits.handshakes)
            try:
                server = await asyncio.get_running_loop().create_server(
                    lambda: LimitedProtocol(self.config, self.server_state, web, self._limits, self._handshakes),
                    sock=sock,
                    backlog=ACCEPTED_AT_ONCE,
                    ssl=web.context,
                    ssl_handshake_timeout=self._limits.handshake if web.context else None,
                    ssl_shutdown_timeout=TLS_SHUTDOWN if web.context else None,
                )
            except OSError:
                sock.close()
                raise
            sock.listen(BACKLOG)
            servers.append(server)
        return servers

    def _handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log once a minute that the system is out of files, which asyncio would log for each attempt to accept."""
        if not context["message"].startswith("socket.accept()"):
            loop.default_exception_handler(context)
        elif loop.time() >= self._next_accept_log:
            self._next_accept_log = loop.time() + ACCEPT_LOG_INTERVAL
            _log.error("accept_failed", error=str(context.get("exception", "")))

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = self._web.headers

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = MutableHeaders(raw=message["headers"])
                for name, value in headers:
                    present.setdefault(name, value)
            await send(message)

        await self._auth(scope, receive, send_with_headers)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: the daemon handles them."""
        yield

    def stop(self) -> None:
        """Make ``serve`` return soon."""
        self.should_exit = True


def is_loopback(host: str) -> bool:
    """Return whether an address is reachable from this machine only."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback


async def _stop_listening(servers: list[asyncio.base_events.Server]) -> None:
    """Accept no more, and lose no connection that was accepted a moment ago."""
    loop = asyncio.get_running_loop()
    for server in servers:
        for sock in server.sockets:
            loop.remove_reader(sock.fileno())
    for _ in range(3):
        await asyncio.sleep(0)  # asyncio attaches an accepted connection in its next round, and to no closed server
    for server in servers:
        server.close()


class _TlsListener(socket.socket):
    """A listening socket that bounds the handshakes under way: asyncio has no limit, and counts only their results."""

    def __init__(self, sock: socket.socket, handshakes: dict[int, socket.socket], limit: int) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self.setblocking(False)
        self._handshakes = handshakes
        self._limit = limit

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and close the one whose handshake has taken longest if there are too many."""
        accepted = super().accept()
        for number, sock in list(self._handshakes.items()):
            if sock.fileno() < 0:
                del self._handshakes[number]
        self._handshakes.pop(accepted[0].fileno(), None)  # of a closed one: at the end again
        self._handshakes[accepted[0].fileno()] = accepted[0]
        if len(self._handshakes) > self._limit:
            with suppress(OSError):
                self._handshakes.pop(next(iter(self._handshakes))).shutdown(socket.SHUT_RDWR)  # asyncio then closes it
        return accepted


def _raise_file_limit(files: int) -> int:
    """Raise the limit of open files to this number if it is lower, as far as allowed; return how many are allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        return files
    allowed = files if hard == resource.RLIM_INFINITY else min(files, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket, port 0 being any free one; raises ``AddressError``."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        both = family is socket.AF_INET6 and socket.has_dualstack_ipv6()
        sock = socket.create_server(address, family=family, backlog=BACKLOG, dualstack_ipv6=both)
    except socket.gaierror as error:
        why = error.strerror
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
    except UnicodeError:  # a part of the name is empty or too long
        why = "it is not a host name"
    else:
        # Connections inherit it. asyncio does not set it, because create_server() names no protocol; without it, the
        # body of a response waits for the delayed ACK of its head: 40 ms.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    raise AddressError(f"cannot listen on {shown}: {why}; set another address with `listen` or --listen")
