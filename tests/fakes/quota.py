"""A quota of requests, as the servers of an API key keep it: what is beyond it is answered with 429."""

import time
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus
from threading import Lock

from starlette.types import ASGIApp

from monitor.simulator import Trouble
from monitor.simulator.dialects.base import RequestContext


class Quota:
    """Accepts so many requests of an endpoint in any second; shared by every cluster that has its ``trouble``.

    Attributes:
        accepted: By endpoint, when each accepted request arrived, in monotonic seconds.
        refused: The number of refused requests.
    """

    def __init__(self, requests_per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests_per_second = requests_per_second
        self.accepted: defaultdict[str, list[float]] = defaultdict(list)
        self.refused = 0
        self.trouble = Trouble("quota", self._respond)
        self._clock = clock
        self._lock = Lock()

    def _respond(self, context: RequestContext) -> ASGIApp:
        with self._lock:
            now = self._clock()
            accepted = self.accepted[context.endpoint]
            if sum(at > now - 1.0 for at in accepted[-self.requests_per_second :]) == self.requests_per_second:
                self.refused += 1
                return context.cluster.dialect.error(429, "Too many requests", HTTPStatus.TOO_MANY_REQUESTS)
            accepted.append(now)
        return context.respond()
