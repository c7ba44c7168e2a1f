"""Lifecycles of import jobs: state and progress as a pure function of a job's age."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Self

import msgspec

FOREVER = math.inf
READ_AT, WRITTEN_AT = 40, 80
"""Milvus checks the files up to progress 40 and has written the rows by 80; then it builds indexes."""

REASONS: Mapping[str, str] = {
    "file_not_found": "open file failed, path=events/part-7.parquet: file does not exist",
    "permission_denied": "get object failed, AccessDenied: Access Denied status code: 403, request id: 5KXQ8ZB4T0M1W2E",
    "schema_mismatch": "expected dim '768' for field 'embedding', got dim '384': importing data failed",
    "bad_data": "failed to decode JSON, error: invalid character '}' looking for beginning of object key string",
    "quota_exceeded": "quota exceeded[reason=disk quota exceeded, please allocate more resources]",
    "timeout": "import timeout",
    "aborted": "import job aborted by user",
    "collection_dropped": "collection 449213748710232911 dropped",
    "internal": "node offline[node=14]: importing data failed",
}
"""Reasons of failed imports by failure class, from Milvus issues, `import_checker.go` and `importutilv2`."""


class State(StrEnum):
    """The states of a job in the monitor's words; each dialect spells them its own way."""

    PENDING = "pending"
    IMPORTING = "importing"
    UNCOMMITTED = "uncommitted"
    COMMITTING = "committing"
    COMPLETED = "completed"
    FAILED = "failed"
    VANISHED = "vanished"


TERMINAL = frozenset({State.COMPLETED, State.FAILED})


class Status(msgspec.Struct, frozen=True, gc=False):
    """State and progress of a job at one moment."""

    state: str
    """A `State`, or any other text, which the server sends as it is; `vanished` once it has forgotten the job."""
    progress: int  # percent, as the server sends it: 0 for a failed job
    reason: str  # why the job failed; empty otherwise
    since: float  # when the state began: an age for `Lifecycle.at`, seconds since the epoch for `SimulatedJob.status`

    @property
    def imported_share(self) -> float:
        """How much of the job's rows is imported, from 0 to 1."""
        return min(max((self.progress - READ_AT) / (WRITTEN_AT - READ_AT), 0.0), 1.0)


class Phase(msgspec.Struct, frozen=True, gc=False):
    """One state for `seconds`, with a progress that runs from `start` to `end` percent."""

    state: str
    seconds: float = FOREVER
    start: int = 0
    end: int = 0
    reason: str = ""


