"""The HTTP server of the simulator."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from monitor.simulator.app import SimulatorApp
from monitor.simulator.world import World

_STOP_TIMEOUT = 0.5
"""Seconds for requests to end once their connections are closed; the whole demo stops within two."""
_BACKLOG = 2048
_KEEP_ALIVE = 75
"""Seconds; nginx' default, which real servers stand behind."""


class SimulatorServer(uvicorn.Server):
    """Serves a `World` over HTTP; it handles no signals: whoever runs it calls `stop`.

    Attributes:
        url: Its URL without a slash at the end.
    """

    def __init__(self, world: World, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, so that the URL is known before it serves; raise OSError where the address cannot be used."""
        self.world = world
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        super().__init__(
            uvicorn.Config(
                self.app(),
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",  # troubles end in ways that uvicorn would log as errors
                access_log=False,
                server_header=False,
                proxy_headers=False,
                forwarded_allow_ips="",  # not that of the environment
                workers=1,
                timeout_keep_alive=_KEEP_ALIVE,
            )
        )

    def app(self) -> ASGIApp:
        """Return the application that it serves."""
        return SimulatorApp(self.world, self.url)

    async def serve(self, _sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop` is called."""
        try:
            await super().serve([self._socket])
        except asyncio.CancelledError:
            if self.started:
                await self.shutdown()
            raise
        finally:
            self.close()

    def stop(self) -> None:
        """Stop serving and close all connections, from any thread."""
        self.should_exit = True

    def close(self) -> None:
        """Stop listening; for a server that never served."""
        self._socket.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop without waiting for clients."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=_STOP_TIMEOUT)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sets TCP_NODELAY; without, each response would wait for a delayed ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
