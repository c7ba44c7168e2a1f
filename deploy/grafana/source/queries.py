"""PromQL queries of the dashboards, for any scope.

Several monitors can share the clusters, or watch the same ones. A gauge has the same value on each monitor that shows
the cluster, so queries use `max by`, which also drops `instance`, `pod` and other target labels. A counter increases
only on one monitor at a time, so queries use `sum`.
"""

from dataclasses import dataclass

COLLECTION = "milvus_cluster, database, collection"
JOB = f"{COLLECTION}, job_id"
UNFINISHED = 'state!~"completed|failed|vanished"'
FIRING_ALERTS = 'ALERTS{alertname=~"MilvusImport.+", alertname!="MilvusImportWatchdog", alertstate="firing"}'
"""Firing alerts of the rules, without the one that always fires."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the fleet that a dashboard shows.

    Attributes:
        cluster: The matcher of series of clusters.
        collection: The matcher of series of collections and jobs.
    """

    cluster: str
    collection: str

    def of_cluster(self, metric: str, *matchers: str) -> str:
        """Select the series of a cluster metric."""
        return _selector(metric, self.cluster, *matchers)

    def of_collection(self, metric: str, *matchers: str) -> str:
        """Select the series of a collection or job metric."""
        return _selector(metric, self.collection, *matchers)


FLEET = Scope(cluster='milvus_cluster=~"$cluster"', collection='milvus_cluster=~"$cluster"')
CLUSTER = Scope(
    cluster='milvus_cluster="$cluster"',
    collection='milvus_cluster="$cluster", database=~"$database", collection=~"$collection"',
)
COLLECTION_SCOPE = Scope(
    cluster='milvus_cluster="$cluster"',
    collection='milvus_cluster="$cluster", database=~"$database", collection="$collection"',
)


def _selector(metric: str, *matchers: str) -> str:
    return f"milvus_import_{metric}{{{', '.join(matchers)}}}"


def jobs(scope: Scope, metric: str, *matchers: str, by: str = JOB) -> str:
    """A gauge of jobs, each job once."""
    return f"max by ({by}) ({scope.of_collection(metric, *matchers)})"


def collections(scope: Scope, metric: str, *matchers: str) -> str:
    """A gauge of collections, each collection once."""
    return f"max by ({COLLECTION}) ({scope.of_collection(metric, *matchers)})"


def clusters(scope: Scope, metric: str, *matchers: str) -> str:
    """A gauge of clusters, each cluster once."""
    return f"max by (milvus_cluster) ({scope.of_cluster(metric, *matchers)})"


def discoveries(metric: str, aggregation: str) -> str:
    """A gauge of discoveries, each discovery once."""
    return f"{aggregation} by (discovery) (milvus_import_discovery_{metric})"


def count(series: str) -> str:
    """The number of series, 0 if there are none."""
    return f"count({series}) or vector(0)"


def unfinished(scope: Scope, by: str) -> str:
    """Unfinished jobs in the latest lists, summed by the labels `by`."""
    return f"sum by ({by}) ({jobs(scope, 'jobs', UNFINISHED, by=f'{COLLECTION}, state')})"


def failed(scope: Scope) -> str:
    """Failed jobs, each with its reason."""
    return jobs(scope, "job_failed", by=f"{JOB}, reason")


def vanished(scope: Scope) -> str:
    """Unfinished jobs that no longer exist according to the server."""
    return jobs(scope, "job_state", 'state="vanished"')


def stalled(scope: Scope, *matchers: str) -> str:
    """Stalled jobs."""
    return f"{jobs(scope, 'job_stalled', *matchers, by=f'{JOB}, state')} == 1"


def uncommitted(scope: Scope) -> str:
    """Jobs that wait to be committed, for any time."""
    return jobs(scope, "job_state", 'state="uncommitted"', by=f"{JOB}, state")


def latest_failed(scope: Scope) -> str:
    """Collections with a failed latest import."""
    return f"{collections(scope, 'collection_last_finished_failed')} == 1"


def unreachable(scope: Scope) -> str:
    """Clusters with a failed last poll."""
    return f"{clusters(scope, 'cluster_up')} == 0"


def key_rejected(scope: Scope) -> str:
    """Unreachable clusters that rejected the key within the last hour; failing clusters are polled less often."""
    rejections = scope.of_cluster("poll_failures_total", 'reason="unauthorized"')
    return f"({unreachable(scope)}) and on (milvus_cluster) (sum by (milvus_cluster) (increase({rejections}[1h])) > 0)"


def age(timestamp: str) -> str:
    """Seconds since a time."""
    return f"time() - {timestamp}"


def unchanged_seconds(scope: Scope) -> str:
    """Seconds since each stalled or uncommitted job last changed, with its state."""
    changed = jobs(scope, "job_last_change_timestamp_seconds")
    stuck = f"{stalled(scope)} or {uncommitted(scope)}"
    return f"({stuck}) * on ({JOB}) group_left () ({age(changed)})"


def rows_per_second(scope: Scope, by: str) -> str:
    """Imported rows per second, if the API reports rows; a job that restarts counts as 0."""
    rows = scope.of_collection("job_imported_rows")
    return f"sum by ({by}) (max by ({JOB}) (clamp_min(deriv({rows}[$__rate_interval]), 0)))"


def outcomes(scope: Scope, by: str, window: str) -> str:
    """Jobs finished within a time window, summed by the labels `by`."""
    return f"sum by ({by}) (increase({scope.of_collection('jobs_finished_total')}[{window}]))"


def success_ratio(scope: Scope, window: str) -> str:
    """The fraction of jobs finished within a time window that completed, 0 to 1; empty if none finished."""
    finished = f"sum(increase({scope.of_collection('jobs_finished_total')}[{window}]))"
    completed = scope.of_collection("jobs_finished_total", 'state="completed"')
    return f"sum(increase({completed}[{window}])) / ({finished} > 0)"


def rate(scope: Scope, metric: str, by: str, *matchers: str) -> str:
    """The rate of a cluster counter per second."""
    return f"sum by ({by}) (rate({scope.of_cluster(metric, *matchers)}[$__rate_interval]))"


def durations(scope: Scope, quantile: float, window: str) -> str:
    """A quantile of the duration in seconds of imports that completed within a time window."""
    buckets = scope.of_cluster("job_duration_seconds_bucket", 'state="completed"')
    return f"histogram_quantile({quantile}, sum by (le) (increase({buckets}[{window}])))"


def transitions(scope: Scope) -> str:
    """Transitions recorded within the last hour, by both states."""
    return f"sum by (from_state, to_state) (increase({scope.of_cluster('job_transitions_total')}[1h]))"


def just_failed(scope: Scope) -> str:
    """Failed jobs, only during the first minute."""
    earlier = f"max by ({JOB}) ({scope.of_collection('job_failed')} offset 1m)"
    return f"{failed(scope)} unless on ({JOB}) ({earlier})"


def process(metric: str) -> str:
    """A process metric of the monitors, by instance."""
    return f"max by (instance) ({metric} and on (job, instance) milvus_import_build_info)"


def monitors(metric: str, function: str) -> str:
    """A gauge of the monitors: `min` or `max` over all of them."""
    return f"{function}(milvus_import_{metric})"
