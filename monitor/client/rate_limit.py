"""A rate limit for each API key and endpoint, shared by every cluster that uses the key."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from monitor.client.errors import ThrottledError

CREDIT: Final = 0.5
"""Seconds' worth of requests that a pause earns, to be sent at once; Zilliz Cloud allows about twice our rate."""

KEYS_LIMIT: Final = 40_000
"""API keys and endpoints remembered: two endpoints of 20,000 keys. Beyond it, those that owe no wait are forgotten."""


class RateLimiter:
    """Reserves a time slot for each request, first come, first served.

    The slot is booked before anybody waits (the generic cell rate algorithm), so a request that would have to wait for
    too long is refused at once instead of blocking a thread. No second sees more than 1 + ``CREDIT`` times the rate.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, keys_limit: int = KEYS_LIMIT) -> None:
        self._clock = clock
        self._keys_limit = keys_limit
        self._lock = Lock()
        self._next: dict[tuple[str, str], float] = {}

    def reserve(self, key: tuple[str, str], rate: float, longest: float) -> float:
        """Book the next slot of an API key and endpoint at a rate (1/s), and return the seconds to wait for it.

        Raises ``ThrottledError``, and books nothing, where the wait would be longer than ``longest`` seconds.
        """
        with self._lock:
            now = self._clock()
            at = max(self._next.get(key, 0.0), now - CREDIT)
            wait = at - now
            if wait > longest:
                message = f"our own limit of {rate:g} requests a second for this API key is used up for {wait:.1f} s"
                raise ThrottledError(message, retry_after=wait)
            if len(self._next) >= self._keys_limit:
                self._next = {key: slot for key, slot in self._next.items() if slot > now - CREDIT}
            self._next[key] = at + 1.0 / rate
            return max(0.0, wait)
