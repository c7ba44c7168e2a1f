"""The quota of each API key of Zilliz Cloud: requests a second for each endpoint."""

from collections import Counter
from collections.abc import Callable


class Quota:
    """Counts the requests of each key to each endpoint, second by second.

    Attributes:
        limit: Requests that are accepted in each second, or None for no limit.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.limit: int | None = None
        self._clock = clock
        self._second = 0
        self._used: Counter[tuple[str, str | None]] = Counter()

    def is_used_up(self, key: str, endpoint: str | None) -> bool:
        """Count a request, and return whether it is beyond the limit."""
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._used.clear()
        self._used[key, endpoint] += 1
        return self.limit is not None and self._used[key, endpoint] > self.limit
