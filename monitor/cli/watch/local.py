"""Polls the clusters of a config on the daemon's scheduler, and follows their jobs in memory."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from monitor.cli.run import exit_process
from monitor.cli.watch.state import View
from monitor.client import ApiError, ImportApi, Network, StoppedError, connect
from monitor.config import Cluster, Config
from monitor.jobs import Job, JobState, Snapshot, diff, eta_seconds
from monitor.poller import PollOutcome, fetch, policy
from monitor.scheduler import PollScheduler

STOP_TIMEOUT: Final = 0.7
"""Seconds that running polls have when the command ends."""


@contextmanager
def local_source(config: Config, clusters: tuple[Cluster, ...]) -> Iterator[Callable[[], View]]:
    """Poll clusters until the block is left, and give a function that returns the current view.

    Where polls hang at the end, the process exits.
    """
    network = Network(connections=config.poll.concurrency)
    scheduler = PollScheduler(config.poll.concurrency)
    followers = {cluster.name: _Follower(cluster, connect(cluster, network)) for cluster in clusters}
    for cluster in clusters:
        scheduler.schedule(cluster.name, cluster.interval, followers[cluster.name].poll, lambda _missed: None)

    def view() -> View:
        jobs = {(name, job.job_id): job for name, follower in followers.items() for job in follower.jobs}
        done_at = {(name, key): at for name, follower in followers.items() for key, at in follower.done_at.items()}
        return View(jobs, done_at, {name: follower.why_down for name, follower in followers.items()})

    scheduler.start()
    try:
        yield view
    finally:
        network.stop()
        hanging = scheduler.stop(STOP_TIMEOUT)
        network.close()
        if hanging:
            exit_process()


class _Follower:
    """Follows the jobs of one cluster; each poll replaces its attributes."""

    def __init__(self, cluster: Cluster, api: ImportApi) -> None:
        self.why_down: str | None = None
        self.jobs: list[Job] = []
        self.done_at: dict[str, float] = {}
        self._cluster = cluster
        self._api = api
        self._snapshot: Snapshot | None = None
        self._completed: dict[str, Job] = {}

    def poll(self) -> PollOutcome:
        cluster, now = self._cluster, time.time()
        try:
            result = fetch(self._api, self._snapshot, now, lambda _ids: {}, {"milvus_cluster": cluster.name})
        except StoppedError:
            return PollOutcome(ok=False)
        except ApiError as error:
            self.why_down = f"{error.kind}: {error}"
            return PollOutcome(ok=False, retry_after=error.retry_after)
        changes = diff(self._snapshot, result, now, policy(cluster))
        self._snapshot = changes.snapshot
        completed = self._completed | {job.job_id: job for job in changes.changed if job.state is JobState.COMPLETED}
        self._completed = {key: job for key, job in completed.items() if key in result.listing.records}
        self.jobs = [*self._completed.values(), *changes.snapshot.tracked.values()]
        estimates = [(job.job_id, eta_seconds(job, now)) for job in self.jobs]
        self.done_at = {job_id: now + seconds for job_id, seconds in estimates if seconds is not None}
        self.why_down = ""
        return PollOutcome(ok=True)
