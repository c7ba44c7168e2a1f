"""The data of import jobs: a record as a server lists it, a job followed from poll to poll, a transition.

All are frozen msgspec Structs: they compare and copy in C. ``gc=False`` spares the garbage collector a million objects
that can never be part of a cycle. Times are seconds since the epoch (UTC), progress is a ratio from 0 to 1.
"""

from enum import StrEnum
from typing import Annotated, Final

import msgspec

from monitor.jobs.failures import Failure

ID_LIMIT: Final = 128
"""Characters of a job id; Milvus' have 18, Zilliz Cloud's 26 or 36."""

NAME_LIMIT: Final = 256
"""Characters of a collection's or database's name; Milvus allows 255."""

REASON_LIMIT: Final = 4096
"""Characters kept of a reason."""


class JobState(StrEnum):
    """The normalised states of an import job; the value is what labels and log lines show."""

    PENDING = "pending"
    IMPORTING = "importing"
    UNCOMMITTED = "uncommitted"
    COMMITTING = "committing"
    COMPLETED = "completed"
    FAILED = "failed"
    VANISHED = "vanished"
    UNKNOWN = "unknown"


TERMINAL: Final = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.VANISHED})
"""States in which a job has finished. Not always final: ``completed`` can become ``failed`` (Milvus issue 45766)."""

UNSUCCESSFUL: Final = frozenset({JobState.FAILED, JobState.VANISHED})
"""Terminal states that need attention."""

WAITING: Final = frozenset({JobState.PENDING, JobState.UNCOMMITTED})
"""States in which a job waits for somebody and makes no progress."""

STATE_ORDER: Final = {JobState.PENDING: 0, JobState.IMPORTING: 1, JobState.UNCOMMITTED: 2, JobState.COMMITTING: 3}
"""The order in which jobs pass through the unfinished states; a step backwards is unexpected."""

RAW_STATES: Final = {
    "pending": JobState.PENDING,
    "importpending": JobState.PENDING,
    "0": JobState.PENDING,
    "importing": JobState.IMPORTING,
    "inprogress": JobState.IMPORTING,
    "importrunning": JobState.IMPORTING,
    "importstarted": JobState.IMPORTING,
    "2": JobState.IMPORTING,
    "importpersisted": JobState.IMPORTING,
    "5": JobState.IMPORTING,
    "importflushed": JobState.IMPORTING,
    "uncommitted": JobState.UNCOMMITTED,
    "committing": JobState.COMMITTING,
    "completed": JobState.COMPLETED,
    "importcompleted": JobState.COMPLETED,
    "6": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "importfailed": JobState.FAILED,
    "1": JobState.FAILED,
    "importfailedandcleaned": JobState.FAILED,
    "7": JobState.FAILED,
}
"""The servers' words for a state, in lower case; numbers are those of Milvus 2.2 and 2.3."""

_AS_WRITTEN: Final = {**RAW_STATES, **{word.capitalize(): state for word, state in RAW_STATES.items()}}


def normalize_state(raw: str) -> JobState:
    """Return the state that a server's word stands for, ``UNKNOWN`` for any other word."""
    return _AS_WRITTEN.get(raw) or RAW_STATES.get(raw.strip().lower(), JobState.UNKNOWN)


def whole_percent(ratio: float) -> int:
    """Return a ratio in whole percent; less than 100 until it is 1."""
    return int(ratio * 100 + 1e-9)  # 0.29 * 100 is a little less than 29


CollectionKey = tuple[str, str]
"""A database and a collection in it."""


_Name = Annotated[str, msgspec.Meta(max_length=NAME_LIMIT)]
_Rows = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # exact as a float, in which other notations are read


