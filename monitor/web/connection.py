"""One connection, with bounds on what it may send, how long that may take, and how long an answer may wait."""

import asyncio
from http import HTTPStatus
from typing import Any, Final

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from monitor.config import WebConfig
from monitor.web.names import names_of

HEAD_BYTES: Final = 32 * 1024
"""Of a request: its line and its headers."""

BODY_BYTES: Final = 64 * 1024
"""Of a request; no endpoint needs one."""

WRITE_WITHIN: Final = 30.0
"""Seconds that a client has to read what it asked for, each time that it falls behind."""

WRITE_BUFFER: Final = 64 * 1024
"""Bytes of an answer that wait for a client before it counts as behind."""


class _TooLargeError(Exception):
    """A request is beyond a bound; the parser stops."""


class Connection(HttpToolsProtocol):
    """Closes itself where no whole request comes in time, or an answer is not read in time.

    Without the first, connections that never ask would fill the bound of connections; without the second, those that
    never listen.
    """

    web = WebConfig()  # the server's own subclass has its own
    write_within = WRITE_WITHIN
    _deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None
    _refusal = HTTPStatus.BAD_REQUEST
    _in_head = True
    _moved_on = False  # whether the data that just came began or ended a request
    _head = 0
    _unfinished_head = 0
    _body = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let a client in, unless its certificate has none of the allowed names."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(WRITE_BUFFER)
        allowed = self.web.client_names
        if allowed and not allowed & names_of(transport.get_extra_info("peercert")):
            transport.abort()
            return
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget every deadline."""
        self._expect_nothing()
        self._all_written()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what a client sent, as far as it is within the bounds."""
        self._moved_on = False
        super().data_received(data)
        if self._in_head and not self._moved_on and not self.transport.is_closing():
            # The parser keeps what is not whole, and says nothing of it.
            self._unfinished_head += len(data)
            if self._unfinished_head > HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin to count, and to wait for the whole request."""
        self._moved_on = self._in_head = True
        self._head = self._unfinished_head = self._body = 0
        self._expect()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the URL."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, and believe what it says about the size of the body."""
        self._count_head(len(name) + len(value) + len(": \r\n"))
        if name.lower() == b"content-length" and value.isdigit() and int(value[:20]) > BODY_BYTES:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request over."""
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count the body."""
        self._body += len(body)
        if self._body > BODY_BYTES:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Wait for nothing while the answer is made."""
        self._moved_on = self._in_head = True
        self._unfinished_head = 0
        self._expect_nothing()
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._expect()

    def on_response_complete(self) -> None:
        """Wait for the next request, or for the end of an answer that is the last one."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._must_write()
        elif self.cycle.response_complete:
            # uvicorn forgets its own deadline at the next byte, though that may begin no request.
            self._expect()

    def timeout_keep_alive_handler(self) -> None:
        """End a connection that has nothing to say."""
        self._cut()

    def shutdown(self) -> None:
        """End as soon as no answer is under way."""
        super().shutdown()
        if self.transport.is_closing():
            self._must_write()

    def pause_writing(self) -> None:
        """Wait for a client that reads too slowly, and not for ever."""
        super().pause_writing()
        self._must_write()

    def resume_writing(self) -> None:
        """Go on with a client that has caught up."""
        self._all_written()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser did not take."""
        self._refuse(self._refusal, msg)

    def _count_head(self, count: int) -> None:
        self._head += count
        if self._head > HEAD_BYTES:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _stop(self, status: HTTPStatus) -> None:
        """Stop the parser; what it makes of that comes back as `send_400_response`."""
        self._refusal = status
        raise _TooLargeError

    def _refuse(self, status: HTTPStatus, text: str | None = None) -> None:
        """Answer what is no request that an endpoint can see, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            begun = self.cycle.response_started or self.pipeline
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if begun:
                self.transport.close()
                self._must_write()
                return
        body = f"{text if status is HTTPStatus.BAD_REQUEST and text else status.phrase}\n".encode()
        lines = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            *(f"{name.decode()}: {value.decode()}" for name, value in self.server_state.default_headers),
            *(f"{name.lower()}: {value}" for name, value in self.web.headers),
            "content-type: text/plain; charset=utf-8",
            f"content-length: {len(body)}",
            "connection: close",
        ]
        self.transport.write("\r\n".join((*lines, "", "")).encode("latin-1") + body)
        self.transport.close()
        self._must_write()

    def _expect(self) -> None:
        self._expect_nothing()
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self._cut)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _must_write(self) -> None:
        self._all_written()
        self._write_deadline = self.loop.call_later(self.write_within, self.transport.abort)

    def _all_written(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()

    def _cut(self) -> None:
        """Close; without a word where what was said before has not been read."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()
            self._must_write()


async def full(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer that there are too many connections."""
    body = b"" if scope["method"] == "HEAD" else b"too many connections\n"
    headers: list[tuple[bytes, bytes]] = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(body)).encode()))
    start: dict[str, Any] = {"type": "http.response.start", "status": 503, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": body})
