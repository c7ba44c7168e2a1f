"""What the dashboards ask Prometheus, for any part of the fleet.

Several monitors may watch the same clusters. A gauge is the same on each of them, so the largest counts once (`max by`,
which drops `instance`, `pod` and whatever else a scrape adds); a counter counts on the one that did it, so they add up.
"""

from dataclasses import dataclass

COLLECTION = "milvus_cluster, database, collection"
JOB = f"{COLLECTION}, job_id"
UNFINISHED = 'state!~"completed|failed|vanished"'


@dataclass(frozen=True, slots=True)
class Scope:
    """The part of the fleet that a dashboard is about.

    Attributes:
        cluster: The matcher of series of clusters.
        collection: The matcher of series of collections and jobs.
    """

    cluster: str
    collection: str

    def of_cluster(self, metric: str, *matchers: str) -> str:
        """Select the series of a metric that is about clusters."""
        return _selector(metric, self.cluster, *matchers)

    def of_collection(self, metric: str, *matchers: str) -> str:
        """Select the series of a metric that is about collections or jobs."""
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


def how_many(found: str) -> str:
    """How many series there are; 0 where there are none."""
    return f"count({found}) or vector(0)"


def unfinished(scope: Scope, by: str) -> str:
    """Jobs of the latest lists that have neither completed nor failed, summed by the labels `by`."""
    return f"sum by ({by}) ({jobs(scope, 'jobs', UNFINISHED, by=f'{COLLECTION}, state')})"


def failed(scope: Scope) -> str:
    """Failed jobs, each with its reason."""
    return jobs(scope, "job_failed", by=f"{JOB}, reason")


def vanished(scope: Scope) -> str:
    """Jobs that the server says do not exist, though they never finished."""
    return jobs(scope, "job_state", 'state="vanished"')


def stalled(scope: Scope, *matchers: str) -> str:
    """Jobs that make no progress."""
    return f"{jobs(scope, 'job_stalled', *matchers, by=f'{JOB}, state')} == 1"


def uncommitted(scope: Scope) -> str:
    """Jobs that wait for somebody's commit, however long they do."""
    return jobs(scope, "job_state", 'state="uncommitted"', by=f"{JOB}, state")


def latest_failed(scope: Scope) -> str:
    """Collections whose most recent finished import failed."""
    return f"{collections(scope, 'collection_last_finished_failed')} == 1"


def unreachable(scope: Scope) -> str:
    """Clusters whose last poll failed."""
    return f"{clusters(scope, 'cluster_up')} == 0"


def key_rejected(scope: Scope) -> str:
    """Clusters that cannot be polled and turned the key away within the hour; an ill cluster is asked less often."""
    rejections = scope.of_cluster("poll_failures_total", 'reason="unauthorized"')
    return f"({unreachable(scope)}) and on (milvus_cluster) (sum by (milvus_cluster) (increase({rejections}[1h])) > 0)"


def age(timestamp: str) -> str:
    """Seconds since a time."""
    return f"time() - {timestamp}"


def standing_still(scope: Scope) -> str:
    """Seconds since each stalled or uncommitted job last changed, with its state."""
    changed = jobs(scope, "job_last_change_timestamp_seconds")
    stuck = f"{stalled(scope)} or {uncommitted(scope)}"
    return f"({stuck}) * on ({JOB}) group_left () ({age(changed)})"


def rows_per_second(scope: Scope, by: str) -> str:
    """Rows imported a second, over the jobs whose API counts rows; a job that starts anew counts as 0."""
    rows = scope.of_collection("job_imported_rows")
    return f"sum by ({by}) (max by ({JOB}) (clamp_min(deriv({rows}[$__rate_interval]), 0)))"


def outcomes(scope: Scope, by: str, window: str) -> str:
    """Jobs finished in a window of time, summed by the labels `by`."""
    return f"sum by ({by}) (increase({scope.of_collection('jobs_finished_total')}[{window}]))"


def success_ratio(scope: Scope, window: str) -> str:
    """The share of the jobs finished in a window of time that completed, 0 to 1; nothing where none finished."""
    finished = f"sum(increase({scope.of_collection('jobs_finished_total')}[{window}]))"
    completed = scope.of_collection("jobs_finished_total", 'state="completed"')
    return f"sum(increase({completed}[{window}])) / ({finished} > 0)"


def counted(scope: Scope, metric: str, by: str, *matchers: str) -> str:
    """What a counter of clusters counts a second."""
    return f"sum by ({by}) (rate({scope.of_cluster(metric, *matchers)}[$__rate_interval]))"


def durations(scope: Scope, quantile: float, window: str) -> str:
    """How long completed imports took, in seconds: a quantile over those that ended in a window of time."""
    buckets = scope.of_cluster("job_duration_seconds_bucket", 'state="completed"')
    return f"histogram_quantile({quantile}, sum by (le) (increase({buckets}[{window}])))"


def transitions(scope: Scope) -> str:
    """Transitions recorded in an hour, by the states from and to."""
    return f"sum by (from_state, to_state) (increase({scope.of_cluster('job_transitions_total')}[1h]))"


def just_failed(scope: Scope) -> str:
    """Failed jobs during the first minute of being shown."""
    earlier = f"max by ({JOB}) ({scope.of_collection('job_failed')} offset 1m)"
    return f"{failed(scope)} unless on ({JOB}) ({earlier})"


def process(metric: str) -> str:
    """A metric of the processes that are monitors, by instance."""
    return f"max by (instance) ({metric} and on (job, instance) milvus_import_build_info)"


def own(metric: str, function: str) -> str:
    """A gauge of the monitors themselves: `min` or `max` over all of them."""
    return f"{function}(milvus_import_{metric})"