class JobRecord(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One job as one response of the server describes it, in the server's own words; as JSON, a record of the v2 API.

    Text that the response lacks is empty, numbers are None. Records of the same job are compared with ``==`` to
    see whether anything has changed.

    Attributes:
        job_id: The server's id, as text; with the cluster's name it is the job's identity.
        state: The server's word for the state (v1's describe has none).
        progress: Percent from 0 to 100.
        reason: The server's text on a failure.
    """

    job_id: Annotated[str, msgspec.Meta(min_length=1, max_length=ID_LIMIT)]
    state: _Name = ""
    collection: _Name = msgspec.field(default="", name="collectionName")
    progress: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    reason: Annotated[str, msgspec.Meta(max_length=REASON_LIMIT)] = ""
    database: _Name = msgspec.field(default="", name="dbName")
    imported_rows: _Rows | None = None
    total_rows: _Rows | None = None
    create_time: _Name = ""
    complete_time: _Name = ""


class Job(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One job, followed from poll to poll; text that the server has not reported is empty, everything else is None.

    Attributes:
        first_seen: When a poll first saw the job.
        state_since: When a poll first saw it in its current state.
        last_change: When its state changed or it last made net progress.
        failure: The class of the failure, decided at the transition; None for jobs that have not failed.
        raw_state: The server's own word, only where ``state`` is unknown.
        created_at: When the job was created, as the server says.
        completed_at: When it ended, as the server says.
        peak_progress: The most progress seen in the current state; going back and forth below it is no progress.
        peak_rows: The same for imported rows.
        incomplete: Whether it completed with no rows, or with a number of rows that is far from the total.
        retried: Whether progress has fallen in the current state and risen steadily since: the server retried.
        finished_at: When it finished (as seen, or as the server says for a job first seen finished), or None.
        stalled: Whether it has made no progress for longer than the limit of its state.
        missing_since: Since when it has been missing from the list, or None while it is listed.
        describe_sent_at: When a describe was last sent for it, or None.
        described_at: When a describe of it last succeeded, or None.
        harmful_describes: Describes in a row that cut the connection or timed out.
        samples: Latest distinct (time, progress) points of the current state, oldest first.
    """

    job_id: str
    collection: str
    state: JobState
    first_seen: float
    state_since: float
    last_change: float
    database: str = ""
    progress: float | None = None
    reason: str = ""
    failure: Failure | None = None
    raw_state: str = ""
    imported_rows: int | None = None
    total_rows: int | None = None
    created_at: float | None = None
    completed_at: float | None = None
    peak_progress: float = 0.0
    peak_rows: int = 0
    incomplete: bool = False
    retried: bool = False
    finished_at: float | None = None
    stalled: bool = False
    missing_since: float | None = None
    describe_sent_at: float | None = None
    described_at: float | None = None
    harmful_describes: int = 0
    samples: tuple[tuple[float, float], ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the job is in a terminal state."""
        return self.state in TERMINAL

    @property
    def unsuccessful(self) -> bool:
        """Whether it failed, vanished, or completed without its rows: such jobs stay tracked for a while."""
        return self.state in UNSUCCESSFUL or self.incomplete


class CollectionOutcome(msgspec.Struct, frozen=True, gc=False):
    """How the latest import of one collection ended.

    Attributes:
        last_failed: Whether the most recent finished job failed; None where the order of the jobs cannot be known.
        last_completed_at: When a job last completed, or None where no time is known.
        last_finished_at: When the job ended that ``last_failed`` is about, or None where no time is known.
        last_aborted: Whether it failed because a user aborted it or dropped the collection, with no other failure
            since an import last completed.
        durations: Seconds that the latest completed imports took, oldest first, separated by spaces: as text they
            take a fifth of the memory.
        last_short: Whether the import that completed last took less than a tenth of the typical time.
        failures_in_a_row: Imports that have failed since one last completed; aborted ones do not count.
    """

    last_failed: bool | None = None
    last_completed_at: float | None = None
    last_finished_at: float | None = None
    last_aborted: bool = False
    durations: str = ""
    last_short: bool = False
    failures_in_a_row: int = 0


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One step of one job from a state to another.

    Attributes:
        from_state: None for a job first seen.
        at: When the poll saw it.
        failure: The class of a failure, None where the job did not fail.
        duration: Seconds from first seen until ``at``.
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


JobPair = tuple[Job | None, Job]
"""A job before a poll, None where this poll has seen the job first, and the same job after the poll."""


class ClockStep(msgspec.Struct, frozen=True, gc=False):
    """A step of the clock: it went forward by so many seconds, back where they are negative, up to a new time."""

    at: float
    seconds: float


class Policy(msgspec.Struct, frozen=True, gc=False):
    """The settings of a cluster by which its jobs are followed, in seconds.

    Attributes:
        stall_after: Time without progress after which a job counts as stalled while it imports or commits.
        pending_after: The same while it waits to be started (Milvus issues 31227, 32195).
        uncommitted_after: The same while it waits for its commit (Milvus issue 51070).
        failed_retention: Time for which an unsuccessful job stays tracked, listed or not.
        missing_limit: Jobs that stay tracked although they are missing from the list.
        several_databases: Whether the cluster has several: jobs of unknown databases can be of different collections.
        clock_steps: Steps of the clock, whose time does not count as time without progress.
        poll_failed: Whether the poll before has failed.
    """

    stall_after: float = 1800.0
    pending_after: float = 3600.0
    uncommitted_after: float = 3600.0
    failed_retention: float = 86_400.0
    missing_limit: int = 100_000
    several_databases: bool = False
    clock_steps: tuple[ClockStep, ...] = ()
    poll_failed: bool = False
