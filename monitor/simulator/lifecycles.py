"""Lifecycles of import jobs: state and progress as a pure function of a job's age."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Self

import msgspec

from monitor.simulator.reasons import REASONS

FOREVER = math.inf
READ_AT, WRITTEN_AT = 40, 80
"""Milvus checks the files up to progress 40 and has written the rows by 80; then it builds indexes."""


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
    """State and progress of a job at one moment.

    Attributes:
        state: A `State`, or any other text, which the server sends as it is.
        progress: Percent, as the server sends it: 0 for a failed job.
        highest: The highest progress so far; it decides how many rows are imported.
        reason: Why the job failed; empty otherwise.
        since: When the state began: an age in seconds of `Life.at`, seconds since the epoch of `SimulatedJob.status`.
    """

    state: str
    progress: int
    highest: int
    reason: str
    since: float


class Phase(msgspec.Struct, frozen=True, gc=False):
    """One state for `seconds`, with a progress that runs from `start` to `end` percent."""

    state: str
    seconds: float
    start: int = 0
    end: int = 0
    reason: str = ""


class Life(msgspec.Struct, frozen=True, gc=False):
    """A sequence of phases; the last one has no end, unless the server forgets the job at an age in seconds."""

    phases: tuple[Phase, ...]
    vanishes_after: float = FOREVER

    def at(self, age: float) -> Status:
        """Return the status at `age` seconds; its state is `vanished` once the server has forgotten the job."""
        if age >= self.vanishes_after:
            return Status(State.VANISHED, 0, 0, "", self.vanishes_after)
        begin = since = 0.0
        state, highest, last = "", 0, self.phases[-1]
        for phase in self.phases:
            if phase.state != state:
                state, since = phase.state, begin
            if age < begin + phase.seconds or phase is last:
                break
            highest = max(highest, phase.end)
            begin += phase.seconds
        elapsed = min((age - begin) / phase.seconds, 1.0) if phase.seconds else 1.0
        progress = phase.start + int((phase.end - phase.start) * elapsed)
        return Status(state, progress, max(highest, progress), phase.reason, since)

    @classmethod
    def frozen(cls, state: str = State.IMPORTING, progress: int = 0, reason: str = "") -> Self:
        """Return a life in which nothing changes."""
        return cls((Phase(state, FOREVER, progress, progress, reason),))

    @classmethod
    def completing(cls, seconds: float = 60.0) -> Self:
        """Return the life of a job that completes after `seconds`."""
        return cls((*_importing(seconds), _COMPLETED))

    @classmethod
    def failing(cls, reason: str = REASONS["file_not_found"][0], after: float = 30.0, at: int = 60) -> Self:
        """Return the life of a job that fails after `after` seconds, at a progress of about `at` percent."""
        return cls((*_up_to(at, after), Phase(State.FAILED, FOREVER, 0, 0, reason)))

    @classmethod
    def stalling(cls, at: int = 80, after: float = 30.0, fails_after: float = FOREVER) -> Self:
        """Return the life of a job that reaches `at` percent after `after` seconds and stays there (39348)."""
        stalled = Phase(State.IMPORTING, fails_after, at, at)
        failed = (Phase(State.FAILED, FOREVER, reason=REASONS["timeout"][0]),) if fails_after < FOREVER else ()
        return cls((*_up_to(at, after), stalled, *failed))

    @classmethod
    def pending(cls, seconds: float = FOREVER, then: float = 60.0) -> Self:
        """Return the life of a job that waits `seconds` (31227) and then completes within `then` seconds."""
        waiting = Phase(State.PENDING, seconds)
        return cls((waiting,) if seconds == FOREVER else (waiting, *_importing(then), _COMPLETED))

    @classmethod
    def uncommitted(cls, after: float = 30.0, commit_after: float = FOREVER) -> Self:
        """Return the life of a two-phase import that waits at 99 percent for a commit (51070)."""
        phases = (*_importing(after), Phase(State.UNCOMMITTED, commit_after, 99, 99))
        if commit_after != FOREVER:
            phases = (*phases, Phase(State.COMMITTING, 2.0, 99, 99), _COMPLETED)
        return cls(phases)

    @classmethod
    def vanishing(cls, after: float = 30.0, at: int = 60) -> Self:
        """Return the life of a job that the server forgets after `after` seconds while it is importing (24939)."""
        return cls((*_up_to(at, after), Phase(State.IMPORTING, FOREVER, at, at)), after)

    @classmethod
    def completed_then_failed(
        cls, after: float = 30.0, failed_after: float = 30.0, reason: str = REASONS["collection_dropped"][0]
    ) -> Self:
        """Return the life of a job that fails `failed_after` seconds after it completed (45766, 38688)."""
        completed = Phase(State.COMPLETED, failed_after, 100, 100)
        failed = Phase(State.FAILED, FOREVER, 0, 0, reason)
        return cls((*_importing(after), completed, failed))

    @classmethod
    def jumping_back(cls, seconds: float = 60.0, at: int = 70, to: int = 30) -> Self:
        """Return the life of a job whose progress falls from `at` to `to` half-way before it completes."""
        again = Phase(State.IMPORTING, seconds / 2, to, 99)
        return cls((*_up_to(at, seconds / 2), again, _COMPLETED))


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


LIVES: Mapping[str, Callable[..., Life]] = {
    "completing": Life.completing,
    "failing": Life.failing,
    "stalling": Life.stalling,
    "pending": Life.pending,
    "uncommitted": Life.uncommitted,
    "vanishing": Life.vanishing,
    "completed_then_failed": Life.completed_then_failed,
    "jumping_back": Life.jumping_back,
    "frozen": Life.frozen,
}
