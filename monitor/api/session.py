"""The exchange with an import API: in time, within the rate, repeated where that helps, and never for ever."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from threading import Event, Lock
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3

from monitor.api.answers import BODY_LIMIT, decoded, read, refusal
from monitor.api.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    StoppedError,
    ThrottledError,
    TransientError,
)
from monitor.api.faults import FAULTS, plain_error
from monitor.api.kept import Kept, Made
from monitor.api.rate import RateLimiter
from monitor.api.transport import KeepingPool, ReadyHeaders, TimedAdapter
from monitor.config import Cluster
from monitor.redaction import SecretMask, passwords_in

ATTEMPTS: Final = 3
"""How often one request is sent while its error is of a passing kind."""

RETRY_AFTER_LIMIT: Final = 5.0
"""Seconds of a ``Retry-After`` that are waited out within a poll; a longer one moves the next poll."""

CONNECT_LIMIT: Final = 5.0
"""Seconds for a connection, where the timeout is not shorter."""

POLL_LIMIT: Final = 12
"""A whole poll may take this many timeouts; what is not there by then is given up."""

BACKOFF: Final = 0.1
BACKOFF_LIMIT: Final = 2.0
"""Seconds: a failed attempt waits up to so long for the next one, first twice ``BACKOFF``, then doubled each time."""

REQUESTS_KEPT: Final = 32
"""Requests of one cluster that are kept ready."""

POLL_BYTES: Final = 2 * BODY_LIMIT
"""Bytes of all answers of a poll together, decompressed. What is kept of a list may take four times as many in memory:
one character beyond the basic plane makes every other one of its text as wide."""

_HOSTS: Final = 20_000
_ONCE: Final = urllib3.Retry.from_int(False, redirect=False)
_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that is ready to be sent, again and again."""

    pool: urllib3.HTTPConnectionPool
    method: str
    target: str
    body: bytes | None
    headers: ReadyHeaders

    def send(self, timeout: urllib3.Timeout, limit: float) -> bytes | urllib3.BaseHTTPResponse:
        """Send it once, on a connection that has stayed open where there is one.

        Args:
            timeout: The seconds there are.
            limit: Bytes that a body may have, for it to be read at once.

        Returns:
            The body of a success that was as plain as most are; else the answer, its body unread.
        """
        ready, within = self.headers.request, timeout.read_timeout
        if ready is not None and isinstance(self.pool, KeepingPool) and isinstance(within, int | float):
            answer = self.pool.ask_again(self.method, ready, within, limit)
            if answer is not None:
                return answer
        return self.pool.urlopen(
            self.method,
            self.target,
            body=self.body,
            headers=self.headers,  # type: ignore[arg-type]
            retries=_ONCE,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=False,
            decode_content=False,
        )


class Network:
    """What the sessions of all clusters share: kept connections, the rate limits, and the sign to stop.

    Args:
        connections: How many connections are kept for each host: as many as polls can run at a time.
        clock: Monotonic seconds.
    """

    def __init__(self, connections: int = 32, clock: Callable[[], float] = time.monotonic) -> None:
        self.limiter = RateLimiter(clock)
        self.stopping = Event()
        self.clock = clock
        self.adapter = TimedAdapter(pool_connections=_HOSTS, pool_maxsize=connections)

    def stop(self) -> None:
        """Cut every wait short; what is on the wire ends with its timeout."""
        self.stopping.set()

    def close(self) -> None:
        """Close the kept connections."""
        self.adapter.close()


@dataclass(slots=True)
class Usage:
    """What was asked of a cluster so far, by endpoint: by its polls, and by whoever looks at one of its jobs meanwhile.

    Attributes:
        requests: Requests sent, each attempt counted.
        throttled: Seconds waited because of our own rate limit or of a ``Retry-After``.
    """

    requests: Counter[str] = field(default_factory=Counter)
    throttled: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def sent(self, endpoint: str) -> None:
        """Count a request."""
        with self._lock:
            self.requests[endpoint] += 1

    def waited(self, endpoint: str, seconds: float) -> None:
        """Add a wait."""
        with self._lock:
            self.throttled[endpoint] = self.throttled.get(endpoint, 0.0) + seconds


