"""A rate limit for each API key and endpoint, shared by every cluster that uses the key."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Final

from monitor.api.errors import ThrottledError

CREDIT: Final = 0.5
"""Seconds' worth of requests that may be sent at once after a pause; Zilliz Cloud allows about twice our rate."""


class RateLimiter:
    """Gives each request its place in time, first come, first served.

    A place is booked before anybody waits (the generic cell rate algorithm), so a request that would have to wait
    longer than it may is refused at once instead of holding a thread. A pause earns ``CREDIT`` seconds' worth of
    requests at once, so that no second sees more than one and a half times the rate.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._next: dict[tuple[str, str], float] = {}

    def reserve(self, key: tuple[str, str], rate: float, longest: float) -> float:
        """Book the next place and return how long to wait for it.

        Args:
            key: Who asks (the API key) and for which endpoint.
            rate: Requests a second.
            longest: The longest wait that is worth it, in seconds.

        Returns:
            Seconds to wait, 0 where the place is now.

        Raises:
            ThrottledError: The wait would be longer; nothing is booked, ``retry_after`` says how long it would be.
        """
        with self._lock:
            now = self._clock()
            at = max(self._next.get(key, 0.0), now - CREDIT)
            wait = at - now
            if wait > longest:
                message = f"our own limit of {rate:g} requests a second for this API key is used up for {wait:.1f} s"
                raise ThrottledError(message, retry_after=wait)
            self._next[key] = at + 1.0 / rate
            return max(0.0, wait)
