"""Every metric of a cluster: name, type, labels, help, and the function that gives its value.

A new metric is a new row in one of the tables below. All have the prefix ``milvus_import_``, the label
``milvus_cluster`` and the cluster's own labels; timestamps are rounded to milliseconds and ratios to six digits.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Generic, Literal, TypeVar

from msgspec.structs import asdict

from monitor.jobs import Job, JobState, Pace, typical_duration
from monitor.metrics.counters import (
    DURATION_BUCKETS,
    USUAL_TRANSITIONS,
    ClusterState,
    CollectionFacts,
    Histogram,
)
from monitor.metrics.expectations import ExpectationSample

Samples = Iterable[tuple[tuple[str, ...], Any]]
"""Of each sample the values of its labels beside those of cluster and collection, and a number or a histogram."""

JobValue = Callable[[Job], object]
"""Gives the value of a job, None where the job has none."""

ClusterValues = Callable[[ClusterState], Samples]

ExpectationValues = Callable[[ExpectationSample], Samples]

CollectionValues = Callable[[CollectionFacts], Samples]

Value = TypeVar("Value")

_COLLECTION: Final = ("database", "collection")
_NO_TRANSITIONS: Final = dict.fromkeys(USUAL_TRANSITIONS, 0)
_BOUNDS: Final = tuple(f'le="{bound}"' for bound in (*DURATION_BUCKETS, "+Inf"))


@dataclass(frozen=True)
class Family(Generic[Value]):
    """One metric.

    Attributes:
        type: Prometheus' type.
        name: As in a query, without the prefix ``milvus_import_``; a counter's ends in ``_total``.
        labels: The labels beside ``milvus_cluster`` and the cluster's own.
        help: One line.
        value: Gives the value.
    """

    type: Literal["gauge", "counter", "histogram"]
    name: str
    labels: tuple[str, ...]
    help: str
    value: Value

    @cached_property
    def full_name(self) -> str:
        """The name as in a query."""
        return f"milvus_import_{self.name}"

    @cached_property
    def _line(self) -> str:
        labels = "".join([f',{name}="%s"' for name in self.labels if name not in _COLLECTION])
        return f"{self.full_name}{{%s{labels}}} %s\n"

    def render(self, labels: str, samples: Samples) -> bytes:
        """Return the lines of some samples of a cluster or a collection, whose labels are rendered already."""
        if self.type == "histogram":
            text = "".join([self._render_histogram(labels, *sample) for sample in samples])
        else:
            line = self._line
            text = "".join([line % (labels, *values, value) for values, value in samples])
        return text.encode()

    @cached_property
    def _histogram(self) -> str:
        lines = [f"{self.full_name}_bucket{{@,{bound}}} %s\n" for bound in _BOUNDS]
        return f"{''.join(lines)}{self.full_name}_count{{@}} %s\n{self.full_name}_sum{{@}} %s\n"

    def _render_histogram(self, cluster_labels: str, values: tuple[str, ...], histogram: Histogram) -> str:
        counts = histogram.buckets()
        text = self._histogram % (*counts, counts[-1], histogram.sum)
        return text.replace("@", ",".join([cluster_labels, *map(label, self.labels, values)]))


def escape(value: str) -> str:
    """Return the value of a label as it stands between quotes; half a character becomes ``?``."""
    return value.encode("utf-8", "replace").decode().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def label(name: str, value: str) -> str:
    """Return a label pair."""
    return f'{name}="{escape(value)}"'


def _one(value: object) -> Samples:
    return () if value is None else (((), value),)


def _by_label(values: Mapping[str, object]) -> Samples:
    return [((key,), value) for key, value in values.items()]


def _seconds_left(paces: Iterable[Pace | None], now: float) -> list[int | None]:
    """Give whole seconds; None once a job has stood still for so long that it would be a guess."""
    second = int(now)
    return [None if pace is None or now > pace.valid_until else int(pace.done_at) - second for pace in paces]


def _info(state: ClusterState) -> Samples:
    """Give id, URL and API; of an on-demand cluster project and region are the id."""
    cluster = state.cluster
    cluster_id = cluster.cluster_id or "/".join(part for part in (cluster.project_id, cluster.region_id) if part)
    return [((escape(cluster_id), escape(cluster.url), cluster.api), 1)]


_COLLECTION_STATE: Final = (*_COLLECTION, "state")
_JOB: Final = (*_COLLECTION, "job_id")
_JOB_STATE: Final = (*_JOB, "state")

# fmt: off
PROGRESS_FAMILIES: Final[tuple[Family[JobValue], ...]] = (
    Family("gauge", "job_progress_ratio", _JOB, "Progress of an unfinished import job, 0 to 1.",
           lambda job: None if job.progress is None else f"{job.progress:.6g}"),
    Family("gauge", "job_last_change_timestamp_seconds", _JOB,
           "When an unfinished import job last changed its state or made progress.",
           lambda job: f"{job.last_change:.3f}"),
    Family("gauge", "job_imported_rows", _JOB, "Rows that an unfinished import job has imported.",
           lambda job: job.imported_rows),
    Family("gauge", "job_total_rows", _JOB, "Rows that an unfinished import job has in all.",
           lambda job: job.total_rows),
)
"""Of each unfinished job: rendered when the job changes."""

UNFINISHED_FAMILIES: Final[tuple[Family[JobValue], ...]] = (
    Family("gauge", "job_stalled", _JOB_STATE,
           "1 while an import job has made no progress for longer than the limit of its state.",
           lambda job: int(job.stalled)),
    Family("gauge", "job_first_seen_timestamp_seconds", _JOB, "When an unfinished import job was first seen.",
           lambda job: f"{job.first_seen:.3f}"),
)
"""Of each unfinished job: rendered when one of ``JOB_FACTS`` changes."""

TRACKED_FAMILIES: Final[tuple[Family[JobValue], ...]] = (
    Family("gauge", "job_state", _JOB_STATE,
           "1 for the current state of an unfinished import job, or of one that failed or vanished lately.",
           lambda job: None if job.state is JobState.COMPLETED else 1),
    Family("gauge", "job_failed", (*_JOB, "reason"), "1 for an import job that failed lately, with its reason.",
           lambda job: 1 if job.state is JobState.FAILED else None),
    Family("gauge", "job_incomplete", _JOB,
           "1 for an import job that lately completed with no rows, or not with all its rows.",
           lambda job: 1 if job.incomplete else None),
)
"""Of each unfinished or unsuccessful job: rendered when one of ``JOB_FACTS`` changes."""

JOB_FACTS: Final = ("state", "stalled", "first_seen", "database", "collection", "failure")
"""What the two tables above and the labels show of a job."""

JOB_ETA: Final = Family("gauge", "job_eta_seconds", _JOB,
                        "Estimated time left of an import job at its recent pace.", _seconds_left)
"""Of each unfinished job whose pace is known: rendered at each poll, for it depends on the clock."""

COLLECTION_FAMILIES: Final[tuple[Family[CollectionValues], ...]] = (
    Family("gauge", "jobs", _COLLECTION_STATE, "Import jobs in the latest list.",
           lambda facts: [((state,), count) for state, count in facts[0]]),
    Family("counter", "jobs_finished_total", _COLLECTION_STATE,
           "Import jobs that completed, failed or vanished since the monitor started.",
           lambda facts: () if facts[1] is None else _by_label(asdict(facts[1]))),
    Family("counter", "rows_total", _COLLECTION,
           "Rows of import jobs that completed since the monitor started, where the API gives them.",
           lambda facts: _one(facts[3])),
    Family("gauge", "collection_last_finished_failed", _COLLECTION,
           "1 when the collection's most recent finished import job failed, 0 when it completed.",
           lambda facts: _one(None if facts[2].last_failed is None else int(facts[2].last_failed))),
    Family("gauge", "collection_last_finished_aborted", _COLLECTION,
           "1 when it failed because a user aborted it or dropped the collection, and no other failure is open.",
           lambda facts: _one(None if facts[2].last_failed is None else int(facts[2].last_aborted))),
    Family("gauge", "collection_last_completed_timestamp_seconds", _COLLECTION,
           "When an import job of the collection last completed.",
           lambda facts: _one(None if (at := facts[2].last_completed_at) is None else f"{at:.3f}")),
    Family("gauge", "collection_last_completed_short", _COLLECTION,
           "1 when the import that completed last took less than a tenth of the typical time, otherwise 0.",
           lambda facts: _one(int(facts[2].last_short) if facts[2].durations else None)),
    Family("gauge", "collection_failures_in_a_row", _COLLECTION,
           "Import jobs of the collection that failed since one last completed, without aborted ones.",
           lambda facts: _one(None if facts[2].last_failed is None else facts[2].failures_in_a_row)),
    Family("gauge", "collection_typical_duration_seconds", _COLLECTION,
           "Median duration of the last 20 completed import jobs of the collection.",
           lambda facts: _one(None if (typical := typical_duration(facts[2])) is None else typical.median)),
)
"""Of each collection: rendered when a job has changed. The first is dropped when the cluster cannot be polled."""

EXPECTATION_FAMILIES: Final[tuple[Family[ExpectationValues], ...]] = (
    Family("gauge", "expectation_state", ("expectation", *_COLLECTION_STATE),
           "1 for the current state of an expected import.",
           lambda sample: [((escape(sample.expectation), sample.state), 1)]),
    Family("gauge", "expectation_deadline_timestamp_seconds", ("expectation", *_COLLECTION),
           "When an expected import has to be complete.",
           lambda sample: [((escape(sample.expectation),), f"{sample.deadline:.3f}")]),
    Family("gauge", "expectation_predicted_timestamp_seconds", ("expectation", *_COLLECTION),
           "When an expected import will probably be complete; absent if it cannot be estimated.",
           lambda sample: [((escape(sample.expectation),), f"{sample.predicted:.3f}")] if sample.predicted else ()),
)
"""Of each expected import: rendered when one of them changes."""

TRANSITION_FAMILIES: Final[tuple[Family[ClusterValues], ...]] = (
    Family("counter", "job_transitions_total", ("from_state", "to_state"),
           "Transitions of import jobs recorded since the monitor started.",
           lambda state: {**_NO_TRANSITIONS, **state.transitions}.items()),
    Family("histogram", "job_duration_seconds", ("state",),
           "Time from the first poll that saw an import job unfinished to the one that saw it finished.",
           lambda state: _by_label(state.durations)),
    Family("histogram", "job_pending_seconds", (),
           "Time from the first poll that saw an import job to the first that saw it not pending.",
           lambda state: _one(state.pending)),
)
"""Of all jobs of a cluster: rendered when there are transitions."""

CLUSTER_FAMILIES: Final[tuple[Family[ClusterValues], ...]] = (
    Family("gauge", "cluster_owned", (), "1 on the monitor that polls the cluster; only this one shows it.",
           lambda _: _one(1)),
    Family("gauge", "cluster_up", (), "1 when the last poll of the cluster succeeded.",
           lambda state: _one(None if state.up is None else int(state.up))),
    Family("gauge", "cluster_failure", ("reason",),
           "1 for the kind of error of the last poll of the cluster, if it failed.",
           lambda state: [((state.failure,), 1)] if state.failure else ()),
    Family("gauge", "cluster_paused", (),
           "1 while the cluster is not polled: it is suspended, stopped or being deleted, or is no longer found.",
           lambda state: _one(int(state.paused))),
    Family("gauge", "cluster_missing", (),
           "1 while the cluster is missing from the latest list of its discovery, and is still polled.",
           lambda state: _one(int(state.missing and not state.paused))),
    Family("gauge", "cluster_info", ("cluster_id", "url", "api"), "1, with the cluster's id, URL and API.", _info),
    Family("gauge", "poll_interval_seconds", (),
           "Time from one poll of the cluster to the next: active, idle, stretched, or longer while polls fail.",
           lambda state: _one(None if state.paused else round(state.interval_in_force, 3))),
    Family("gauge", "poll_interval_stretch_ratio", (),
           "By which factor the interval is longer than configured, because of the rate of the API key; else 1.",
           lambda state: _one(None if state.paused else round(state.stretch, 3))),
    Family("gauge", "cluster_series_dropped", (), "Series left out because of series_per_cluster.",
           lambda state: _one(state.series_dropped)),
    Family("counter", "polls_missed_total", (),
           "Polls that did not run because the previous one, or too many slow ones, were still running.",
           lambda state: _one(state.polls_missed)),
    Family("counter", "poll_failures_total", ("reason",), "Polls that failed, by the kind of error.",
           lambda state: [((kind,), state.failures[kind]) for kind in state.failure_kinds]),
    Family("counter", "bad_records_total", (),
           "Records of the cluster's lists that were no import jobs and were skipped.",
           lambda state: _one(state.bad_records)),
    Family("counter", "jobs_left_early_total", (),
           "Finished import jobs that left the server's list after fewer than 3 polls.",
           lambda state: _one(state.left_early)),
    Family("counter", "api_throttled_seconds_total", ("endpoint",),
           "Time waited because of a rate limit, ours or the server's.",
           lambda state: _by_label(state.throttled)),
)
"""Of the cluster itself: rendered when one of them changes."""

POLL_FAMILIES: Final[tuple[Family[ClusterValues], ...]] = (
    Family("gauge", "cluster_last_success_timestamp_seconds", (), "When a poll of the cluster last succeeded.",
           lambda state: _one(state.last_success)),
    Family("gauge", "cluster_last_poll_duration_seconds", (), "How long the last poll of the cluster took.",
           lambda state: _one(state.last_poll_duration)),
    Family("counter", "polls_total", (), "Polls of the cluster.", lambda state: _one(state.polls)),
    Family("counter", "api_requests_total", ("endpoint",), "Requests sent to the cluster's API.",
           lambda state: _by_label(state.requests)),
)
"""Of the cluster itself: rendered at each poll."""

FAMILIES_IN_PIECES: Final[tuple[Family[Any], ...]] = (
    *PROGRESS_FAMILIES, *UNFINISHED_FAMILIES, *TRACKED_FAMILIES, JOB_ETA, *COLLECTION_FAMILIES, *TRANSITION_FAMILIES,
    *EXPECTATION_FAMILIES,
)
"""Those of which each job, collection or transition of a cluster is rendered by itself."""

WHOLE_FAMILIES: Final[tuple[Family[Any], ...]] = (*CLUSTER_FAMILIES, *POLL_FAMILIES)
"""Those of which the lines of a cluster are rendered together."""

FAMILIES: Final = (*FAMILIES_IN_PIECES, *WHOLE_FAMILIES)
# fmt: on
"""All of them, in the order of the exposition."""
