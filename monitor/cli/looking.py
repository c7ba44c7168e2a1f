"""One look at every cluster, for the commands that print what is there now."""

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from monitor.api import ApiError, Network, connect
from monitor.config import Cluster, Config
from monitor.jobs import Job, JobState, Observation, Picture
from monitor.poller import difference_of, observe


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a cluster found.

    Attributes:
        cluster: The cluster.
        seen: Its jobs, or None where it could not be asked.
        vanished: Jobs that it does not have any more, though it has never said how they ended; none without a picture.
        rejected: Records of its list that were no jobs.
        error: Why it could not be asked, or None.
    """

    cluster: Cluster
    seen: Observation | None = None
    vanished: tuple[Job, ...] = ()
    rejected: tuple[str, ...] = ()
    error: ApiError | None = None

    def jobs(self) -> list[Job]:
        """Return every job found, with what a describe added where the list leaves something open."""
        return [*({**self.seen.listed, **self.seen.described}.values() if self.seen else ()), *self.vanished]


def look(config: Config, clusters: Iterable[Cluster], pictures: Mapping[str, Picture] | None = None) -> list[Look]:
    """Ask every cluster once, as many at a time as the config allows, and return what each answered, in their order.

    Args:
        config: How many.
        clusters: Which.
        pictures: What is known of them from before, by name: what they lack now, they are asked about.
    """
    network = Network(connections=config.poll.concurrency)
    pool = ThreadPoolExecutor(config.poll.concurrency)
    try:
        return list(pool.map(partial(_look, network, pictures or {}), clusters))
    finally:
        network.stop()  # for Ctrl-C: what has not begun does not begin, and no wait goes on
        pool.shutdown(wait=False, cancel_futures=True)
        network.close()


def _look(network: Network, pictures: Mapping[str, Picture], cluster: Cluster) -> Look:
    now, previous = time.time(), pictures.get(cluster.name)
    try:
        seen, listing = observe(connect(cluster, network), previous, now, {"milvus_cluster": cluster.name})
    except ApiError as error:
        return Look(cluster, vanished=_vanished(previous, cluster, now), error=error)
    after = None if previous is None else difference_of(cluster, previous, seen, now).picture
    return Look(cluster, seen, _vanished(after, cluster, now), tuple(listing.rejected))


def _vanished(picture: Picture | None, cluster: Cluster, now: float) -> tuple[Job, ...]:
    """Return the jobs that vanished lately: for as long as they are on ``/metrics``."""
    since = now - cluster.failed_retention
    return tuple(
        tracked.job
        for tracked in (picture.jobs.values() if picture else ())
        if tracked.job.state is JobState.VANISHED and (tracked.finished_at or 0.0) > since
    )
