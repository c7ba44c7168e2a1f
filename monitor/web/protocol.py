"""One HTTP connection with limits on its size and on every wait.

uvicorn's protocol class is not a documented interface. It is used here alone, its version range is pinned in
pyproject.toml, and tests/integration/test_web_auth.py and test_web.py fail when a limit stops working.
"""

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from operator import itemgetter
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from monitor.config import WebConfig
from monitor.web.limits import WebLimits

REFUSALS: Final = 32  # connections beyond the limit that get a 503 at a time; further ones are only closed


class _TooLargeError(Exception):
    """A request exceeds a limit; stops the parser."""


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection when a request does not arrive, or a response is not read, in time.

    Without the first, idle connections would use up the connection limit; without the second, clients that never read.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        state: ServerState,
        web: WebConfig,
        limits: WebLimits,
        handshakes: MutableMapping[int, socket.socket],
    ) -> None:
        super().__init__(config, state, {})
        self._web = web
        self._limits = limits
        self._handshakes = handshakes
        self.connected_at = 0.0
        self.has_requested = False  # whether a complete request has arrived
        self.idle_since: float | None = None  # the end of the last response, until the next request begins
        self._read_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._status = HTTPStatus.BAD_REQUEST
        self._in_head = True
        self._parsed = False  # whether the latest data began or ended a request
        self._head_bytes = self._body_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a client unless there are too many, or its certificate has none of the allowed names."""
        super().connection_made(transport)
        self._handshakes.pop(transport.get_extra_info("socket").fileno(), None)
        self.connected_at = self.loop.time()
        transport.set_write_buffer_limits(self._limits.write_buffer)
        allowed = self._web.client_names
        foreign = allowed and not allowed & certificate_names(transport.get_extra_info("peercert"))
        if foreign or len(self.connections) > self._limits.connections + REFUSALS:
            transport.abort()
        elif not self._make_room():
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        else:
            self._start_read_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers."""
        _cancel(self._read_timer)
        _cancel(self._write_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what a client sent, and bound a line without an end, which the parser does not report."""
        self._parsed = False
        super().data_received(data)
        if self._in_head and not self._parsed and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start counting bytes and time."""
        self._parsed = self._in_head = True
        self._head_bytes = self._body_bytes = 0
        self.idle_since = None
        self._start_read_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request, unless its head, or the length that it declares for its body, exceeds the limit."""
        self._in_head = False
        head = len(self.url) + sum(len(name) + len(value) + len(": \r\n") for name, value in self.headers)
        if head > self._limits.head_bytes:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        length = dict(self.headers).get(b"content-length", b"0")  # the parser rejects a second one
        if length.isdigit() and int(length[:20]) > self._limits.body_bytes:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Stop the read timer while the response is made."""
        self._parsed = self._in_head = self.has_requested = True
        self._head_bytes = 0
        _cancel(self._read_timer)
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._start_idle()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the client to read the last response."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._start_write_timer()
        elif self.cycle.response_complete:
            # uvicorn drops its own timer at the next byte, even if that begins no request.
            self._start_idle()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; at once when the client has not read the previous response either."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self._close()

    def shutdown(self) -> None:
        """Close once the current response has been sent."""
        super().shutdown()
        if self.transport.is_closing():
            self._start_write_timer()

    def pause_writing(self) -> None:
        """Start the write timer of a client that has fallen behind."""
        super().pause_writing()
        self._start_write_timer()

    def resume_writing(self) -> None:
        """Stop the write timer."""
        _cancel(self._write_timer)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser rejected."""
        self._refuse(self._status, msg if self._status is HTTPStatus.BAD_REQUEST else "")

    def _make_room(self) -> bool:
        """If there are too many connections, close one that has waited longest without a request, or an idle one.

        Returns:
            Whether there is room.
        """
        if len(self.connections) <= min(self._limits.connections, self._limits.connections_per_address):
            return True
        connections = [other for other in self.connections if isinstance(other, LimitedProtocol) and other.is_open()]
        same = [other for other in connections if other.address == self.address]
        if len(same) > self._limits.connections_per_address:
            connections = same
        elif len(connections) <= self._limits.connections:
            return True
        unused = [other for other in connections if not other.has_requested and other is not self]
        if unused:
            min(unused, key=lambda other: other.connected_at).transport.abort()
            return True
        return self._close_idle(connections)

    def _close_idle(self, connections: Sequence["LimitedProtocol"]) -> bool:
        """Close the connection that has been idle longest, of an address that has most of them; return if there is one.

        No address loses one to another that has more of them: who floods the monitor keeps no scraper out.
        """
        held = Counter(other.address for other in connections)
        idle = [
            (held[other.address], -other.idle_since, other)
            for other in connections
            if other.idle_since is not None
            and self.loop.time() - other.idle_since >= self._limits.replaced_after
            and held[other.address] >= held[self.address]
        ]
        if idle:
            max(idle, key=itemgetter(0, 1))[2].shutdown()
        return bool(idle)

    @property
    def address(self) -> str:
        """The address of the client."""
        return self.client[0] if self.client else ""

    def is_open(self) -> bool:
        """Return whether the connection stays, or still has to send something before it closes."""
        return not self.transport.is_closing() or self.transport.get_write_buffer_size() > 0

    def _stop(self, status: HTTPStatus) -> None:
        """Stop the parser, which then calls ``send_400_response``."""
        self._status = status
        raise _TooLargeError

    def _refuse(self, status: HTTPStatus, text: str = "") -> None:
        """Answer without calling the app, and close."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or cycle.response_complete or not (cycle.response_started or self.pipeline):
            body = f"{text or status.phrase}\n".encode()
            headers = [
                *((name.decode(), value.decode()) for name, value in self.server_state.default_headers),
                *self._web.headers,
                ("content-type", "text/plain; charset=utf-8"),
                ("content-length", len(body)),
                ("connection", "close"),
            ]
            head = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers)
            self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}\r\n".encode("latin-1") + body)
        self._close()

    def _close(self) -> None:
        self.transport.close()
        self._start_write_timer()

    def _start_idle(self) -> None:
        self.idle_since = self.loop.time()
        self._start_read_timer()

    def _start_read_timer(self) -> None:
        _cancel(self._read_timer)
        self._read_timer = self.loop.call_later(self._limits.keep_alive, self.timeout_keep_alive_handler)

    def _start_write_timer(self) -> None:
        _cancel(self._write_timer)
        self._write_timer = self.loop.call_later(self._limits.write_timeout, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def certificate_names(certificate: Mapping[str, Any] | None) -> frozenset[str]:
    """Return the subject alternative names of a certificate from Python's ssl module; IP addresses normalised."""
    entries = (certificate or {}).get("subjectAltName", ())
    return frozenset(_normalize_address(value) if kind == "IP Address" else value for kind, value in entries)


def _normalize_address(address: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.ip_address(address.strip()))
    return address