class Session:
    """Talks to the API of one cluster. For one thread at a time."""

    def __init__(self, cluster: Cluster, network: Network, usage: Usage) -> None:
        self.usage = usage
        self._cluster = cluster
        self._network = network
        self._host = urlsplit(cluster.url).netloc
        self._until = self._bytes_left = float("inf")
        self._headers = {
            "User-Agent": f"milvus-import-monitor/{version('milvus-import-monitor')}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip, deflate",
            "Connection": "keep-alive",
        }
        key = cluster.api_key.get_secret_value()
        self._masking = SecretMask({*cluster.secrets(), *passwords_in(os.environ)})
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._bucket = key or cluster.url
        self._settings = _settings(cluster)
        self._connect = min(cluster.timeout, CONNECT_LIMIT)
        self._timeout = urllib3.Timeout(connect=self._connect, read=cluster.timeout, total=cluster.timeout)
        self._requests: dict[tuple[object, ...], _Request] = {}

    def begin(self) -> None:
        """Begin a poll: from here its time is running, and its bytes are counted."""
        self._until = self._network.clock() + POLL_LIMIT * self._cluster.timeout
        self._bytes_left = POLL_BYTES

    def call(
        self,
        endpoint: str,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        check: Callable[[Any], Made],
        kept: Kept[Made] | None = None,
    ) -> Made:
        """Send a request until it is answered or its error is not of a passing kind.

        The import API is only read from, so a POST may be sent again.

        Args:
            endpoint: ``list`` or ``describe``: the name under which its rate is limited and counted.
            method: GET or POST.
            path: Path below the cluster's URL.
            body: JSON body.
            query: Query parameters.
            headers: Headers beside the usual ones.
            check: Gets the decoded body and returns what is wanted of it, or raises an ``ApiError``.
            kept: What was made of the last answer; an answer that is the same again is not even decoded.

        Raises:
            ApiError: What went wrong, after the last attempt.
            StoppedError: The monitor is stopping.
        """
        try:
            request = self._ready(method, path, body, query or {}, headers or {})
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return self._once(endpoint, request, check, kept)
                except ApiError as error:
                    if attempt == ATTEMPTS or not _passing(error):
                        raise
                    self._wait(endpoint, attempt, error)
            raise AssertionError("the last attempt returns or raises")
        except ApiError as error:
            error.hide(self._masking)
            raise

    def _ready(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str],
        headers: Mapping[str, str],
    ) -> _Request:
        """Return a request that is ready to be sent; those of a list are the same at every poll, and kept."""
        content = None if body is None else msgspec.json.encode(body)
        key = (method, path, content, *query.items(), *headers.items())
        known = self._requests.get(key)
        if known is not None:
            return known
        try:
            url = requests.Request(method, self._cluster.url + path, params=query).prepare().url or ""
            pool, target = self._network.adapter.pool_and_target(url, **self._settings)
        except FAULTS as error:
            raise self._plain(error) from None
        kind = {} if content is None else {"Content-Type": "application/json"}
        # Milvus compares bytes, with a password that was set as UTF-8; left to themselves, headers are Latin-1.
        words = self._headers | kind | dict(headers)
        said = ReadyHeaders({name: value.encode() for name, value in words.items()})
        request = _Request(pool, method, target, content, said)
        if len(self._requests) >= REQUESTS_KEPT:
            self._requests.clear()
        self._requests[key] = request
        return request

    def _once(self, endpoint: str, request: _Request, check: Callable[[Any], Made], kept: Kept[Made] | None) -> Made:
        self._take_a_place(endpoint)
        self.usage.sent(endpoint)
        try:
            response = request.send(self._timeout, self._bytes_left)
            content = response if isinstance(response, bytes) else self._body(response)
        except FAULTS as error:
            raise self._plain(error) from None
        self._bytes_left -= len(content)
        if not isinstance(response, bytes) and response.status not in _SUCCESS:
            for name, value in list(response.headers.items()):
                response.headers[name] = self._masking.text(value)
            masked = self._masking.content(content)
            raise refusal(response.status, response.headers, masked, self._host, self._cluster.api)

        def make(content: bytes | bytearray) -> Made:
            return check(decoded(content, self._host, self._masking, is_list=kept is not None))

        return make(content) if kept is None else kept.made_of(content, make)

    def _body(self, response: urllib3.BaseHTTPResponse) -> bytes | bytearray:
        try:
            return read(response, self._host, self._bytes_left)
        finally:
            response.close()  # where something of it was not read, the connection ends as well
            response.release_conn()

    def _plain(self, error: BaseException) -> ApiError:
        return plain_error(error, self._host, self._connect, self._cluster.timeout)

    def _take_a_place(self, endpoint: str) -> None:
        """Wait for our place in the rate limit, unless the monitor stops or the poll's time is up."""
        network = self._network
        left = self._until - network.clock()
        if left <= 0:
            raise ApiTimeoutError(f"{self._host}: the poll took longer than {POLL_LIMIT} timeouts")
        longest = min(left, self._cluster.timeout)
        wait = network.limiter.reserve((self._bucket, endpoint), self._cluster.requests_per_second, longest)
        if wait > 0:
            self.usage.waited(endpoint, wait)
        if network.stopping.wait(wait) if wait > 0 else network.stopping.is_set():
            raise StoppedError

    def _wait(self, endpoint: str, attempt: int, error: ApiError) -> None:
        """Wait for the next attempt: as long as the server asks for, and a random backoff that doubles."""
        pause = random.uniform(0.0, min(BACKOFF * 2**attempt, BACKOFF_LIMIT))
        if isinstance(error, ThrottledError):
            pause += error.retry_after or 0.0
            self.usage.waited(endpoint, pause)
        if self._network.stopping.wait(pause):
            raise StoppedError


def _settings(cluster: Cluster) -> dict[str, Any]:
    """Proxies and certificates of a cluster's requests, the environment's included."""
    tls = cluster.tls
    verify: bool | str = str(tls.ca_file) if tls.ca_file else not tls.insecure_skip_verify
    if not verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    cert: str | tuple[str, str] | None = str(tls.cert_file) if tls.cert_file else None
    if tls.cert_file and tls.key_file:
        cert = (str(tls.cert_file), str(tls.key_file))
    with requests.Session() as session:
        merged = session.merge_environment_settings(cluster.url, {}, True, verify, cert)
    return {name: merged[name] for name in ("proxies", "verify", "cert")}


def _passing(error: BaseException) -> bool:
    """Say whether an error is of a passing kind, worth another attempt within this poll."""
    if isinstance(error, ThrottledError):
        return error.retry_after is None or error.retry_after <= RETRY_AFTER_LIMIT
    return isinstance(error, TransientError | ApiConnectionError)
