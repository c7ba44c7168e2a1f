"""The nouns: a job as the server tells it, the same job as we follow it, and a step from one state to another.

What is made for each job or at each poll is a msgspec Struct, not a dataclass: frozen as well, and made in a tenth of
the time. ``gc=False`` keeps the search for garbage from looking at all of them again and again. It is for what can
never be part of a cycle: everything that is frozen, and made of what was there before it.
``omit_defaults`` keeps what is stored of a job small: what is not known, or as it usually is, is not written.
"""

from enum import StrEnum

import msgspec

from monitor.jobs.failures import Failure


class JobState(StrEnum):
    """The normalised states of an import job; the value is what labels and log lines say."""

    PENDING = "pending"
    IMPORTING = "importing"
    UNCOMMITTED = "uncommitted"
    COMMITTING = "committing"
    COMPLETED = "completed"
    FAILED = "failed"
    VANISHED = "vanished"
    UNKNOWN = "unknown"


IMPORTING, COMPLETED, FAILED = JobState.IMPORTING, JobState.COMPLETED, JobState.FAILED
"""States that are asked for at every change of a job: to find a member by its class takes ten times as long."""

TERMINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.VANISHED})
"""States in which a job is finished. Not always final: ``completed`` can become ``failed`` (Milvus issue 45766)."""

WAITING = frozenset({JobState.PENDING, JobState.UNCOMMITTED})
"""States in which a job waits for somebody, and makes no progress. Asking a set is quicker than asking for members."""


Place = tuple[str, str]
"""A database and a collection in it."""


class Job(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One job, as one answer of the server describes it.

    Attributes:
        job_id: The server's id, as text; with the cluster's name it is the job's identity.
        collection: Name of the collection; empty where the API does not say.
        state: Normalised state.
        database: Name of the database; empty where the API does not say.
        progress: 0 to 1, or None where this answer does not say.
        reason: The server's text on a failure; empty when there is none.
        raw_state: The server's own word, only where ``state`` is unknown.
        imported_rows: Rows imported so far, or None.
        total_rows: Rows in all, or None.
        created_at: When the server says the job was created, or None.
        completed_at: When the server says the job ended, or None.
    """

    job_id: str
    collection: str
    state: JobState
    database: str = ""
    progress: float | None = None
    reason: str = ""
    raw_state: str = ""
    imported_rows: int | None = None
    total_rows: int | None = None
    created_at: float | None = None
    completed_at: float | None = None


class TrackedJob(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One job, as we have followed it from poll to poll.

    Attributes:
        job: The latest facts; what an answer leaves out is kept from earlier ones.
        first_seen: When a poll first saw the job.
        state_since: When a poll first saw it in its present state.
        last_change: When its state changed or it last made net progress.
        peak_progress: The most progress seen in the present state; going back and forth below it is no progress.
        peak_rows: The same for imported rows.
        finished_at: When it finished (as seen, or as the server says for a job first seen finished), or None.
        stalled: Whether it is past the limit of its state without progress.
        missing_since: Since when the list leaves it out, or None while it is listed.
        asked_at: When a describe was last sent for it, or None.
        answered_at: When a describe was last answered with facts about it, or None.
        samples: Latest distinct (time, progress) points of the present state, oldest first.
    """

    job: Job
    first_seen: float
    state_since: float
    last_change: float
    peak_progress: float = 0.0
    peak_rows: int = 0
    finished_at: float | None = None
    stalled: bool = False
    missing_since: float | None = None
    asked_at: float | None = None
    answered_at: float | None = None
    samples: tuple[tuple[float, float], ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the job is in a terminal state."""
        return self.job.state in TERMINAL

    @property
    def retired(self) -> bool:
        """Whether the job has finished and has left the list: only remembered, so that its return is no news."""
        return self.missing_since is not None and self.finished


class CollectionOutcome(msgspec.Struct, frozen=True, gc=False):
    """How the latest import of one collection ended.

    Attributes:
        last_failed: Whether the most recent finished job failed; None where the order of the jobs cannot be known.
        last_completed_at: When a job last completed, or None where no time is known.
        last_finished_at: When the job ended that ``last_failed`` is about, or None where no time is known.
    """

    last_failed: bool | None = None
    last_completed_at: float | None = None
    last_finished_at: float | None = None


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One step of one job from a state to another.

    Attributes:
        from_state: None for a job first seen.
        at: When the poll saw it.
        duration: Seconds from first seen until ``at``.
        failure: The class of a failure, None where the job did not fail.
        unexpected: Whether jobs do not normally take this step: out of a terminal state, or backwards.
    """

    job_id: str
    database: str
    collection: str
    from_state: JobState | None
    to_state: JobState
    at: float
    progress: float | None
    reason: str
    failure: Failure | None
    duration: float
    unexpected: bool = False
