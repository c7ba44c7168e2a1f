"""Requests to the API of one cluster: deadlines, retries, the rate limit, and limits on what a response may cost."""

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import version
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from requests.adapters import HTTPAdapter

from monitor.causes import in_words
from monitor.client.decoding import Body, decompress, refusal
from monitor.client.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    BadResponseError,
    RateLimitError,
    StoppedError,
    ThrottledError,
    TlsError,
    TransientError,
)
from monitor.client.rate_limit import RateLimiter
from monitor.client.records import text
from monitor.client.response import BODY_LIMIT
from monitor.client.transport import NETWORK_ERRORS, bound_answers, translate_error
from monitor.redaction import SecretMask, passwords_in

if TYPE_CHECKING:
    from monitor.client.account import Account
    from monitor.config import Cluster

ATTEMPTS: Final = 3
"""How often one request is sent while its error is temporary."""

RETRY_AFTER_LIMIT: Final = 5.0
"""Seconds of a ``Retry-After`` that are waited out in a poll; a longer one delays the next poll."""

CONNECT_LIMIT: Final = 5.0
"""Seconds for a connection, where the timeout is not shorter."""

POLL_LIMIT: Final = 12
"""Timeouts that a whole poll may take; what is not there by then is given up."""

BACKOFF: Final = 0.2
"""Seconds that the second attempt of a request waits at most; the third waits up to twice as long."""

POLL_BYTES: Final = 2 * BODY_LIMIT
"""Bytes of all responses of a poll together, decompressed. What stays of a list may take four times as many in memory:
one character beyond the basic plane makes every other one of its text as wide."""

_HEADERS: Final[dict[str, bytes]] = {
    "User-Agent": f"milvus-import-monitor/{version('milvus-import-monitor')}".encode(),
    "Accept": b"application/json",
    "Accept-Encoding": b"gzip",
    "Content-Type": b"application/json",
}

_HOSTS: Final = 20_000
_SUCCESS: Final = range(200, 300)

Result = TypeVar("Result")


class Network:
    """What the sessions of all clusters share: connections, rate limits, secrets of proxies, and the signal to stop.

    As many connections stay open for each host as polls can run at a time; the clock gives monotonic seconds.
    """

    def __init__(
        self, connections: int = 32, clock: Callable[[], float] = time.monotonic, backoff: float = BACKOFF
    ) -> None:
        self.clock = clock
        self.backoff = backoff
        self.limiter = RateLimiter(clock)
        self.stopping = Event()
        self.adapter = HTTPAdapter(pool_connections=_HOSTS, pool_maxsize=connections)
        self.proxy_passwords = passwords_in(os.environ)

    def stop(self) -> None:
        """Cut every wait short; requests on the wire end with their timeout."""
        self.stopping.set()

    def close(self) -> None:
        """Close the open connections."""
        self.adapter.close()


