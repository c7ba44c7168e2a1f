"""Reads one HTTP response within bounds of time and bytes, with the parser of httptools.

That takes a third of the time of `http.client`'s own parser. A read timeout alone bounds only the wait for the next
byte, so a server that sends one byte now and then would hold a thread for ever. Whatever its head says, no response is
larger on the wire than `BODY_LIMIT`.
"""

import io
import socket
import ssl
import time
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, HTTPResponse, RemoteDisconnected
from math import inf
from typing import Any, Final

from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser
from urllib3 import HTTPHeaderDict
from urllib3.util.ssltransport import SSLTransport

BODY_LIMIT: Final = 16 * 2**20
"""Bytes of a body, on the wire and decompressed: some 120,000 jobs."""

HEAD_LIMIT: Final = 2**18
"""Bytes of a head with the interim responses before it, and of what else stands between two pieces of a body or behind
it. The parser joins the parts in which a header comes: that takes a second for so many parts of one byte each."""

HEADERS_LIMIT: Final = 100
"""Headers of a response, with those of interim responses before it and those behind its body."""

PIECES_LIMIT: Final = 2**17
"""Pieces of a body, each of which is a chunk or one packet's part of it: servers send some kilobytes in each, and each
costs 40 bytes of memory and a few microseconds."""

INTERIM_LIMIT: Final = 10
"""Interim responses (1xx) skipped before a response; proxies send one or two."""

_READ_SIZE: Final = 2**16
_HEAD: Final = "head of the response"
_INTERIM: Final = range(100, 200)


class AnswerTooLargeError(HTTPException):
    """A response is larger than its limit."""

    def __init__(self, part: str = "response", limit: int = BODY_LIMIT) -> None:
        super().__init__(f"the {part} is larger than {limit / 2**20:g} MiB")


def _remaining(deadline: float) -> float | None:
    """Return the seconds until a deadline, for a socket's timeout; raise ``TimeoutError`` where there are none."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("the response did not arrive whole in time")
    return None if remaining == inf else remaining


def _has_decrypted(sock: Any) -> bool:
    """Return whether a connection holds bytes that urllib3, which looks at its socket only, would not find."""
    if isinstance(sock, SSLTransport):  # TLS through a proxy that speaks TLS itself
        return bool(sock.incoming.pending or sock.sslobj.pending())
    return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0


class _TunnelReader(io.RawIOBase):
    """What a proxy responds to CONNECT, until a deadline; `http.client` reads it."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline
        self._received = 0
        self._has_line = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the response as a file: all that `http.client` wants of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._received > HEAD_LIMIT:
            raise AnswerTooLargeError(_HEAD, HEAD_LIMIT)
        self._sock.settimeout(_remaining(self._deadline))
        count = self._sock.recv_into(buffer)
        self._received += count
        self._has_line = self._has_line or b"\n" in bytes(buffer[:count])
        if not count and not self._has_line:  # half a line could hold half a secret, which nothing would mask
            raise RemoteDisconnected("the connection was closed without a response")
        return count


class TunnelResponse(HTTPResponse):
    """The response of a proxy to CONNECT."""

    def __init__(self, deadline: float, sock: socket.socket, **kwargs: Any) -> None:
        super().__init__(_TunnelReader(sock, deadline), **kwargs)  # type: ignore[arg-type]


