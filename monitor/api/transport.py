"""Connections on which an answer has to arrive whole within a time.

A read timeout alone bounds only the wait for the next byte: a server that sends one byte now and then would hold a
thread for ever, in the headers as well as in the body.
"""

import io
import socket
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from requests import Request
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util import SKIP_HEADER

from monitor.api.heads import PlainHeadResponse

_AT_ONCE: Final = 2**15
"""Bytes read at once: most answers whole."""

_NO_HEADERS: Final = dict.fromkeys(("Host", "Accept-Encoding", "User-Agent"), SKIP_HEADER)


class _TimedReader(io.RawIOBase):
    """A socket's bytes, as long as the deadline has not passed."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not arrive whole in time")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _TimedSocket:
    """The one thing that an HTTP response wants of a socket: a file to read."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self._deadline), _AT_ONCE)


def _timed_response(deadline: float, sock: socket.socket, **kwargs: Any) -> PlainHeadResponse:
    return PlainHeadResponse(_TimedSocket(sock, deadline), **kwargs)  # type: ignore[arg-type]


class ReadyHeaders(dict[str, bytes]):
    """Headers of a request that is sent again and again on the connections of one pool, the same each time.

    Attributes:
        request: The bytes of the whole request, once it has been sent.
    """

    request: bytes | None = None

    def copy(self) -> "ReadyHeaders":
        """Return these headers: urllib3 asks for a copy to add those of the pool's proxy, which stay the same too."""
        return self


class _TimedConnection(HTTPConnection):
    """A connection whose read timeout bounds the whole answer, and its connect timeout that of a proxy.

    A request is sent at once, head and body, and one with ready headers is made only once.
    """

    _held: list[bytes] | None = None

    def request(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        """Send a request; urllib3 calls it so."""
        ready = headers if isinstance(headers, ReadyHeaders) else ReadyHeaders()
        self._held = []
        try:
            if ready.request is None:
                super().request(method, url, body, headers, **options)
                ready.request = b"".join(self._held)
            else:  # only what is remembered of it for the answer is needed
                super().request(method, url, headers=_NO_HEADERS, **options)
        finally:
            self._held = None
        self.send(ready.request)

    def send(self, data: Any) -> None:
        """Send bytes, or hold them until the request is complete."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)

    def connect(self) -> None:
        # A proxy answers to CONNECT while the connection is made, and again each time it is made anew.
        self._start()
        super().connect()

    def getresponse(self) -> Any:
        self._start()
        return super().getresponse()

    def _start(self) -> None:
        if self.timeout is not None:
            self.response_class = partial(_timed_response, time.monotonic() + self.timeout)  # type: ignore[assignment]


class _TimedTlsConnection(_TimedConnection, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _TimedConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimedTlsConnection


class TimedAdapter(HTTPAdapter):
    """A requests adapter whose read timeout bounds the whole answer, headers and body."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Build the pool manager with our connections."""
        super().init_poolmanager(*args, **kwargs)
        _use_timed_connections(self.poolmanager)

    def pool_and_target(
        self, url: str, *, verify: bool | str, cert: Any, proxies: Mapping[str, str]
    ) -> tuple[HTTPConnectionPool, str]:
        """Return the connections for a URL, through the proxy that is meant for it, and what to ask for on them."""
        request = Request("GET", url).prepare()
        pool: Any = self.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        self.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
        return pool, self.request_url(request, proxies)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> PoolManager:
        """Return the pool manager of a proxy with our connections."""
        manager: PoolManager = super().proxy_manager_for(*args, **kwargs)
        _use_timed_connections(manager)
        return manager


_TIMED: Final[dict[type, type]] = {HTTPConnectionPool: _Pool, HTTPSConnectionPool: _TlsPool}


def _use_timed_connections(manager: PoolManager) -> None:
    # Pools of any other kind, such as those of SOCKS, know a way of their own and have to keep it.
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _TIMED.get(pool, pool) for scheme, pool in pools.items()}
