"""A rate limit for each API key and endpoint, shared by every cluster that uses the key."""

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Final

import msgspec

from monitor.client.errors import RateLimitError

CREDIT: Final = 0.5
"""Seconds' worth of requests that a pause earns, to be sent at once; Zilliz Cloud allows about twice our rate."""

KEYS_LIMIT: Final = 40_000
"""API keys and endpoints remembered: two endpoints of 20,000 keys. Beyond it, those that owe no wait are forgotten."""

DECREASE: Final = 0.5
"""By what the rate is multiplied when the server answers that there are too many requests."""

LOWEST_SHARE: Final = 0.05
"""Share of the configured rate below which the rate is not lowered."""

DECREASE_PAUSE: Final = 5.0
"""Seconds from one decrease to the next: refusals of requests that were under way together count once."""

HOLD: Final = 30.0
"""Seconds for which the rate stays low before it recovers; longer where ``Retry-After`` asks for more."""

HOLD_LIMIT: Final = 600.0
"""Seconds of a ``Retry-After`` for which the rate stays low, at most."""

RECOVERY: Final = 600.0
"""Seconds in which the rate would recover from nothing to the configured one, in equal steps."""


class _Lowered(msgspec.Struct, frozen=True, gc=False):
    """The share of the rate that was left at the latest decrease, when that was, and when the recovery begins."""

    share: float
    at: float
    recovers_from: float


class RateLimiter:
    """Reserves a time slot for each request, first come, first served.

    The slot is booked before anybody waits (the generic cell rate algorithm), so a request that would have to wait for
    too long is refused at once instead of blocking a thread. No second sees more than 1 + ``CREDIT`` times the rate.

    The rate of a key and endpoint is halved when the server refuses a request because there are too many (`lower`),
    and recovers gradually. Nothing else is held back: a pause for all clusters of the key would fail their polls.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, keys_limit: int = KEYS_LIMIT) -> None:
        self._clock = clock
        self._keys_limit = keys_limit
        self._lock = Lock()
        self._next: dict[tuple[str, str], float] = {}
        self._lowered: dict[tuple[str, str], _Lowered] = {}
        self._parts: Mapping[str, float] = {}

    def divide(self, parts: Mapping[str, float]) -> None:
        """Leave API keys only these parts of their rates from now on: other monitors use the rest. Others have all."""
        self._parts = parts

    def reserve(self, key: tuple[str, str], rate: float, longest: float) -> float:
        """Book the next slot of an API key and endpoint at a rate (1/s), and return the seconds to wait for it.

        Raises ``RateLimitError``, and books nothing, where the wait would be longer than ``longest`` seconds.
        """
        with self._lock:
            now = self._clock()
            if self._parts:
                rate *= self._parts.get(key[0], 1.0)
            if self._lowered:
                rate *= self._share(key, now)
            at = max(self._next.get(key, 0.0), now - CREDIT)
            wait = at - now
            if wait > longest:
                message = f"our own limit of {rate:g} requests a second for this API key is used up for {wait:.1f} s"
                raise RateLimitError(message, retry_after=wait)
            if len(self._next) >= self._keys_limit:
                self._next = {key: slot for key, slot in self._next.items() if slot > now - CREDIT}
            self._next[key] = at + 1.0 / rate
            return max(0.0, wait)

    def lower(self, key: tuple[str, str], retry_after: float | None = None) -> None:
        """Lower the rate of an API key and endpoint for a while: the server has refused a request.

        Args:
            key: The API key and endpoint.
            retry_after: Seconds for which the server asks to wait; the rate recovers no sooner.
        """
        with self._lock:
            now = self._clock()
            share = self._share(key, now)
            lowered = self._lowered.get(key, _Lowered(1.0, now - DECREASE_PAUSE, now))
            recovers_from = max(lowered.recovers_from, now + min(max(HOLD, retry_after or 0.0), HOLD_LIMIT))
            if now - lowered.at < DECREASE_PAUSE:
                self._lowered[key] = _Lowered(lowered.share, lowered.at, recovers_from)
                return
            if len(self._lowered) >= self._keys_limit:
                self._lowered = {key: each for key, each in self._lowered.items() if _share_at(each, now) < 1.0}
            self._lowered[key] = _Lowered(max(LOWEST_SHARE, share * DECREASE), now, recovers_from)

    def share(self, key: tuple[str, str]) -> float:
        """Return the share of the configured rate that an API key and endpoint has now: 1 where it was not lowered."""
        if not self._lowered:
            return 1.0
        with self._lock:
            return self._share(key, self._clock())

    def _share(self, key: tuple[str, str], now: float) -> float:
        lowered = self._lowered.get(key)
        if lowered is None:
            return 1.0
        share = _share_at(lowered, now)
        if share >= 1.0:
            del self._lowered[key]
        return share


def _share_at(lowered: _Lowered, now: float) -> float:
    return min(1.0, lowered.share + max(0.0, now - lowered.recovers_from) / RECOVERY)
