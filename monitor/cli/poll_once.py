"""Polls clusters with the parts of the daemon, without recording anything."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from monitor.cli.options import INTERRUPTED, exit_process
from monitor.client import ApiError, Network, connect
from monitor.config import Cluster, Config
from monitor.fetch import fetch
from monitor.jobs import Job, JobState, Snapshot, diff
from monitor.poller import policy


class ClusterPoll(msgspec.Struct, frozen=True):
    """The result of polling one cluster once: its jobs, and why the poll failed if it did.

    `jobs` includes those of its recorded snapshot that have vanished within ``failed_retention``. `tracked` has the
    jobs that a monitor has recorded, by id, with what this poll has added.
    """

    cluster: Cluster
    jobs: tuple[Job, ...]
    bad_records: tuple[str, ...]
    error: ApiError | None
    tracked: Mapping[str, Job]


def poll_clusters(
    config: Config, clusters: Iterable[Cluster], snapshots: Mapping[str, Snapshot], *, find_vanished: bool = False
) -> list[ClusterPoll]:
    """Poll clusters once, at most ``poll.concurrency`` at a time, and return the results in their order.

    With `find_vanished`, jobs of a recorded snapshot, by cluster name, that are missing from the list are described.
    """
    network = Network(connections=config.poll.concurrency)
    pool = ThreadPoolExecutor(config.poll.concurrency)
    try:
        return list(pool.map(partial(_poll, network, snapshots, find_vanished), clusters))
    except KeyboardInterrupt:
        exit_process(INTERRUPTED)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        network.close()


def _poll(network: Network, snapshots: Mapping[str, Snapshot], find_vanished: bool, cluster: Cluster) -> ClusterPoll:
    now, snapshot = time.time(), snapshots.get(cluster.name)
    jobs: tuple[Job, ...] = ()
    bad_records: tuple[str, ...] = ()
    error = None
    try:
        previous = snapshot if find_vanished else None
        result = fetch(connect(cluster, network), previous, now, lambda _ids: {}, {"milvus_cluster": cluster.name})
    except ApiError as failure:
        error = failure
    else:
        jobs, bad_records = diff(None, result, now, policy(cluster)).changed, result.listing.bad_records
        snapshot = None if snapshot is None else diff(snapshot, result, now, policy(cluster)).snapshot
    tracked = {} if snapshot is None else snapshot.tracked
    if find_vanished:
        oldest = now - cluster.failed_retention
        vanished = [job for job in tracked.values() if job.state is JobState.VANISHED]
        jobs += tuple(job for job in vanished if (job.finished_at or 0.0) > oldest)
    return ClusterPoll(cluster, jobs, bad_records, error, tracked)
