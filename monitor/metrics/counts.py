"""What the polls of one cluster have counted since the monitor started."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final

from monitor.jobs import TERMINAL, JobState, Place, Transition
from monitor.metrics.samples import Counted, encoded

DURATION_BUCKETS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0, 86400.0)
"""Seconds: an import runs for minutes or hours."""

COLLECTIONS_LIMIT: Final = 10_000
"""Collections of one cluster whose finished jobs are counted."""

_ENDPOINTS: Final = ("list", "describe")
_ENDS: Final = (JobState.COMPLETED.value, JobState.FAILED.value, JobState.VANISHED.value)


class Histogram:
    """How long jobs took, in ``DURATION_BUCKETS``."""

    def __init__(self) -> None:
        self._counts = [0] * (len(DURATION_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Add a duration; where the clock went back, it counts as 0, for a sum must not shrink."""
        seconds = max(seconds, 0.0)
        self._counts[bisect_left(DURATION_BUCKETS, seconds)] += 1
        self._sum += seconds

    def text(self, name: str, label_text: str) -> str:
        """Return its lines."""
        counts = zip((*DURATION_BUCKETS, "+Inf"), accumulate(self._counts), strict=True)
        return "".join(
            [
                *[f'{name}_bucket{{{label_text},le="{bound}"}} {count}\n' for bound, count in counts],
                f"{name}_count{{{label_text}}} {sum(self._counts)}\n",
                f"{name}_sum{{{label_text}}} {self._sum!r}\n",
            ]
        )


class Counts:
    """The counters and the histograms of one cluster; what most polls do not change is kept as text.

    Args:
        who: The cluster's label.
        failure_kinds: Every kind of failure of a poll; each is exported from the start.

    Attributes:
        polls: Polls.
        missed: Polls that did not run.
        bad_records: Records of lists that were no jobs.
        finished: How many jobs have finished, by database, collection and state; those of a collection are together.
            It does not change: another one takes its place.
        failures: The lines of failed polls.
        transitions: The lines of transitions.
        durations: The lines of the histograms.
        throttled: The lines of waits.
    """

    def __init__(self, who: str, failure_kinds: Iterable[str]) -> None:
        self.polls = 0
        self.missed = 0
        self.bad_records = 0
        self.finished: Mapping[Counted, int] = {}
        self.transitions = self.durations = b""
        self._who = who
        self._failures = Counter(dict.fromkeys(failure_kinds, 0))
        self._requests: dict[str, float] = dict.fromkeys(_ENDPOINTS, 0)
        self._throttled: dict[str, float] = dict.fromkeys(_ENDPOINTS, 0.0)
        self._transitions: Counter[tuple[str, str]] = Counter()
        self._durations: dict[str, Histogram] = {}
        self.failures = self._lines("poll_failures_total", "reason", self._failures)
        self.throttled = self._lines("api_throttled_seconds_total", "endpoint", self._throttled)

    def fail(self, kind: str) -> None:
        """Count a failed poll."""
        self._failures[kind] += 1
        self.failures = self._lines("poll_failures_total", "reason", self._failures)

    def count(self, transitions: Sequence[Transition]) -> None:
        """Count what happened in a poll."""
        if not transitions:
            return
        self._transitions.update(
            [("new" if step.from_state is None else step.from_state.value, step.to_state.value) for step in transitions]
        )
        self.transitions = encoded(
            "".join(
                [
                    f"milvus_import_job_transitions_total"
                    f'{{{self._who},from_state="{from_state}",to_state="{to_state}"}} {count}\n'
                    for (from_state, to_state), count in self._transitions.items()
                ]
            )
        )
        ended = [step for step in transitions if step.to_state in TERMINAL]
        if ended:
            self._count_ended(ended)

    def _count_ended(self, transitions: Sequence[Transition]) -> None:
        self.know([(step.database, step.collection) for step in transitions])
        finished = self.finished = dict(self.finished)
        for step in transitions:
            state = step.to_state.value
            counted = step.database, step.collection, state
            if counted in finished:
                finished[counted] += 1
            if step.from_state is not None and step.from_state not in TERMINAL:
                self._durations.setdefault(state, Histogram()).observe(step.duration)
        self.durations = encoded(
            "".join(
                [
                    histogram.text("milvus_import_job_duration_seconds", f'{self._who},state="{state}"')
                    for state, histogram in self._durations.items()
                ]
            )
        )

    def know(self, places: Iterable[Place]) -> None:
        """Make collections known, so that their counters begin at 0."""
        unknown = dict.fromkeys([place for place in places if (*place, _ENDS[0]) not in self.finished])
        if unknown:
            room = COLLECTIONS_LIMIT - len(self.finished) // len(_ENDS)
            begun = {(*place, state): 0 for place in [*unknown][:room] for state in _ENDS}
            self.finished = {**self.finished, **begun}

    def used(self, requests: Mapping[str, int], throttled: Mapping[str, float]) -> None:
        """Take over what the cluster's session has counted so far."""
        self._requests.update(requests)
        if not throttled.items() <= self._throttled.items():
            self._throttled.update(throttled)
            self.throttled = self._lines("api_throttled_seconds_total", "endpoint", self._throttled)

    def requests(self) -> bytes:
        """Return the lines of requests."""
        return self._lines("api_requests_total", "endpoint", self._requests)

    def _lines(self, family: str, label: str, values: Mapping[str, float]) -> bytes:
        """Return the lines of a family that tells something by one label."""
        head = f"milvus_import_{family}{{{self._who},{label}"
        return encoded("".join([f'{head}="{of}"}} {value!r}\n' for of, value in values.items()]))
