"""Requests to the API of one cluster: deadlines, retries, the rate limit, and limits on what an answer may cost."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from threading import Event, Lock
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter

from monitor.client import decoding
from monitor.client.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    BadResponseError,
    StoppedError,
    ThrottledError,
    TransientError,
)
from monitor.client.network_errors import NETWORK_ERRORS, translate_error
from monitor.client.rate_limit import RateLimiter
from monitor.client.transport import BODY_LIMIT, bound_answers
from monitor.config import Cluster
from monitor.redaction import SecretMask, passwords_in

ATTEMPTS: Final = 3
"""How often one request is sent while its error is temporary."""

RETRY_AFTER_LIMIT: Final = 5.0
"""Seconds of a ``Retry-After`` that are waited out in a poll; a longer one delays the next poll."""

CONNECT_LIMIT: Final = 5.0
"""Seconds for a connection, where the timeout is not shorter."""

POLL_LIMIT: Final = 12
"""Timeouts that a whole poll may take; what is not there by then is given up."""

BACKOFF: Final = 0.1
BACKOFF_LIMIT: Final = 2.0
"""Seconds: a failed attempt waits up to so long for the next one, first twice ``BACKOFF``, then doubled each time."""

POLL_BYTES: Final = 2 * BODY_LIMIT
"""Bytes of all answers of a poll together, decompressed. What stays of a list may take four times as many in memory:
one character beyond the basic plane makes every other one of its text as wide."""

_HOSTS: Final = 20_000
_SUCCESS: Final = range(200, 300)

Result = TypeVar("Result")


class Network:
    """What the sessions of all clusters share: connections, rate limits, and the signal to stop.

    Args:
        connections: Connections that stay open for each host: as many as polls can run at a time.
        clock: Monotonic seconds.
    """

    def __init__(self, connections: int = 32, clock: Callable[[], float] = time.monotonic) -> None:
        self.limiter = RateLimiter(clock)
        self.stopping = Event()
        self.clock = clock
        self.adapter = HTTPAdapter(pool_connections=_HOSTS, pool_maxsize=connections)

    def stop(self) -> None:
        """Cut every wait short; requests on the wire end with their timeout."""
        self.stopping.set()

    def close(self) -> None:
        """Close the open connections."""
        self.adapter.close()


@dataclass(slots=True)
class Usage:
    """What was requested of a cluster so far, by endpoint: by its polls, and for its pages meanwhile.

    Attributes:
        requests: Requests sent, each attempt counted.
        throttled: Seconds waited because of our own rate limit or of a ``Retry-After``.
    """

    requests: Counter[str] = field(default_factory=Counter)
    throttled: dict[str, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def count_request(self, endpoint: str) -> None:
        """Count a request."""
        with self._lock:
            self.requests[endpoint] += 1

    def count_wait(self, endpoint: str, seconds: float) -> None:
        """Add a wait."""
        with self._lock:
            self.throttled[endpoint] = self.throttled.get(endpoint, 0.0) + seconds


class Session:
    """Sends requests to one cluster. For one thread at a time."""

    def __init__(self, cluster: Cluster, network: Network, usage: Usage) -> None:
        self.usage = usage
        self._cluster = cluster
        self._network = network
        self._host = urlsplit(cluster.url).netloc
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
        self._rate_key = key or cluster.url
        self._connect = min(cluster.timeout, CONNECT_LIMIT)
        self._timeout = urllib3.Timeout(connect=self._connect, read=cluster.timeout, total=cluster.timeout)
        self.begin_poll()  # a session may be used at once, for one page

    def begin_poll(self) -> None:
        """Begin a poll: its time and its bytes are counted from here."""
        self._until = self._network.clock() + POLL_LIMIT * self._cluster.timeout
        self._bytes_left = POLL_BYTES

    def call(
        self,
        endpoint: str,
        method: str,
        path: str,
        *,
        parse: Callable[[bytes], Result],
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Result:
        """Send a request until it is answered or its error is not temporary; a POST only reads, and may be sent again.

        Args:
            endpoint: ``list`` or ``describe``: the name under which its rate is limited and counted.
            method: GET or POST.
            path: Path below the cluster's URL.
            parse: Returns the result of a body, or raises an ``ApiError``.
            body: JSON body.
            query: Query parameters.
            headers: Headers to add to the usual ones.
        """
        content = None if body is None else msgspec.json.encode(body)
        words = {**self._headers, **({} if body is None else {"Content-Type": "application/json"}), **(headers or {})}
        # Milvus compares bytes, with a password that was set as UTF-8; left to themselves, headers are Latin-1.
        encoded = {name: value.encode() for name, value in words.items()}
        target = f"{path}?{urlencode(query)}" if query else path
        attempt = 1
        while True:
            try:
                return parse(self._send(endpoint, method, target, content, encoded))
            except ApiError as error:
                if attempt == ATTEMPTS or not _is_temporary(error):
                    error.hide(self._masking)
                    raise
                self._wait(endpoint, attempt, error)
                attempt += 1

    def decode(self, content: bytes) -> Any:
        """Return a body's JSON, its secrets masked; raise ``BadResponseError`` where it is none."""
        return decoding.decode(content, self._host, self._masking)

    def decode_typed(self, content: bytes, decoder: msgspec.json.Decoder[Result]) -> Result | None:
        """Return a body in the decoder's type; None where it does not fit, or where a secret may be in it."""
        return decoding.decode_typed(content, self._host, decoder, self._masking)

    def _send(
        self, endpoint: str, method: str, target: str, content: bytes | None, headers: Mapping[str, bytes]
    ) -> bytes:
        """Send a request once and return the body of a success."""
        self._wait_for_slot(endpoint)
        self.usage.count_request(endpoint)
        try:
            pool, base = self._pool
            response = pool.urlopen(
                method,
                base + target,
                body=content,
                headers=headers,  # type: ignore[arg-type]  # bytes are sent as they are
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout,
                preload_content=False,
                decode_content=False,
            )
            try:
                answer = response.read(decode_content=False)
            finally:
                response.close()  # where something was not read, the connection ends as well
                response.release_conn()
            answer = decoding.decompress(answer, response.headers.get("Content-Encoding", ""))
        except NETWORK_ERRORS as error:
            raise translate_error(error, self._host, self._connect, self._cluster.timeout) from None
        self._bytes_left -= len(answer)
        if self._bytes_left < 0:
            raise BadResponseError(f"{self._host}: the answers of one poll are too large together")
        if response.status not in _SUCCESS:
            for name, value in list(response.headers.items()):
                response.headers[name] = self._masking.text(value)
            masked = self._masking.content(answer)
            raise decoding.refusal(response.status, response.headers, masked, self._host, self._cluster.api)
        return answer

    @cached_property
    def _pool(self) -> tuple[urllib3.HTTPConnectionPool, str]:
        """The cluster's connections, and what its paths begin with: through an HTTP proxy, the whole URL."""
        adapter, url = self._network.adapter, self._cluster.url
        proxies, verify, cert = _network_settings(self._cluster)
        request = requests.Request("GET", url).prepare()
        pool: Any = adapter.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        bound_answers(pool)
        adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
        return pool, adapter.request_url(request, proxies).rstrip("/")

    def _wait_for_slot(self, endpoint: str) -> None:
        """Wait for a slot of the rate limit, unless the monitor stops or the poll's time is up."""
        network = self._network
        left = self._until - network.clock()
        if left <= 0:
            raise ApiTimeoutError(f"{self._host}: the poll took longer than {POLL_LIMIT} timeouts")
        longest = min(left, self._cluster.timeout)
        wait = network.limiter.reserve((self._rate_key, endpoint), self._cluster.requests_per_second, longest)
        if wait > 0:
            self.usage.count_wait(endpoint, wait)
        if network.stopping.wait(wait) if wait > 0 else network.stopping.is_set():
            raise StoppedError

    def _wait(self, endpoint: str, attempt: int, error: ApiError) -> None:
        """Wait for the next attempt: as long as the server asks for, and a random backoff that doubles."""
        pause = random.uniform(0.0, min(BACKOFF * 2**attempt, BACKOFF_LIMIT))
        if isinstance(error, ThrottledError):
            pause += error.retry_after or 0.0
            self.usage.count_wait(endpoint, pause)
        if self._network.stopping.wait(pause):
            raise StoppedError


def _network_settings(cluster: Cluster) -> tuple[Any, ...]:
    """Return the proxies and certificates of a cluster's requests, the environment's included."""
    tls = cluster.tls
    verify: bool | str = str(tls.ca_file) if tls.ca_file else not tls.insecure_skip_verify
    if not verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    cert: str | tuple[str, str] | None = str(tls.cert_file) if tls.cert_file else None
    if tls.cert_file and tls.key_file:
        cert = (str(tls.cert_file), str(tls.key_file))
    with requests.Session() as session:
        settings = session.merge_environment_settings(cluster.url, {}, True, verify, cert)
    return settings["proxies"], settings["verify"], settings["cert"]


def _is_temporary(error: ApiError) -> bool:
    """Say whether another attempt in this poll may succeed."""
    if isinstance(error, ThrottledError):
        return error.retry_after is None or error.retry_after <= RETRY_AFTER_LIMIT
    return isinstance(error, TransientError | ApiConnectionError)
