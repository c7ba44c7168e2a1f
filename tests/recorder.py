"""A server that keeps the exact bytes it is sent, and answers with whatever it was given."""

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: bytes are sent as they are, anything else as JSON.

    Attributes:
        body: The body.
        status: The HTTP status.
        headers: Headers beside ``Content-Length``.
        hang_up: Close the connection afterwards without a word.
        raw: Everything that is sent instead of all this, status line and headers included.
    """

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False
    raw: bytes | None = None

    def on_the_wire(self) -> bytes:
        """Return what is sent."""
        if self.raw is not None:
            return self.raw
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        lines = [f"HTTP/1.1 {self.status} Whatever", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it came.

    Attributes:
        head: Request line and headers, as bytes.
        body: The body.
    """

    head: bytes
    body: bytes

    @property
    def target(self) -> str:
        """Method and path."""
        return self.head.split(b"\r\n")[0].rsplit(b" ", 1)[0].decode()

    @property
    def headers(self) -> dict[str, bytes]:
        """Values by lower-case name."""
        lines = (line.partition(b": ") for line in self.head.split(b"\r\n")[1:] if line)
        return {name.decode().lower(): value for name, _, value in lines}

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Recorder:
    """Serves answers one after the other, the last one again and again; a context manager.

    Attributes:
        requests: What was asked, in order.
        connections: How many connections were accepted.
    """

    def __init__(self, *answers: Any, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Recorded] = []
        self.connections = 0
        self._answers = _answers(answers)
        self._tls = tls
        self._more = threading.Condition()
        self._server = _Server(("127.0.0.1", 0), self._serve)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="recorder", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def answers(self, *answers: Any) -> None:
        """Answer with these from now on."""
        with self._more:
            self._answers = _answers(answers)

    def wait_for_requests(self, count: int) -> None:
        """Return once so many requests came; fail after 10 s."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.requests) >= count, 10)

    def hang_up(self) -> None:
        """Close every connection from this side, as servers do after an idle time."""
        self._server.hang_up()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    def _serve(self, connection: socket.socket, *_: Any) -> None:
        with self._more:
            self.connections += 1
        with suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._server.open.add(connection)
            with connection, connection.makefile("rb") as incoming:
                self._converse(connection, incoming)

    def _converse(self, connection: socket.socket, incoming: Any) -> None:
        while (request := _read(incoming)) is not None:
            with self._more:
                self.requests.append(request)
                answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
                self._more.notify_all()
            if callable(answer):
                answer(connection, incoming)
                return
            connection.sendall(answer.on_the_wire())
            if answer.hang_up or answer.raw is not None:
                return


def _answers(answers: Iterable[Any]) -> list[Answer | Callable[..., None]]:
    return [one if isinstance(one, Answer) or callable(one) else Answer(one) for one in answers] or [Answer()]


def _read(incoming: Any) -> Recorded | None:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = incoming.readline()
        if not line:
            return None
        head += line
    length = int(Recorded(head, b"").headers.get("content-length", b"0"))
    return Recorded(head, incoming.read(length))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], serve: Callable[..., None]) -> None:
        self.open: set[socket.socket] = set()
        super().__init__(address, serve)  # type: ignore[arg-type]

    def process_request(self, request: Any, client_address: Any) -> None:
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for request in list(self.open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)
