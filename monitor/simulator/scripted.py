"""What clusters and the account API have in common: requests are counted, and troubles are scripted."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from monitor.simulator.troubles import Trouble


@dataclass
class _ScheduledTrouble:
    trouble: "Trouble"
    endpoint: str | None
    times: int | None
    until: float | None

    def lasts(self, now: float) -> bool:
        return self.times != 0 and (self.until is None or now < self.until)


@dataclass(eq=False, kw_only=True)
class Scripted:
    """A server with endpoints, whose troubles are scripted. All methods are thread-safe."""

    clock: Callable[[], float]
    lock: threading.Condition = field(default_factory=threading.Condition)  # notified of every request
    requests: Counter[str] = field(default_factory=Counter)  # how many requests each endpoint has received
    _troubles: list[_ScheduledTrouble] = field(default_factory=list)

    def trouble(
        self, trouble: "Trouble", *, endpoint: str | None = None, times: int | None = None, seconds: float | None = None
    ) -> None:
        """Queue a trouble, which starts when those before it have ended.

        It lasts for a number of requests or seconds, by default without end, and concerns one endpoint (such as
        `list`), by default that of the trouble, or all.
        """
        with self.lock:
            until = None if seconds is None else self.clock() + seconds
            self._troubles.append(_ScheduledTrouble(trouble, endpoint or trouble.endpoint, times, until))

    def recover(self) -> None:
        """End all troubles."""
        with self.lock:
            self._troubles.clear()

    def record_request(self, endpoint: str) -> "Trouble | None":
        """Count a request, and return what goes wrong with it."""
        with self.lock:
            self.requests[endpoint] += 1
            self.lock.notify_all()
            self._troubles = [scheduled for scheduled in self._troubles if scheduled.lasts(self.clock())]
            for scheduled in self._troubles:
                if scheduled.endpoint in (None, endpoint):
                    if scheduled.times is not None:
                        scheduled.times -= 1
                    return scheduled.trouble
            return None
