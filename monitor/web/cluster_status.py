"""The status of one cluster."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from monitor.config import Cluster
from monitor.jobs import UNSUCCESSFUL, Job, JobState, Snapshot


class ClusterStatus(msgspec.Struct, frozen=True, gc=False):
    """A cluster as of its latest poll.

    Times are seconds since the epoch; what has not happened is None.
    """

    cluster: Cluster
    discovery: str = ""  # that has found it; empty where it is listed under `clusters`
    source_name: str = ""  # in the words of the discovery's source
    source_status: str = ""  # in the words of the discovery's source
    status: str = "not_polled"  # or `up`, or `down`; `paused` or `removed` where it is not polled
    why: str = ""  # it is down
    last_success: float | None = None
    last_poll: float | None = None
    snapshot: Snapshot = Snapshot()
    interval: float | None = None  # seconds from one poll to the next, as now in force; None until it is scheduled
    polled_by: str = ""  # the name of the monitor; empty where there is only one
    polled_here: bool = True  # by this monitor, as far as is known

    @property
    def tracked(self) -> Mapping[str, Job]:
        """The tracked jobs by id; finished ones are in the store."""
        return self.snapshot.tracked

    def may_list(self, job_id: str) -> bool:
        """Return whether a job is in the latest list, or that is not known here."""
        return self.last_success is None or not self.polled_here or job_id in self.snapshot.listing.records

    def count_states(self) -> Counter[JobState]:
        """Count the jobs that are listed, unfinished, or recently failed or vanished, by state."""
        states = self.snapshot.count_states()
        states.update(
            job.state for job in self.tracked.values() if job.state in UNSUCCESSFUL and job.missing_since is not None
        )
        return states
