"""A way to PostgreSQL that can swallow everything for a while, as a firewall does that drops packets."""

import socket
import threading
from contextlib import suppress
from typing import Self


class SwallowingProxy:
    """Forwards TCP connections to a Unix socket, and nothing at all while it swallows; connections stay open.

    Attributes:
        url: The URL of PostgreSQL by this way.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self.url = f"postgresql://postgres@127.0.0.1:{self._listener.getsockname()[1]}/postgres"

    def swallow(self) -> None:
        """Forward nothing from now on."""
        self._flows.clear()

    def forward(self) -> None:
        """Forward everything again, with what was held back."""
        self._flows.set()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        self._flows.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                with suppress(OSError):  # PostgreSQL is stopped
                    server.connect(self._path)
                self._start(self._pump, client, server)
                self._start(self._pump, server, client)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._flows.wait()
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def _start(self, run: object, *arguments: socket.socket) -> None:
        threading.Thread(target=run, args=arguments, daemon=True).start()  # type: ignore[arg-type]
