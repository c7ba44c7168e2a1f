"""HTTP connections that bound each response in time and bytes, and are reused only where it surely has ended.

``http.client`` reads each response through the ``response_class`` of its connection: here that is a `Response` with a
deadline.
"""

import http.client
import ssl
import time
import zlib
from functools import partial
from http.client import HTTPException
from math import inf
from typing import Any, Final

import requests
import urllib3
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from monitor.causes import in_words, root
from monitor.client.errors import ApiConnectionError, ApiError, ApiTimeoutError, BadResponseError, TlsError
from monitor.client.records import text
from monitor.client.response import AnswerTooLargeError, Response, TunnelResponse
from monitor.redaction import SecretMask

NETWORK_ERRORS: Final = (
    requests.exceptions.RequestException,
    urllib3.exceptions.HTTPError,
    HTTPException,
    OSError,
    UnicodeError,
    zlib.error,
)
"""What a request raises when it fails."""


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
        self._read_by(TunnelResponse)
        super().connect()

    def getresponse(self) -> Any:
        """Return the response with its body as ``data``; not as a response of urllib3, which costs 25 µs more."""
        self._read_by(Response)
        return http.client.HTTPConnection.getresponse(self)

    def _read_by(self, response: type) -> None:
        deadline = inf if self.timeout is None else time.monotonic() + self.timeout
        self.response_class = partial(response, deadline)  # type: ignore[assignment]


class _DeadlineTlsConnection(_DeadlineConnection, HTTPSConnection):
    """The same with TLS."""


def bound_answers(pool: HTTPConnectionPool) -> None:
    """Make the read timeout of a pool bound each whole response, head and body."""
    bounded: dict[type, type] = {HTTPConnection: _DeadlineConnection, HTTPSConnection: _DeadlineTlsConnection}
    # Those of SOCKS connect in a way of their own and keep it.
    pool.ConnectionCls = bounded.get(pool.ConnectionCls, pool.ConnectionCls)


def translate_error(error: BaseException, host: str, connect: float, total: float, masking: SecretMask) -> ApiError:
    """Return the ``ApiError`` for one of ``NETWORK_ERRORS``, with secrets masked before its message is cut.

    ``connect`` and ``total`` are the seconds that connecting and the whole response could take.
    """
    cause = root(error)
    message = text(masking.text(in_words(cause))) or type(cause).__name__
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
        case HTTPException() if not isinstance(cause, ConnectionError):
            message = f"the response is not HTTP: {message}"
        case _:
            kind = ApiConnectionError
            if isinstance(error, requests.exceptions.ProxyError | urllib3.exceptions.ProxyError):
                host = f"{host} through the proxy"
    return kind(f"{host}: {message}")
