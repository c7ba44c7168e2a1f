"""What the polls of one cluster have counted since the monitor started."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from monitor.jobs import TERMINAL, JobState, Place, Transition
from monitor.metrics.samples import Line, line

DURATION_BUCKETS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
"""Seconds: an import runs for minutes or hours."""

COLLECTIONS_LIMIT: Final = 10_000
"""Collections of one cluster whose finished jobs are counted."""

_ENDPOINTS: Final = ("list", "describe")
_FINISHED: Final = tuple(state.value for state in (JobState.COMPLETED, JobState.FAILED, JobState.VANISHED))


class Histogram:
    """How long jobs took, in ``DURATION_BUCKETS``."""

    def __init__(self) -> None:
        self._counts = [0] * (len(DURATION_BUCKETS) + 1)
        self._sum = 0.0
        self._lines: list[Line] = []

    def observe(self, seconds: float) -> None:
        """Add a duration; where the clock went back, it counts as 0, for a sum must not shrink."""
        seconds = max(seconds, 0.0)
        self._counts[bisect_left(DURATION_BUCKETS, seconds)] += 1
        self._sum += seconds
        self._lines = []

    def lines(self, family: str, who: str) -> list[Line]:
        """Return the lines, with the labels ``who``, which are always the same."""
        if not self._lines:
            counts = zip((*DURATION_BUCKETS, "+Inf"), accumulate(self._counts), strict=True)
            self._lines = [
                *(line(family, f'{who},le="{bound}"', count, "_bucket") for bound, count in counts),
                line(family, who, sum(self._counts), "_count"),
                line(family, who, self._sum, "_sum"),
            ]
        return self._lines


class Counts:
    """The counters and the histogram of one cluster.

    Args:
        failure_kinds: Every kind of failure of a poll; each is exported from the start.
    """

    def __init__(self, failure_kinds: Iterable[str]) -> None:
        self.polls = 0
        self.missed = 0
        self.bad_records = 0
        self.failures = Counter(dict.fromkeys(failure_kinds, 0))
        self._requests: dict[str, float] = dict.fromkeys(_ENDPOINTS, 0)
        self._throttled: dict[str, float] = dict.fromkeys(_ENDPOINTS, 0.0)
        self._finished: dict[tuple[str, str], Counter[str]] = {}
        self._transitions: Counter[tuple[str, str]] = Counter()
        self._durations: dict[str, Histogram] = {}

    def count(self, transitions: Iterable[Transition]) -> None:
        """Count what happened in a poll."""
        for step in transitions:
            from_state = "new" if step.from_state is None else step.from_state.value
            self._transitions[from_state, step.to_state.value] += 1
            if step.to_state not in TERMINAL:
                continue
            self._know(step.database, step.collection)
            if (step.database, step.collection) in self._finished:
                self._finished[step.database, step.collection][step.to_state.value] += 1
            if step.from_state is not None and step.from_state not in TERMINAL:
                self._durations.setdefault(step.to_state.value, Histogram()).observe(step.duration)

    def know(self, places: Iterable[Place]) -> None:
        """Make collections known, so that their counters begin at 0."""
        for database, collection in places:
            self._know(database, collection)

    def used(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Take over what the cluster's session has counted so far."""
        self._requests.update(requests)
        self._throttled.update(throttled)

    def _know(self, database: str, collection: str) -> None:
        if (database, collection) not in self._finished and len(self._finished) < COLLECTIONS_LIMIT:
            self._finished[database, collection] = Counter(dict.fromkeys(_FINISHED, 0))

    def rare(self, who: str) -> Iterator[Line]:
        """Return the lines of what most polls do not change, for the cluster with these labels; not of collections."""
        yield line("polls_missed_total", who, self.missed)
        yield line("bad_records_total", who, self.bad_records)
        for kind, count in self.failures.items():
            yield line("poll_failures_total", f'{who},reason="{kind}"', count)
        for (from_state, to_state), count in self._transitions.items():
            yield line("job_transitions_total", f'{who},from_state="{from_state}",to_state="{to_state}"', count)

    def durations(self, who: str) -> Iterator[Line]:
        """Return the lines of the histograms, for the cluster with these labels."""
        for state, histogram in self._durations.items():
            yield from histogram.lines("job_duration_seconds", f'{who},state="{state}"')

    def steady(self, who: str) -> Iterator[Line]:
        """Return the lines of what every poll changes, for the cluster with these labels."""
        yield line("polls_total", who, self.polls)
        for endpoint, requests in self._requests.items():
            yield line("api_requests_total", f'{who},endpoint="{endpoint}"', requests)
        for endpoint, seconds in self._throttled.items():
            yield line("api_throttled_seconds_total", f'{who},endpoint="{endpoint}"', seconds)

    def of_collections(self) -> Iterator[tuple[str, str, Counter[str]]]:
        """Return the finished jobs of each collection: database, collection, number by state."""
        for (database, collection), states in self._finished.items():
            yield database, collection, states
