"""Which jobs somebody looks for."""

from dataclasses import dataclass

from monitor.jobs import JobState, TrackedJob


@dataclass(frozen=True, slots=True)
class Search:
    """Which jobs are looked for. What is None or empty leaves every one in.

    Attributes:
        cluster: Of this cluster.
        database: In this database; empty is a name too, for APIs that do not say.
        collection: In this collection.
        states: In one of these states.
        stalled: Only stalled ones, or only others.
        text: Folded text that stands in a name, an id or a reason.
    """

    cluster: str | None = None
    database: str | None = None
    collection: str | None = None
    states: frozenset[JobState] = frozenset()
    stalled: bool | None = None
    text: str = ""

    @property
    def takes_all(self) -> bool:
        """Whether every job of a cluster that is looked at is looked for."""
        return not (
            self.states or self.text or self.stalled is not None or self.database is not None or self.collection
        ) and (self.collection is None)

    def takes(self, cluster: str, tracked: TrackedJob) -> bool:
        """Say whether a job is among them."""
        job = tracked.job
        return (
            (not self.states or job.state in self.states)
            and (self.stalled is None or tracked.stalled is self.stalled)
            and (self.collection is None or job.collection == self.collection)
            and (self.database is None or job.database == self.database)
            and (self.cluster is None or cluster == self.cluster)
            and (not self.text or self._reads(cluster, tracked))
        )

    def _reads(self, cluster: str, tracked: TrackedJob) -> bool:
        job = tracked.job
        text = f"{cluster}\n{job.collection}\n{job.database}\n{job.job_id}\n{job.reason}\n{job.raw_state}"
        return self.text in text.casefold()
