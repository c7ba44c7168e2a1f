"""HTTP connections that bound each response in time and bytes, and are reused only where it surely has ended.

A read timeout alone bounds only the wait for the next byte, so a server that sends one byte now and then would hold a
thread for ever. ``http.client`` reads each response through the ``response_class`` of its connection: here that is one
with a deadline. Whatever its head says, no response is larger on the wire than `BODY_LIMIT`.
"""

import http.client
import io
import re
import socket
import ssl
import time
import zlib
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.client import BadStatusLine, HTTPException, HTTPResponse, IncompleteRead
from typing import Any, Final

import requests
import urllib3
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from monitor.causes import in_words, root
from monitor.client.errors import ApiConnectionError, ApiError, ApiTimeoutError, BadResponseError, TlsError
from monitor.client.records import text

BODY_LIMIT: Final = 16 * 2**20
"""Bytes of a body, on the wire and decompressed: some 120,000 jobs."""

HEAD_LIMIT: Final = 2**18
"""Bytes of a head with the interim responses before it; `http.client` allows 100 lines of 64 KiB."""

CHUNKS_LIMIT: Final = 2**17
"""Chunks of a body: servers send some kilobytes in each, and each costs a few microseconds."""

INTERIM_LIMIT: Final = 10
"""Interim responses (1xx) skipped before a response; proxies send one or two."""

_READ_SIZE: Final = 2**15
_CHUNK_LINE_LIMIT: Final = 4096
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_INTERIM: Final = range(100, 200)


NETWORK_ERRORS: Final = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    HTTPException,
    OSError,
    UnicodeError,
    zlib.error,
)
"""What a request raises when it fails."""


class AnswerTooLargeError(HTTPException):
    """A response is larger than its limit."""

    def __init__(self, part: str = "response", limit: int = BODY_LIMIT) -> None:
        super().__init__(f"the {part} is larger than {limit / 2**20:g} MiB")


class _DeadlineReader(io.RawIOBase):
    """The bytes of one response, until a deadline and up to a limit."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.limit = HEAD_LIMIT
        self.part = "head of the response"
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open where its connection is closed early
        self._deadline = deadline
        self._received = 0

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the response as a file: all that an HTTP response wants of a socket."""
        return io.BufferedReader(self, _READ_SIZE)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._received

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the response did not arrive whole in time")
        if self._received > self.limit:
            raise AnswerTooLargeError(self.part, self.limit)
        self.sock.settimeout(remaining)
        count = self._raw.readinto(buffer)
        self._received += count or 0
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    """A response that is read within bounds, and strictly where its end is concerned."""

    fp: Any
    version_string = "HTTP/1.1"  # this and the next one are for the debug log of urllib3's pool
    length_remaining = 0

    def __init__(self, deadline: float, sock: socket.socket, **kwargs: Any) -> None:
        self._reader = _DeadlineReader(sock, deadline)
        super().__init__(self._reader, **kwargs)  # type: ignore[arg-type]

    def begin(self) -> None:
        """Read the head; skip interim responses; close the connection afterwards unless the body's end is certain."""
        for _ in range(INTERIM_LIMIT + 1):
            super().begin()
            if self.status not in _INTERIM or self.status == HTTPStatus.SWITCHING_PROTOCOLS:
                break
            self.headers = None  # type: ignore[assignment]  # makes the next head be read
        if self.status in _INTERIM:
            raise BadStatusLine(f"{self.status} instead of a response")
        lengths = self.headers.get_all("Content-Length", [])
        codings = self.headers.get_all("Transfer-Encoding", [])
        if codings and not self.chunked:
            raise HTTPException(f"unknown Transfer-Encoding {', '.join(codings)!r}")  # masked before it is cut
        counted = len(lengths) == 1 and _LENGTH.fullmatch(lengths[0]) and not codings
        without_body = self.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
        if not (counted or without_body or (len(codings) == 1 and not lengths)):
            self.will_close = True
            if not self.chunked and len(set(", ".join(lengths).split(", "))) > 1:
                raise HTTPException("the response has several lengths")
        if self.length is not None and self.length > BODY_LIMIT:
            raise AnswerTooLargeError
        self._reader.part, self._reader.limit = "response", HEAD_LIMIT + 2 * BODY_LIMIT

    def read(self, _amt: int | None = None) -> bytes:
        """Return the whole body; where bytes are left behind it, the connection ends: no response begins with them."""
        has_trailers = False
        if self.chunked:
            body = self._read_chunks()
            has_trailers = self.fp.readline(3) != b"\r\n"
        else:
            body = self.fp.read(BODY_LIMIT + 1 if self.length is None else self.length)
            if len(body) < (self.length or 0):
                raise IncompleteRead(body, (self.length or 0) - len(body))
        if len(body) > BODY_LIMIT:
            raise AnswerTooLargeError
        sock = self._reader.sock
        is_decrypted = isinstance(sock, ssl.SSLSocket) and sock.pending()
        if has_trailers or is_decrypted or self.fp.tell() < self._reader.tell():
            with suppress(OSError):  # closed by the server already
                sock.shutdown(socket.SHUT_RDWR)
        return body

    def _read_chunks(self) -> bytes:
        chunks = bytearray()
        for _ in range(CHUNKS_LIMIT):
            line = self.fp.readline(_CHUNK_LINE_LIMIT)
            match = _CHUNK_SIZE.fullmatch(line)
            if match is None:
                if not line.endswith(b"\n") and len(line) < _CHUNK_LINE_LIMIT:
                    raise IncompleteRead(b"")
                raise HTTPException("a chunk's size is not a number")  # a cut line could hold a part of a secret
            size = int(match[1], 16)
            if size == 0:
                return bytes(chunks)
            if len(chunks) + size > BODY_LIMIT:
                raise AnswerTooLargeError
            chunk = self.fp.read(size + len(b"\r\n"))
            if len(chunk) < size + len(b"\r\n"):
                raise IncompleteRead(b"", size + len(b"\r\n") - len(chunk))
            if not chunk.endswith(b"\r\n"):
                raise HTTPException("a chunk is longer than its size")
            chunks += memoryview(chunk)[:size]
        raise HTTPException(f"more than {CHUNKS_LIMIT} chunks")


