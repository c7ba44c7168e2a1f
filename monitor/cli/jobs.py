"""``jobs``: the jobs of every cluster, polled once."""

import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import typer

from monitor.cli.config_options import Store, load_config, select_clusters
from monitor.cli.options import ClusterName, ConfigFile, fail, print_error
from monitor.cli.output import Fields, JobStates, Output, OutputFormat, iso_time, print_rows, printable, state_option
from monitor.cli.poll_once import poll_clusters
from monitor.config import Cluster
from monitor.jobs import JobState, Snapshot, eta_seconds
from monitor.store import ClusterRef, StoreError, reading

_FIELDS: Final[Fields] = {
    "cluster": lambda cluster, *_: cluster.name,
    "labels": lambda cluster, *_: cluster.labels,
    "database": lambda _, job, _recorded: job.database,
    "collection": lambda _, job, _recorded: job.collection,
    "job_id": lambda _, job, _recorded: job.job_id,
    "state": lambda _, job, _recorded: job.state.value,
    "progress": lambda _, job, _recorded: job.progress,
    "imported_rows": lambda _, job, _recorded: job.imported_rows,
    "total_rows": lambda _, job, _recorded: job.total_rows,
    "first_seen": lambda _cluster, _job, recorded: iso_time(recorded and recorded.first_seen),
    "eta_seconds": lambda _cluster, _job, recorded: recorded and eta_seconds(recorded, time.time()),
    "created_at": lambda _, job, _recorded: iso_time(job.created_at),
    "completed_at": lambda _, job, _recorded: iso_time(job.completed_at),
    "failure": lambda _, job, _recorded: None if job.failure is None else job.failure.value,
    "reason": lambda _, job, _recorded: job.reason or None,
}
_COLUMNS: Final = ("cluster", "collection", "job_id", "state", "progress", "age", "eta_seconds", "reason")


def jobs(
    config: ConfigFile = None,
    cluster: ClusterName = None,
    state: JobStates = None,
    output: Output = OutputFormat.TABLE,
    fail_on: Annotated[
        list[JobState] | None, state_option("--fail-on", "Exit 1 if a job is in this state; repeatable.")
    ] = None,
    store: Store = None,
) -> None:
    """Poll every cluster once and print its jobs.

    When a job was first seen and how long it may still take are read from the store of a monitor, which is not changed;
    without it they are left out. Vanished jobs are known only from there: --state vanished and --fail-on vanished need
    it. With --state completed alone it is not opened.

    Exit codes: 0 success; 1 a job is in a --fail-on state, or a cluster cannot be polled; 2 invalid input.
    """
    shown, failing = frozenset(state or JobState), frozenset(fail_on or ())
    loaded = load_config(config)
    clusters = select_clusters(loaded, cluster, store)
    with_vanished = JobState.VANISHED in {*(state or ()), *failing}
    snapshots: Mapping[str, Snapshot] = {}
    if with_vanished or shown != {JobState.COMPLETED}:  # completed jobs are not tracked
        url = store or loaded.state.url.get_secret_value()
        snapshots = _recorded_snapshots(url, clusters, is_needed=with_vanished)
    polls = poll_clusters(loaded, clusters, snapshots, find_vanished=with_vanished)
    rows = [(poll.cluster, job, poll.tracked.get(job.job_id)) for poll in polls for job in poll.jobs]
    print_rows(output, [row for row in rows if row[1].state in shown], _FIELDS, _COLUMNS)
    for poll in polls:
        if poll.error is not None:
            print_error(printable(f"{poll.cluster.name}: {poll.error.kind}: {poll.error}"))
    if any(poll.error for poll in polls) or any(job.state in failing for _, job, _ in rows):
        raise typer.Exit(1)


def _recorded_snapshots(url: str, clusters: Iterable[Cluster], *, is_needed: bool) -> dict[str, Snapshot]:
    """Return the recorded snapshots by cluster name, where they can be read; exit with 2 if they are needed."""
    try:
        with reading(url) as database:
            return database.stored_snapshots(ClusterRef(cluster.name, cluster.identity()) for cluster in clusters)
    except StoreError as error:
        if not is_needed:
            return {}
        fail(f"vanished jobs are known only from the store, and {error}")
