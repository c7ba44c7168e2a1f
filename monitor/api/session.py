"""The exchange with an import API: in time, within the rate, repeated where that helps, and never for ever."""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from threading import Event
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import requests
import urllib3
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    sleep_using_event,
    stop_after_attempt,
    stop_when_event_set,
    wait_random_exponential,
)

from monitor.api.answers import BODY_LIMIT, decoded, read, refusal
from monitor.api.errors import (
    ApiConnectionError,
    ApiError,
    ApiTimeoutError,
    StoppedError,
    ThrottledError,
    TransientError,
)
from monitor.api.faults import plain_errors
from monitor.api.rate import RateLimiter
from monitor.api.transport import TimedAdapter
from monitor.config import Cluster, Masking, passwords_in

ATTEMPTS: Final = 3
"""How often one request is sent while its error is of a passing kind."""

RETRY_AFTER_LIMIT: Final = 5.0
"""Seconds of a ``Retry-After`` that are waited out within a poll; a longer one moves the next poll."""

CONNECT_LIMIT: Final = 5.0
"""Seconds for a connection, where the timeout is not shorter."""

POLL_LIMIT: Final = 12
"""A whole poll may take this many timeouts; what is not there by then is given up."""

POLL_BYTES: Final = 2 * BODY_LIMIT
"""Bytes of all answers of a poll together, decompressed. What is kept of a list may take four times as many in memory:
one character beyond the basic plane makes every other one of its text as wide."""

_HOSTS: Final = 20_000
_SUCCESS: Final = range(200, 300)
_backoff: Final = wait_random_exponential(multiplier=0.2, max=2.0)


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
    """What a session has done so far, by endpoint.

    Attributes:
        requests: Requests sent, each attempt counted.
        throttled: Seconds waited because of our own rate limit or of a ``Retry-After``.
    """

    requests: Counter[str] = field(default_factory=Counter)
    throttled: dict[str, float] = field(default_factory=dict)

    def waited(self, endpoint: str, seconds: float) -> None:
        """Add a wait."""
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
        self._masking = Masking({*cluster.secrets(), *passwords_in(os.environ)})
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._bucket = key or cluster.url
        self._settings = _settings(cluster)
        self._connect = min(cluster.timeout, CONNECT_LIMIT)
        self._timeout = urllib3.Timeout(connect=self._connect, read=cluster.timeout, total=cluster.timeout)
        self._retrying = Retrying(
            retry=retry_if_exception(_passing),
            stop=stop_after_attempt(ATTEMPTS) | stop_when_event_set(network.stopping),
            wait=self._wait,
            before_sleep=self._note_wait,
            sleep=sleep_using_event(network.stopping),
            reraise=True,
        )

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
        check: Callable[[Any], Any],
    ) -> Any:
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

        Raises:
            ApiError: What went wrong, after the last attempt.
            StoppedError: The monitor is stopping.
        """
        request = requests.Request(
            method,
            self._cluster.url + path,
            # Milvus compares bytes, with a password that was set as UTF-8; left to themselves, headers are Latin-1.
            headers={name: value.encode() for name, value in {**self._headers, **(headers or {})}.items()},
            params=query or {},
            data=None if body is None else msgspec.json.encode(body),
        ).prepare()
        if body is not None:
            request.headers["Content-Type"] = "application/json"
        try:
            return self._retrying(self._once, endpoint, request, check)
        except ApiError as error:
            error.hide(self._masking)
            raise

    def _once(self, endpoint: str, request: requests.PreparedRequest, check: Callable[[Any], Any]) -> Any:
        self._take_a_place(endpoint)
        self.usage.requests[endpoint] += 1
        with plain_errors(self._host, self._connect, self._cluster.timeout):
            response = self._network.adapter.send(request, stream=True, timeout=self._timeout, **self._settings)  # type: ignore[arg-type]
            try:
                content = read(response, self._host, self._bytes_left)
            finally:
                response.close()
        self._bytes_left -= len(content)
        if response.status_code not in _SUCCESS:
            for name, value in response.headers.items():
                response.headers[name] = self._masking.text(value)
            raise refusal(response, self._masking.content(content), self._host, self._cluster.api)
        return check(self._masking.answer(decoded(content, self._host, self._masking), content))

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

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt: what the server asks for, else a random backoff that doubles."""
        backoff = _backoff(state)
        error = state.outcome.exception() if state.outcome is not None else None
        if not isinstance(error, ThrottledError):
            return backoff
        return (error.retry_after or 0.0) + backoff

    def _note_wait(self, state: RetryCallState) -> None:
        """Count a wait that is about to begin, where it is the rate's fault."""
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, ThrottledError) and state.next_action is not None:
            self.usage.waited(state.args[0], state.next_action.sleep)


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