class Usage:
    """What was requested of a cluster so far, by endpoint: by its polls, and for its pages meanwhile.

    Attributes:
        requests: Requests sent, each attempt counted.
        throttled: Seconds waited because of our own rate limit or of a ``Retry-After``.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.throttled: defaultdict[str, float] = defaultdict(float)
        self.lock = Lock()


class Session:
    """Sends requests to one cluster, or to the account API of a key. For one thread at a time.

    Attributes:
        throttled: Seconds of this poll so far that were spent waiting for a rate limit, ours or the server's.
    """

    def __init__(self, cluster: "Cluster | Account", network: Network, usage: Usage) -> None:
        self.usage = usage
        self._cluster = cluster
        self._network = network
        self._host = urlsplit(cluster.url).netloc
        self._masking = SecretMask({*cluster.secrets(), *network.proxy_passwords})
        key = cluster.api_key.get_secret_value()
        self._rate_key = cluster.rate_key()
        # Milvus compares bytes, with a password that was set as UTF-8; left to themselves, headers are Latin-1.
        self._headers = {**_HEADERS, "Authorization": f"Bearer {key}".encode()} if key else _HEADERS
        self._connect = min(cluster.timeout, CONNECT_LIMIT)
        self._timeout = urllib3.Timeout(connect=self._connect, read=cluster.timeout, total=cluster.timeout)
        self.begin_poll()  # a session may be used at once, for one page

    def begin_poll(self) -> None:
        """Begin a poll: its time and its bytes are counted from here."""
        self._until = self._network.clock() + POLL_LIMIT * self._cluster.timeout
        self._bytes_left = POLL_BYTES
        self.throttled = 0.0

    def now(self) -> float:
        """Return the time in monotonic seconds."""
        return self._network.clock()

    def at(self, cluster: "Cluster") -> "Session":
        """Return a session with the cluster at another address, counted with this one, in what time is left."""
        session = Session(cluster, self._network, self.usage)
        session._until = self._until
        return session

    def call(
        self,
        endpoint: str,
        method: str,
        path: str,
        parse: Callable[[Body], Result],
        body: Mapping[str, Any] | None = None,
        database: str = "",
    ) -> Result:
        """Send a request until it is answered or its error is not temporary; a POST only reads, and may be sent again.

        ``endpoint``, such as ``list``, is the name under which its rate is limited and counted, ``database`` is
        sent as ``DB-Name``, and ``parse`` returns the result of a response or raises an ``ApiError``.
        """
        content = None if body is None else msgspec.json.encode(body)
        headers = self._headers | {"DB-Name": database.encode()} if database else self._headers
        attempt = 1
        while True:
            try:
                return parse(self._send(endpoint, method, path, content, headers))
            except ApiError as error:
                if isinstance(error, ThrottledError) and not isinstance(error, RateLimitError):
                    self._network.limiter.lower((self._rate_key, endpoint), error.retry_after)
                if attempt == ATTEMPTS or not _is_temporary(error):
                    error.hide(self._masking)
                    raise
                pause = random.uniform(0.0, self._network.backoff * attempt) + (error.retry_after or 0.0)
                self._wait(endpoint, pause, throttled=isinstance(error, ThrottledError))
                attempt += 1

    def _send(self, endpoint: str, method: str, path: str, content: bytes | None, headers: Mapping[str, bytes]) -> Body:
        """Send a request once and return the body of a success."""
        self._wait_for_slot(endpoint)
        with self.usage.lock:
            self.usage.requests[endpoint] += 1
        try:
            pool, base = self._pool
            response = pool.urlopen(
                method,
                base + path,
                body=content,
                headers=headers,  # type: ignore[arg-type]  # bytes are sent as they are
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=self._timeout,
                decode_content=False,
            )
            compressed, response.data = response.data, b""  # type: ignore[misc]  # its connection keeps the last response
            decompressed = decompress(compressed, response.headers.get("Content-Encoding", ""))
        except NETWORK_ERRORS as error:
            raise translate_error(error, self._host, self._connect, self._cluster.timeout, self._masking) from None
        self._bytes_left -= len(decompressed)
        if self._bytes_left < 0:
            raise BadResponseError(f"{self._host}: the responses of one poll are too large together")
        received = Body(decompressed, self._host, self._masking)
        if response.status not in _SUCCESS:
            raise refusal(response.status, response.headers, received, self._cluster.api)
        return received

    @cached_property
    def _pool(self) -> tuple[urllib3.HTTPConnectionPool, str]:
        """The cluster's connections, and what its paths begin with: through an HTTP proxy, the whole URL."""
        adapter, url, tls = self._network.adapter, self._cluster.url, self._cluster.tls
        verify: bool | str = str(tls.ca_file) if tls.ca_file else not tls.insecure_skip_verify
        if not verify:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        cert: Any = None
        if tls.cert_file:
            cert = (str(tls.cert_file), str(tls.key_file)) if tls.key_file else str(tls.cert_file)
        with requests.Session() as session:
            settings: Any = session.merge_environment_settings(url, {}, True, verify, cert)
        proxies, verify = settings["proxies"], settings["verify"]
        if verify is True:
            verify = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or True
        request = requests.Request("GET", url).prepare()
        try:
            pool: Any = adapter.get_connection_with_tls_context(request, verify, proxies=proxies, cert=cert)
        except (ValueError, urllib3.exceptions.HTTPError) as error:  # the cluster's own URL was checked with the config
            message = f"the proxy in the environment cannot be used: {text(in_words(error))}"
            raise ApiConnectionError(f"{self._host}: {message}") from None
        bound_answers(pool)
        try:
            adapter.cert_verify(pool, url, verify, cert)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise TlsError(f"{self._host}: {text(in_words(error))}") from None
        return pool, adapter.request_url(request, proxies).rstrip("/")

    def _wait_for_slot(self, endpoint: str) -> None:
        """Wait for a slot of the rate limit, unless the monitor stops or the poll's time is up."""
        remaining = self._until - self._network.clock()
        if remaining <= 0:
            raise ApiTimeoutError(f"{self._host}: the poll took longer than {POLL_LIMIT} timeouts")
        longest = min(remaining, self._cluster.timeout)
        key, rate = (self._rate_key, endpoint), self._cluster.requests_per_second
        self._wait(endpoint, self._network.limiter.reserve(key, rate, longest), throttled=True)

    def _wait(self, endpoint: str, seconds: float, *, throttled: bool) -> None:
        if throttled and seconds > 0:
            self.throttled += seconds
            with self.usage.lock:
                self.usage.throttled[endpoint] += seconds
        if self._network.stopping.wait(seconds) if seconds > 0 else self._network.stopping.is_set():
            raise StoppedError


def _is_temporary(error: ApiError) -> bool:
    """Return whether another attempt in this poll may succeed."""
    may_pass = isinstance(error, TransientError | ThrottledError | ApiConnectionError)
    return may_pass and (error.retry_after or 0.0) <= RETRY_AFTER_LIMIT