class _DeadlineConnection(HTTPConnection):
    """A connection whose read timeout bounds a whole response, and its connect timeout that of a proxy."""

    putheader = http.client.HTTPConnection.putheader  # urllib3's searches each value for its SKIP_HEADER first

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send head and body in one system call: a second one costs the poll 10 µs."""
        parts: list[Any] = []
        self.send = parts.append  # type: ignore[method-assign, assignment]
        try:
            super().request(*args, **kwargs)
        finally:
            del self.send
        self.send(b"".join(parts))

    def connect(self) -> None:
        self._start_deadline()  # a proxy answers to CONNECT
        super().connect()

    def getresponse(self) -> Any:
        """Return the response with its body as ``data``; not as a response of urllib3, which costs 25 µs more."""
        self._start_deadline()
        response: Any
        with http.client.HTTPConnection.getresponse(self) as response:
            response.data = response.read()
        return response

    def _start_deadline(self) -> None:
        if self.timeout is not None:
            self.response_class = partial(_BoundedResponse, time.monotonic() + self.timeout)  # type: ignore[assignment]


class _DeadlineTlsConnection(_DeadlineConnection, HTTPSConnection):
    """The same with TLS."""


def bound_answers(pool: HTTPConnectionPool) -> None:
    """Make the read timeout of a pool bound each whole response, head and body."""
    bounded: dict[type, type] = {HTTPConnection: _DeadlineConnection, HTTPSConnection: _DeadlineTlsConnection}
    # Those of SOCKS connect in a way of their own and keep it.
    pool.ConnectionCls = bounded.get(pool.ConnectionCls, pool.ConnectionCls)


def translate_error(error: BaseException, host: str, connect: float, total: float) -> ApiError:
    """Return the ``ApiError`` for one of ``NETWORK_ERRORS``; ``connect`` and ``total`` are the seconds there were."""
    cause = root(error)
    message = text(in_words(cause)) or type(cause).__name__
    kind: type[ApiError] = BadResponseError
    match cause:
        case TimeoutError() | urllib3.exceptions.TimeoutError():
            kind, message = ApiTimeoutError, f"no complete response within {total:g} s"
            if isinstance(error, requests.exceptions.ConnectTimeout | urllib3.exceptions.ConnectTimeoutError):
                message = f"no connection within {connect:g} s"
        case ssl.SSLError() | urllib3.exceptions.SSLError():
            kind = TlsError
        case urllib3.exceptions.DecodeError() | zlib.error():
            message = f"the response cannot be decompressed: {message}"
        case AnswerTooLargeError():
            pass
        case HTTPException() if not isinstance(cause, IncompleteRead | ConnectionError):
            message = f"the response is not HTTP: {message}"
        case _:
            kind = ApiConnectionError
            if isinstance(error, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError):
                host = f"{host} through the proxy"
    return kind(f"{host}: {message}")