class Lifecycle(msgspec.Struct, frozen=True, gc=False):
    """A sequence of phases; the last one has no end."""

    phases: tuple[Phase, ...]

    def at(self, age: float) -> Status:
        """Return the status at `age` seconds."""
        begin = since = 0.0
        state, last = "", self.phases[-1]
        for phase in self.phases:
            if phase.state != state:
                state, since = phase.state, begin
            if age < begin + phase.seconds or phase is last:
                break
            begin += phase.seconds
        elapsed = min((age - begin) / phase.seconds, 1.0) if phase.seconds else 1.0
        progress = phase.start + int((phase.end - phase.start) * elapsed)
        return Status(state, progress, phase.reason, since)

    @classmethod
    def frozen(cls, state: str = State.IMPORTING, progress: int = 0, reason: str = "") -> Self:
        """Nothing changes."""
        return cls((Phase(state, FOREVER, progress, progress, reason),))

    @classmethod
    def completing(cls, seconds: float = 60.0) -> Self:
        """Complete after `seconds`."""
        return cls((*_importing(seconds), _COMPLETED))

    @classmethod
    def failing(cls, reason: str = REASONS["file_not_found"], after: float = 30.0, at: int = 60) -> Self:
        """Fail after `after` seconds, at a progress of about `at` percent."""
        return cls((*_up_to(at, after), Phase(State.FAILED, reason=reason)))

    @classmethod
    def stalling(cls, at: int = 80, after: float = 30.0, fails_after: float = FOREVER) -> Self:
        """Reach `at` percent after `after` seconds and stay there (39348)."""
        stalled, failed = Phase(State.IMPORTING, fails_after, at, at), Phase(State.FAILED, reason=REASONS["timeout"])
        return cls((*_up_to(at, after), stalled, failed))

    @classmethod
    def pending(cls, seconds: float = FOREVER, then: float = 60.0) -> Self:
        """Wait `seconds` (31227) and then complete within `then` seconds."""
        return cls((Phase(State.PENDING, seconds), *_importing(then), _COMPLETED))

    @classmethod
    def uncommitted(cls, after: float = 30.0, commit_after: float = FOREVER) -> Self:
        """Wait at 99 percent for the commit of a two-phase import (51070)."""
        waiting = Phase(State.UNCOMMITTED, commit_after, 99, 99)
        return cls((*_importing(after), waiting, Phase(State.COMMITTING, 2.0, 99, 99), _COMPLETED))

    @classmethod
    def vanishing(cls, after: float = 30.0, at: int = 60) -> Self:
        """Be forgotten by the server after `after` seconds while importing (24939)."""
        return cls((*_up_to(at, after), Phase(State.VANISHED)))

    @classmethod
    def completed_then_failed(
        cls, after: float = 30.0, failed_after: float = 30.0, reason: str = REASONS["collection_dropped"]
    ) -> Self:
        """Fail `failed_after` seconds after completion (45766, 38688)."""
        completed = Phase(State.COMPLETED, failed_after, 100, 100)
        return cls((*_importing(after), completed, Phase(State.FAILED, reason=reason)))

    @classmethod
    def jumping_back(cls, seconds: float = 60.0, at: int = 70, to: int = 30) -> Self:
        """Fall from `at` to `to` percent half-way to completion."""
        return cls((*_up_to(at, seconds / 2), Phase(State.IMPORTING, seconds / 2, to, 99), _COMPLETED))


_COMPLETED = Phase(State.COMPLETED, FOREVER, 100, 100)


def _importing(seconds: float) -> tuple[Phase, ...]:
    return (
        Phase(State.PENDING, seconds * 0.1),
        Phase(State.IMPORTING, seconds * 0.2, 10, READ_AT),
        Phase(State.IMPORTING, seconds * 0.4, READ_AT, WRITTEN_AT),
        Phase(State.IMPORTING, seconds * 0.15, WRITTEN_AT, WRITTEN_AT),
        Phase(State.IMPORTING, seconds * 0.15, WRITTEN_AT, 99),
    )


def _up_to(progress: int, seconds: float) -> tuple[Phase, ...]:
    return (
        Phase(State.PENDING, seconds * 0.1),
        Phase(State.IMPORTING, seconds * 0.9, min(10, progress), progress),
    )


LIFECYCLES: Mapping[str, Callable[..., Lifecycle]] = {
    kind: getattr(Lifecycle, kind)
    for kind in (
        *("completing", "failing", "stalling", "pending", "uncommitted"),
        *("vanishing", "completed_then_failed", "jumping_back", "frozen"),
    )
}
FIRST_LIFECYCLES = (
    Lifecycle.completing(40),
    Lifecycle.failing(REASONS["file_not_found"], after=20),
    Lifecycle.stalling(80, after=20, fails_after=900),  # else the lists of a long demo would only grow
    Lifecycle.vanishing(after=30),
    Lifecycle.failing(REASONS["schema_mismatch"], after=28, at=25),
    Lifecycle.completed_then_failed(22, 20),
    Lifecycle.pending(600),
    Lifecycle.uncommitted(25, commit_after=400),
    Lifecycle.jumping_back(50),
    Lifecycle.failing(REASONS["permission_denied"], after=35, at=10),
    Lifecycle.failing(REASONS["quota_exceeded"], after=40, at=40),
    Lifecycle.completing(90),
)
"""The lifecycles of the first jobs of a cluster: each kind, and each is visible within a minute."""
LATER_LIFECYCLES = (
    *FIRST_LIFECYCLES,
    *(Lifecycle.completing(20 + 15 * (index % 30)) for index in range(60)),
    *(
        Lifecycle.failing(reason, after=15 + 14 * index, at=(10, 35, 60, 90)[index % 4])
        for index, reason in enumerate(REASONS.values())
    ),
)
"""The lifecycles of all later jobs: most complete, some fail, and every reason occurs."""
