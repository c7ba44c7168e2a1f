"""Every metric that is kept as text for each cluster: its name, type, labels and meaning."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Attributes:
        name: As in a query, without the prefix ``milvus_import_``; a counter's ends in ``_total``.
        type: Prometheus' type.
        help: One line.
        labels: The labels beside ``milvus_cluster``.
    """

    name: str
    type: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """The name as in a query."""
        return f"milvus_import_{self.name}"


_COLLECTION: Final = ("database", "collection")
_JOB: Final = ("database", "collection", "job_id")

JOB_FAMILIES: Final = (
    Family("jobs", "gauge", "Import jobs in the latest list.", (*_COLLECTION, "state")),
    Family("job_progress_ratio", "gauge", "Progress of an unfinished import job, 0 to 1.", _JOB),
    Family(
        "job_state",
        "gauge",
        "1 for the current state of an unfinished import job, or of one that failed or vanished lately.",
        (*_JOB, "state"),
    ),
    Family("job_failed", "gauge", "1 for an import job that failed lately, with its reason.", (*_JOB, "reason")),
    Family(
        "job_stalled",
        "gauge",
        "1 while an import job has made no progress for longer than the limit of its state.",
        (*_JOB, "state"),
    ),
    Family("job_first_seen_timestamp_seconds", "gauge", "When an unfinished import job was first seen.", _JOB),
    Family(
        "job_last_change_timestamp_seconds",
        "gauge",
        "When an unfinished import job last changed its state or made progress.",
        _JOB,
    ),
    Family("job_imported_rows", "gauge", "Rows that an unfinished import job has imported.", _JOB),
    Family("job_total_rows", "gauge", "Rows that an unfinished import job has in all.", _JOB),
    Family("job_eta_seconds", "gauge", "Estimated time left of an import job at its recent pace.", _JOB),
    Family(
        "jobs_finished_total",
        "counter",
        "Import jobs that completed, failed or vanished since the monitor started.",
        (*_COLLECTION, "state"),
    ),
    Family(
        "job_transitions_total",
        "counter",
        "Transitions of import jobs recorded since the monitor started.",
        ("from_state", "to_state"),
    ),
    Family(
        "job_duration_seconds",
        "histogram",
        "Time from the first poll that saw an import job unfinished to the one that saw it finished.",
        ("state",),
    ),
    Family(
        "collection_last_finished_failed",
        "gauge",
        "1 when the collection's most recent finished import job failed, 0 when it completed.",
        _COLLECTION,
    ),
    Family(
        "collection_last_completed_timestamp_seconds",
        "gauge",
        "When an import job of the collection last completed.",
        _COLLECTION,
    ),
)
"""What is told of jobs and collections."""

CLUSTER_FAMILIES: Final = (
    Family("cluster_up", "gauge", "1 when the last poll of the cluster succeeded."),
    Family("cluster_info", "gauge", "1, with the cluster's id, URL and API.", ("cluster_id", "url", "api")),
    Family("cluster_last_success_timestamp_seconds", "gauge", "When a poll of the cluster last succeeded."),
    Family("cluster_last_poll_duration_seconds", "gauge", "How long the last poll of the cluster took."),
    Family("cluster_series_dropped", "gauge", "Series left out because of series_per_cluster."),
    Family("polls_total", "counter", "Polls of the cluster."),
    Family("polls_missed_total", "counter", "Polls that did not run because the previous one was still running."),
    Family("poll_failures_total", "counter", "Polls that failed, by the kind of error.", ("reason",)),
    Family("bad_records_total", "counter", "Records of the cluster's lists that were no import jobs and were skipped."),
    Family("api_requests_total", "counter", "Requests sent to the cluster's API.", ("endpoint",)),
    Family(
        "api_throttled_seconds_total",
        "counter",
        "Time waited because of a rate limit, ours or the server's.",
        ("endpoint",),
    ),
)
"""What is told of the cluster itself and of its polls: each poll changes some of it."""

FAMILIES: Final = (*JOB_FAMILIES, *CLUSTER_FAMILIES)
