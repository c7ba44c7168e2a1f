"""Connections on which an answer has to arrive whole within a time.

A read timeout alone bounds only the wait for the next byte: a server that sends one byte now and then would hold a
thread for ever, in the headers as well as in the body.
"""

import io
import socket
import time
from collections.abc import Mapping
from functools import partial
from http.client import HTTPResponse
from typing import Any, Final

from requests import Request
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

_AT_ONCE: Final = 2**15
"""Bytes read at once: most answers whole."""


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


def _timed_response(deadline: float, sock: socket.socket, **kwargs: Any) -> HTTPResponse:
    return HTTPResponse(_TimedSocket(sock, deadline), **kwargs)  # type: ignore[arg-type]


class _TimedConnection(HTTPConnection):
    """A connection whose read timeout bounds the whole answer, and its connect timeout that of a proxy."""

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
