"""A cluster's state in memory, the result of a poll, and what the poll changed."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from monitor.jobs.model import CollectionKey, CollectionOutcome, Job, JobRecord, JobState, Transition
from monitor.jobs.short_retention import FinishedListing

ListedCounts = Mapping[tuple[str, str, JobState], int]
"""Number of listed jobs by database, collection and state."""


class JobList(msgspec.Struct, frozen=True, gc=False):
    """A complete list of a cluster's jobs.

    Attributes:
        records: The records by job id, in the order of the list.
        pages: A hash of each page, by which the client sees that the next list is the same, and whether another page
            follows.
        bad_records: What is wrong with the records that were skipped, one text each.
        repeated_ids: Ids of which the list had several records; the most final one counts.
    """

    records: Mapping[str, JobRecord] = msgspec.field(default_factory=dict)
    pages: Mapping[int, bool] = msgspec.field(default_factory=dict)
    bad_records: tuple[str, ...] = ()
    repeated_ids: tuple[str, ...] = ()


class DatabaseLookup(msgspec.Struct, frozen=True, gc=False):
    """Lookups of a job's database that did not find it: how many in a row, and when the last one was."""

    attempts: int = 0
    at: float = 0.0


class JobDatabases(msgspec.Struct, frozen=True, gc=False):
    """The databases of listed jobs, where the list does not filter by database.

    Attributes:
        known: The database by job id.
        unknown: The lookups so far of each other job, by its id.
    """

    known: Mapping[str, str] = msgspec.field(default_factory=dict)
    unknown: Mapping[str, DatabaseLookup] = msgspec.field(default_factory=dict)


_NO_DATABASES: Final = JobDatabases()


class PollResult(msgspec.Struct, frozen=True, gc=False):
    """The result of one complete poll.

    Attributes:
        new_ids: Ids whose records are new or differ from those of the previous list.
        described: Responses to describes by job id, whether listed or missing.
        confirmed_absent: Ids of jobs that do not exist, as the server reported.
        describes_sent: Ids for which a describe was sent, whether it succeeded or not.
        harmful_describes: Ids whose describe cut the connection or timed out.
        finished: Finished jobs from the store whose records are new or have changed, by job id; None where a job may
            have finished before, and the store cannot say.
        databases: The databases of the listed jobs; empty where the list names or filters them.
    """

    listing: JobList
    new_ids: frozenset[str] = frozenset()
    described: Mapping[str, JobRecord] = msgspec.field(default_factory=dict)
    confirmed_absent: frozenset[str] = frozenset()
    describes_sent: frozenset[str] = frozenset()
    harmful_describes: frozenset[str] = frozenset()
    finished: Mapping[str, Job | None] = msgspec.field(default_factory=dict)
    databases: JobDatabases = _NO_DATABASES


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """What is in memory of a cluster: nothing else is needed to follow its jobs. Finished jobs are in the store.

    Attributes:
        listing: The last list. After a restart its records are unknown (empty).
        tracked: Jobs that are unfinished, or unsuccessful within ``failed_retention``, by job id.
        counts: Number of listed jobs by database, collection and state.
        outcomes: How the latest import of each collection ended.
        baseline_at: When the first poll of the cluster was made, or None where that is not known.
        databases: The databases of the listed jobs; empty where the list names or filters them.
        polled_at: When the poll was made, or None after a restart.
        just_finished: Jobs that have finished in the latest polls, by id; none after a restart.
    """

    listing: JobList = msgspec.field(default_factory=JobList)
    tracked: Mapping[str, Job] = msgspec.field(default_factory=dict)
    counts: ListedCounts = msgspec.field(default_factory=dict)
    outcomes: Mapping[CollectionKey, CollectionOutcome] = msgspec.field(default_factory=dict)
    baseline_at: float | None = None
    databases: JobDatabases = _NO_DATABASES
    polled_at: float | None = None
    just_finished: Mapping[str, FinishedListing] = msgspec.field(default_factory=dict)

    def has_unfinished_jobs(self) -> bool:
        """Return whether any job is unfinished, listed or missing."""
        return any(not job.finished for job in self.tracked.values())

    def count_states(self) -> Counter[JobState]:
        """Count the listed jobs, and the unfinished ones that the list is without, by state."""
        states: Counter[JobState] = Counter()
        for (_, _, state), count in self.counts.items():
            states[state] += count
        states.update(job.state for job in self.tracked.values() if job.missing_since is not None and not job.finished)
        return states


class ShortImport(msgspec.Struct, frozen=True, gc=False):
    """A job that completed in less than a tenth of the typical time, and both times, in seconds."""

    job: Job
    duration: float
    typical: float


class SnapshotDiff(msgspec.Struct, frozen=True, gc=False):
    """What a poll changed: store, metrics, log and pages compare nothing themselves.

    Attributes:
        snapshot: The new snapshot.
        previous: The snapshot that the poll was compared with; None for a baseline.
        changed: Jobs that are new or differ from before, tracked or finished.
        removed_ids: Ids that are tracked no more and not among ``changed``: their retention has passed, or there are
            too many.
        delisted_ids: Ids of finished, untracked jobs that have left the list.
        transitions: Every step from state to state, in the order of the list; none for a baseline.
        stalled: Jobs that have just become stalled.
        resumed: Jobs that have just stopped being stalled.
        explained: Failed jobs whose reason came only now, after their transition was logged.
        incomplete: Jobs that have just completed without their rows.
        left_early: Number of finished jobs that were listed in too few polls before they left the list.
        short: Jobs that have just completed in less than a tenth of the typical time.
        describe_paused: Jobs that are described more and more rarely from now on, because describing them does harm.
        progressed: Number of jobs that went forward in their state.
        regressed: Number of jobs whose progress went back in their state.
        missing: Number of unfinished jobs that are missing from the list and have not vanished.
        dropped: Number of missing jobs that are tracked no more because there are too many.
        outcomes_changed: Whether an outcome of a collection has changed.
        counts_changed: Whether the numbers of listed jobs have changed; after a restart, that is so without any job.
    """

    snapshot: Snapshot
    previous: Snapshot | None
    changed: tuple[Job, ...] = ()
    removed_ids: tuple[str, ...] = ()
    delisted_ids: tuple[str, ...] = ()
    transitions: tuple[Transition, ...] = ()
    stalled: tuple[Job, ...] = ()
    resumed: tuple[Job, ...] = ()
    explained: tuple[Job, ...] = ()
    incomplete: tuple[Job, ...] = ()
    left_early: int = 0
    short: tuple[ShortImport, ...] = ()
    describe_paused: tuple[Job, ...] = ()
    progressed: int = 0
    regressed: int = 0
    missing: int = 0
    dropped: int = 0
    outcomes_changed: bool = False
    counts_changed: bool = False

    @property
    def baseline(self) -> bool:
        """Whether this was the first poll of the cluster ever."""
        return self.previous is None

    @property
    def changes_something(self) -> bool:
        """Whether there is anything to store or to show."""
        return bool(
            self.baseline
            or self.changed
            or self.removed_ids
            or self.delisted_ids
            or self.outcomes_changed
            or self.counts_changed
        )

    @property
    def must_be_recorded(self) -> bool:
        """Whether it has to be stored before it is published; mere progress can be stored a little later."""
        return bool(
            self.baseline or self.transitions or self.stalled or self.resumed or self.explained or self.outcomes_changed
        )
