"""The HTTP server of the simulator: in a loop that exists, in a thread of its own, or alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from monitor.simulator.app import SimulatorApp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from monitor.simulator.world import World

_TICK = 0.25
_START_WITHIN = 10.0


class SimulatorServer:
    """Serves a `World` over HTTP.

    Use it in one of three ways: `await server.serve()` in a loop that runs already, `with server:` for a thread of
    its own, `server.run()` to do nothing else. It handles no signals: whoever runs it calls `stop`.

    Attributes:
        world: What it serves.
    """

    def __init__(
        self, world: World, host: str = "127.0.0.1", port: int = 0, *, default_cluster: str | None = None
    ) -> None:
        """Makes a server that does not listen yet.

        Args:
            world: What to serve.
            host: The address to listen on.
            port: The port to listen on; 0 for any free one.
            default_cluster: The self-hosted cluster that answers on paths without `/clusters/<id>`.
        """
        self.world = world
        self._host = host
        self._port = port
        self._default = default_cluster
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._should_exit = False

    @property
    def url(self) -> str:
        """Where it is reached, without a slash at the end.

        Raises:
            RuntimeError: It does not listen; see `bind`.
        """
        return f"http://{self._address()}:{self.port}"

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: It does not listen; see `bind`.
        """
        if self._socket is None:
            raise RuntimeError("the simulator does not listen yet; call bind() first")
        return int(self._socket.getsockname()[1])

    @property
    def should_exit(self) -> bool:
        """Whether it was told to stop; setting it to True is the same as `stop`."""
        return self._should_exit

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self.stop()

    def bind(self) -> str:
        """Begins to listen, so that the URL is known before the first request is served, and returns that URL.

        Raises:
            OSError: The address is in use, or not one of this machine's.
        """
        if self._socket is None:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            # With the protocol named, asyncio sets TCP_NODELAY; without, each answer would wait for a delayed ACK.
            listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self._host, self._port))
                listener.listen(2048)
            except OSError:
                listener.close()
                raise
            self._socket = listener
        return self.url

    async def serve(self) -> None:
        """Serves until `stop` is called; installs no signal handlers."""
        self.bind()
        app = SimulatorApp(self.world, self._default)
        app.base_url = self.url
        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=75,
        )
        self._server = _Server(config, app)
        self._loop = asyncio.get_running_loop()
        if self._should_exit:
            self._server.wake()
        self._started.set()
        try:
            await self._server.serve(sockets=[self._socket] if self._socket else None)
        except asyncio.CancelledError:
            await self._server.shutdown()  # or the requests that still wait are cancelled as well, with a log of errors
            raise
        finally:
            self.close()

    def run(self) -> None:
        """Serves until `stop` is called from elsewhere, or the interpreter is interrupted."""
        asyncio.run(self.serve())

    def stop(self) -> None:
        """Tells it to stop, from any thread; whoever still waits for an answer is sent away."""
        self._should_exit = True
        if self._server is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped
                self._loop.call_soon_threadsafe(self._server.wake)

    def close(self) -> None:
        """Stops listening; for a server that was bound and never served."""
        if self._socket is not None:
            self._socket.close()

    def __enter__(self) -> Self:
        self.bind()
        self._thread = threading.Thread(target=self.run, name="simulator", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_WITHIN):
            raise RuntimeError("the simulator did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join(_START_WITHIN)

    def _address(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - read, not bound
        return f"[{host}]" if ":" in host else host


class _Protocol(HttpToolsProtocol):
    """Hands the transport to the application, which needs it to misbehave."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"] = {"transport": self.transport}


class _Server(uvicorn.Server):
    """Leaves signals alone, and neither starts nor stops on a timer's tick."""

    def __init__(self, config: uvicorn.Config, app: SimulatorApp) -> None:
        super().__init__(config)
        self._app = app
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self.should_exit = True
        self._woken.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), _TICK)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        self._app.stopping.set()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # Two turns of the loop tell the tasks that their connections are gone; none of them waits for anything else.
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=_TICK)