class Response:
    """A response that is read whole, within bounds, and strictly where its end is concerned.

    `http.client` reads each response through the ``response_class`` of its connection: it calls `begin`, and asks
    whether the connection is to be closed afterwards. The parser calls what is named ``on_...``.

    Attributes:
        status: The status.
        headers: The first of each name; fields behind the body are ignored, because they could change its meaning.
        data: The body, not decompressed.
        will_close: Whether the connection is to be closed, unless it is certain that the response has ended.
    """

    version_string = "HTTP/1.1"  # this and the next one are for the debug log of urllib3's pool
    length_remaining = 0

    def __init__(self, deadline: float, sock: socket.socket, **_: Any) -> None:
        self.status = 0
        self.headers = HTTPHeaderDict()
        self.data = b""
        self.will_close = True
        self._deadline = deadline
        self._sock = sock
        self._pieces: list[bytes] = []
        self._received = self._not_body = self._size = self._headers = self._interim = 0
        self._has_head = self._is_complete = False

    def begin(self) -> None:
        """Read the response; raises one of ``NETWORK_ERRORS``."""
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_chunked_length=True,
            lenient_keep_alive=True,  # a response may follow an interim one of HTTP/1.0, or one with "close"
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        try:
            while not self._is_complete:
                self._sock.settimeout(_remaining(self._deadline))
                received = self._sock.recv(_READ_SIZE)
                if received:
                    self._received += len(received)
                    self._not_body += len(received)
                    self._parse(received)
                else:
                    self._end()
        finally:
            del self._parser  # it refers to us
        if _has_decrypted(self._sock):
            self.will_close = True

    def isclosed(self) -> bool:
        """Return True: nothing is left to be read."""
        return True

    def close(self) -> None:
        """Do nothing: nothing is left to be read."""

    def _parse(self, received: bytes) -> None:
        try:
            self._parser.feed_data(received)
        except HttpParserError as error:
            if self._is_complete:  # nobody has asked for what comes behind the response
                self.will_close = True
                return
            if isinstance(error, HttpParserCallbackError) and error.__context__:
                raise error.__context__ from None
            line, end, _ = received.partition(b"\n")
            if end and self._received == len(received) and not line.startswith(b"HTTP/"):
                raise BadStatusLine(line.decode("latin-1")) from None  # whole: a part of a secret could not be masked
            raise HTTPException(str(error)) from None
        self._check_limits()

    def _check_limits(self) -> None:
        if self._not_body > HEAD_LIMIT:
            raise AnswerTooLargeError(_HEAD, HEAD_LIMIT)
        if self._interim > INTERIM_LIMIT:
            raise BadStatusLine(f"{self.status} instead of a response")
        if self._headers > HEADERS_LIMIT:
            raise HTTPException(f"more than {HEADERS_LIMIT} headers")
        if len(self._pieces) > PIECES_LIMIT:
            raise HTTPException(f"more than {PIECES_LIMIT} pieces")
        if self._size > BODY_LIMIT or self._received > HEAD_LIMIT + 2 * BODY_LIMIT:
            raise AnswerTooLargeError

    def _end(self) -> None:
        """Take the end of the connection for that of a body of unknown length; any other response is cut off."""
        if not self._received:
            raise RemoteDisconnected("the connection was closed without a response")
        if not self._has_head or self._is_chunked or self._length is not None:
            raise ConnectionError("the connection was closed in the middle of the response")
        self._complete()

    def _complete(self) -> None:
        self.data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._is_complete = True

    def on_message_begin(self) -> None:
        """Refuse a response behind this one, which nobody has asked for."""
        if self._is_complete:
            raise HTTPException("bytes behind the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header, unless there is one of that name or it comes behind the body."""
        self._headers += 1
        key = name.rstrip().decode("latin-1")
        if not (self._has_head or key in self.headers):
            self.headers[key] = value.rstrip().decode("latin-1")

    def on_headers_complete(self) -> None:
        """Find out how the body will end."""
        self.status = self._parser.get_status_code()
        if self.status == HTTPStatus.SWITCHING_PROTOCOLS:
            raise BadStatusLine(f"{self.status} instead of a response")
        coding = self.headers.get("Transfer-Encoding", "")
        self._is_chunked = coding.lower() == "chunked"
        if coding and not self._is_chunked:
            raise HTTPException(f"unknown Transfer-Encoding {coding!r}")  # masked before it is cut
        length = self.headers.get("Content-Length")
        self._length = None if length is None else int(length[-20:])  # the parser takes any zeros before so many digits
        if not self._is_chunked and (self._length or 0) > BODY_LIMIT:
            raise AnswerTooLargeError
        self._has_head = self.status not in _INTERIM

    def on_body(self, piece: bytes) -> None:
        """Add a piece of the body."""
        if not self._has_head:
            raise HTTPException(f"a body in an interim response ({self.status})")
        self._size += len(piece)
        self._pieces.append(piece)
        self._not_body = 0

    def on_message_complete(self) -> None:
        """Decide whether another response can follow; after an interim one the response itself comes."""
        if self._has_head:
            if self._is_chunked:  # a length as well is ambiguous; so are a 204 and a 304 that announce a body
                has_surely_ended = self._length is None and self._size > 0
            else:
                has_surely_ended = self._size == (self._length or 0)
            self.will_close = not (has_surely_ended and self._parser.should_keep_alive())
            self._complete()
        else:
            self._interim += 1
            self.headers.clear()
