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
from urllib3 import HTTPConnectionPool, HTTPHeaderDict, HTTPSConnectionPool, PoolManager
from urllib3 import HTTPResponse as HttpAnswer
from urllib3.connection import HTTPConnection, HTTPSConnection

from monitor.api.heads import plain_head

_AT_ONCE: Final = 2**15
"""Bytes read at once: most answers whole."""

_SENT_AT_ONCE: Final = 0.01
"""Seconds: where sending takes no longer, the time for the answer is not cut by it."""


class _TimedReader(io.RawIOBase):
    """A socket's bytes, as long as the deadline has not passed; those that were read already come first."""

    def __init__(self, sock: socket.socket, deadline: float, begun: bytes) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self._begun = begun

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._begun:
            part, self._begun = self._begun[: len(buffer)], self._begun[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)
        _wait_until(self._deadline, self._sock)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _wait_until(deadline: float, sock: socket.socket) -> None:
    """Let what is done next with a socket take no longer than until a deadline."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the answer did not arrive whole in time")
    sock.settimeout(left)


class _TimedSocket:
    """The one thing that an HTTP response wants of a socket: a file to read."""

    def __init__(self, sock: socket.socket, deadline: float, begun: bytes) -> None:
        self._source = sock, deadline, begun

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(*self._source), _AT_ONCE)


def _timed_response(deadline: float, sock: socket.socket, begun: bytes = b"", **kwargs: Any) -> HTTPResponse:
    return HTTPResponse(_TimedSocket(sock, deadline, begun), **kwargs)  # type: ignore[arg-type]


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

    A request is sent at once, head and body.
    """

    _held: list[bytes] | None = None

    def request(
        self, method: str, url: str, body: Any = None, headers: Mapping[str, Any] | None = None, **options: Any
    ) -> None:
        """Send a request; urllib3 calls it so."""
        self._held = []
        try:
            super().request(method, url, body, headers, **options)
            request = b"".join(self._held)
        finally:
            self._held = None
        if isinstance(headers, ReadyHeaders):
            headers.request = request
        self.send(request)

    def send(self, data: Any) -> None:
        """Send bytes, or hold them until the request is complete."""
        if self._held is None:
            super().send(data)
        else:
            self._held.append(data)

    def ask(self, method: str, request: bytes, within: float, limit: float) -> bytes | HTTPResponse:
        """Send a request that is ready, on an open connection.

        Returns:
            The body of a plain answer with no more bytes than ``limit`` whose head came in one piece; of any other
            answer the head, which `http.client` has read, with the body unread.
        """
        sock = self.sock
        deadline = time.monotonic() + within
        if sock.gettimeout() != within:  # asking costs nothing, setting it is a call of the system
            sock.settimeout(within)
        sock.sendall(request)
        if deadline - time.monotonic() < within - _SENT_AT_ONCE:
            _wait_until(deadline, sock)
        answer = sock.recv(_AT_ONCE)
        head = plain_head(answer)
        if head is not None and head.length <= min(limit, _AT_ONCE):
            whole = head.size + head.length
            while len(answer) < whole:
                _wait_until(deadline, sock)
                part = sock.recv(whole - len(answer))
                if not part:
                    break
                answer += part
            if len(answer) == whole:
                return answer[head.size :]
        response = _timed_response(deadline, sock, answer, method=method)
        response.begin()
        if response.will_close:
            self.close()  # the response keeps the socket for itself
        return response

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


class KeepingPool(HTTPConnectionPool):
    """Connections on which a request can be sent again without making it anew."""

    ConnectionCls = _TimedConnection

    def ask_again(self, method: str, request: bytes, within: float, limit: float) -> bytes | HttpAnswer | None:
        """Send a request that is ready, on a connection that has stayed open.

        Args:
            method: Its method.
            request: All its bytes.
            within: Seconds for the whole exchange.
            limit: Bytes of a body that is read at once.

        Returns:
            The body, where the answer is a success and as plain as most are; else the answer with its body unread. None
            where no connection has stayed open: nothing was sent.

        Raises:
            OSError: The exchange failed, or took too long.
            HTTPException: What came is no HTTP.
        """
        connection: Any = self._get_conn()
        if connection.is_closed:
            self._put_conn(connection)
            return None
        try:
            answer = connection.ask(method, request, within, limit)
            if not isinstance(answer, bytes):
                return HttpAnswer(
                    answer,
                    headers=HTTPHeaderDict(answer.msg.items()),
                    status=answer.status,
                    version=answer.version,
                    reason=answer.reason,
                    preload_content=False,
                    decode_content=False,
                    original_response=answer,
                    pool=self,
                    connection=connection,
                    request_method=method,
                )
        except BaseException:
            connection.close()
            self._put_conn(connection)
            raise
        self._put_conn(connection)
        return answer


class _TlsPool(KeepingPool, HTTPSConnectionPool):
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


_TIMED: Final[dict[type, type]] = {HTTPConnectionPool: KeepingPool, HTTPSConnectionPool: _TlsPool}


def _use_timed_connections(manager: PoolManager) -> None:
    # Pools of any other kind, such as those of SOCKS, know a way of their own and have to keep it.
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _TIMED.get(pool, pool) for scheme, pool in pools.items()}
