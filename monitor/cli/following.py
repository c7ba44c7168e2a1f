"""Following clusters from poll to poll, as the daemon does, but only in memory and only to look."""

import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from monitor.api import ApiError, ImportApi, Listing, Network, connect
from monitor.config import Cluster
from monitor.jobs import Job, Observation, Picture, TrackedJob
from monitor.poller import difference_of, observe

LONGEST_PAUSE: Final = 60.0
"""Seconds from a poll that failed to the next, at most; unless the cluster's interval is longer."""

_DOUBLINGS: Final = 10


class Follower:
    """Follows one cluster. For one thread at a time.

    Args:
        cluster: The cluster.
        network: What it shares with the others.
        job_id: Follow only this job.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, cluster: Cluster, network: Network, job_id: str | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.cluster = cluster
        self.picture: Picture | None = None
        self._api = connect(cluster, network)
        self._only = job_id
        self._clock = clock
        self._failures = 0

    def poll(self) -> Picture:
        """Look at the cluster and return what is known of it now.

        Raises:
            JobGoneError: There has never been a job with the id of the only one that is followed.
            ApiError: It cannot be asked now; the picture stays what it was.
        """
        now = self._clock()
        try:
            seen = self._observed(now)
        except ApiError:
            self._failures += 1
            raise
        self._failures = 0
        self.picture = difference_of(self.cluster, self.picture, seen, now).picture
        return self.picture

    def pause(self, error: ApiError | None = None) -> float:
        """Return the seconds until the next poll: the interval, or after failures twice as long each time, to a bound.

        Args:
            error: What the last poll failed with.
        """
        interval = self.cluster.interval
        if error is None:
            return interval
        longest = max(interval, LONGEST_PAUSE)
        backoff = min(min(interval, 1.0) * 2.0 ** min(self._failures, _DOUBLINGS), longest)
        return min(max(backoff, error.retry_after or 0.0), longest)

    def job(self) -> TrackedJob | None:
        """Return the only job that is followed, as it was last seen."""
        return None if self.picture is None or self._only is None else self.picture.jobs.get(self._only)

    def _observed(self, now: float) -> Observation:
        who = {"milvus_cluster": self.cluster.name}
        if self._only is None:
            return observe(self._api, self.picture, now, who)[0]
        seen, _ = observe(_OneJob(self._api, self._only), self.picture, now, who)
        if self.picture is None and self._only not in seen.listed:
            return Observation({self._only: self._api.describe(self._only)})
        return seen


class _OneJob:
    """An import API of which only one job is of interest."""

    def __init__(self, api: ImportApi, job_id: str) -> None:
        self.session = api.session
        self._api = api
        self._job_id = job_id

    def list_jobs(self, _since: object = None) -> Listing:
        """Return the job alone, where the list has it."""
        listing = self._api.list_jobs()
        job = listing.jobs.get(self._job_id)
        return replace(listing, jobs={} if job is None else {self._job_id: job})

    def describe(self, job_id: str) -> Job:
        """Return one job."""
        return self._api.describe(job_id)
