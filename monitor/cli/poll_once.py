"""Polls clusters with the parts of the daemon, without recording anything."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from monitor.cli.options import INTERRUPTED, exit_process
from monitor.client import ApiError, Network, connect
from monitor.config import Cluster, Config
from monitor.jobs import Job, JobState, Snapshot, diff
from monitor.poller import fetch, policy


class ClusterPoll(msgspec.Struct, frozen=True):
    """The result of polling one cluster once: its jobs, and why the poll failed if it did.

    `jobs` includes those of its recorded snapshot that have vanished within ``failed_retention``.
    """

    cluster: Cluster
    jobs: tuple[Job, ...]
    bad_records: tuple[str, ...]
    error: ApiError | None


def poll_clusters(config: Config, clusters: Iterable[Cluster], snapshots: Mapping[str, Snapshot]) -> list[ClusterPoll]:
    """Poll clusters once, at most ``poll.concurrency`` at a time, and return the results in their order.

    Jobs of a recorded snapshot, by cluster name, that are missing from the list are described.
    """
    network = Network(connections=config.poll.concurrency)
    pool = ThreadPoolExecutor(config.poll.concurrency)
    try:
        return list(pool.map(partial(_poll, network, snapshots), clusters))
    except KeyboardInterrupt:
        exit_process(INTERRUPTED)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        network.close()


def _poll(network: Network, snapshots: Mapping[str, Snapshot], cluster: Cluster) -> ClusterPoll:
    now, snapshot = time.time(), snapshots.get(cluster.name)
    jobs: tuple[Job, ...] = ()
    bad_records: tuple[str, ...] = ()
    error = None
    try:
        result = fetch(connect(cluster, network), snapshot, now, lambda _ids: {}, {"milvus_cluster": cluster.name})
    except ApiError as failure:
        error = failure
    else:
        jobs, bad_records = diff(None, result, now, policy(cluster)).changed, result.listing.bad_records
        snapshot = None if snapshot is None else diff(snapshot, result, now, policy(cluster)).snapshot
    oldest = now - cluster.failed_retention
    tracked = () if snapshot is None else snapshot.tracked.values()
    vanished = [job for job in tracked if job.state is JobState.VANISHED and (job.finished_at or 0.0) > oldest]
    return ClusterPoll(cluster, (*jobs, *vanished), bad_records, error)
