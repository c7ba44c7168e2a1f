"""The lives of import jobs: what a job says of itself, as a pure function of its age."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from monitor.simulator.reasons import REASONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOREVER = math.inf
READ_AT, WRITTEN_AT = 40, 80
"""Milvus checks the files up to progress 40, and has written the rows by 80; then it builds indexes."""


class State(StrEnum):
    """The states of a job, in the words of the monitor; each API generation spells them its own way."""

    PENDING = "pending"
    IMPORTING = "importing"
    UNCOMMITTED = "uncommitted"
    COMMITTING = "committing"
    COMPLETED = "completed"
    FAILED = "failed"
    VANISHED = "vanished"


TERMINAL = frozenset({State.COMPLETED, State.FAILED})
VANISHED = str(State.VANISHED)


class Moment(NamedTuple):
    """What a job says of itself at one moment.

    Attributes:
        state: A `State`, or any other text, which is sent as it is.
        progress: Percent, as the server says it: 0 for a failed job.
        written: The highest progress so far; it decides how many rows are in.
        reason: Why it failed, or nothing.
        until: Up to when all of this holds; an age, or a time where `Life.at` was given an origin.
        since: When the state began, in the same way.
    """

    state: str
    progress: int
    written: int
    reason: str
    until: float
    since: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a life: one state, and a progress that runs from `start` to `end` in `seconds`."""

    state: str
    seconds: float
    start: int = 0
    end: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Life:
    """A sequence of phases, the last of which lasts for ever, unless the server forgets the job.

    Attributes:
        phases: In order of age.
        vanishes_after: The age in seconds at which the server forgets the job; describe then says it does not exist.
        kind: The name of the life, for people.
    """

    phases: tuple[Phase, ...]
    vanishes_after: float = FOREVER
    kind: str = "custom"
    _settled: tuple[float, float, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        begin = since = sum(phase.seconds for phase in self.phases[:-1])
        for phase in self.phases[-2::-1]:
            if phase.state != self.phases[-1].state:
                break
            since -= phase.seconds
        object.__setattr__(self, "_settled", (begin, since, max(phase.end for phase in self.phases)))

    def at(self, age: float, origin: float = 0.0, speed: float = 1.0) -> Moment:
        """Returns what a job of this life says at `age` seconds; state `vanished` once it is forgotten.

        Args:
            age: How long the life has lasted, in simulated seconds.
            origin: What `since` and `until` are counted from.
            speed: How many simulated seconds they take for one.
        """
        if age >= self.vanishes_after:
            return Moment(VANISHED, 0, 0, "", FOREVER, origin + self.vanishes_after / speed)
        settled, since, written = self._settled
        phase = self.phases[-1]
        if age >= settled and phase.start == phase.end:
            until = origin + self.vanishes_after / speed
            return Moment(phase.state, phase.end, written, phase.reason, until, origin + since / speed)
        begin = since = 0.0
        state, written, last = "", 0, self.phases[-1]
        for phase in self.phases:
            if phase.state != state:
                state, since = phase.state, begin
            end = begin + phase.seconds
            if age < end or phase is last:
                break
            written = max(written, phase.end)
            begin = end
        progress, until = phase.start, end if phase is not last else FOREVER
        if phase.start != phase.end and age >= begin and phase.seconds < FOREVER:
            step = phase.seconds / (phase.end - phase.start)
            steps = min(int((age - begin) / abs(step)), abs(phase.end - phase.start))
            progress += steps if step > 0 else -steps
            until = min(until, begin + (steps + 1) * abs(step))
        until = origin + min(until, self.vanishes_after) / speed
        written = max(written, progress)
        return Moment(state, progress, written, phase.reason, until, origin + since / speed)

    def changes(self, begin: float, end: float) -> list[tuple[float, str]]:
        """Returns (age, state) for each state a job has been in from age `begin` to age `end`."""
        found: list[tuple[float, str]] = []
        age = begin
        while age <= end:
            moment = self.at(age)
            if not found or found[-1][1] != moment.state:
                found.append((age, moment.state))
            ends = [at for at in self._boundaries() if at > age]
            if not ends:
                break
            age = ends[0]
        return found

    def _boundaries(self) -> list[float]:
        ages, begin = [], 0.0
        for phase in self.phases[:-1]:
            begin += phase.seconds
            ages.append(begin)
        return sorted({age for age in (*ages, self.vanishes_after) if age <= self.vanishes_after and age < FOREVER})

    @classmethod
    def frozen(cls, state: str = State.IMPORTING, progress: int = 0, reason: str = "") -> Life:
        """Returns a life in which nothing ever changes."""
        return cls((Phase(state, FOREVER, progress, progress, reason),), kind="frozen")

    @classmethod
    def completing(cls, seconds: float = 60.0) -> Life:
        """Returns the life of a job that completes after `seconds`: pending, reading, writing, indexing."""
        return cls((*_importing(seconds), _COMPLETED), kind="completing")

    @classmethod
    def failing(cls, reason: str = REASONS["file_not_found"][0], after: float = 30.0, at: int = 60) -> Life:
        """Returns the life of a job that fails after `after` seconds, when its progress was about `at`."""
        return cls((*_up_to(at, after), Phase(State.FAILED, FOREVER, 0, 0, reason)), kind="failing")

    @classmethod
    def stalling(cls, at: int = 80, after: float = 30.0) -> Life:
        """Returns the life of a job that reaches `at` percent after `after` seconds and never moves again (39348)."""
        return cls((*_up_to(at, after), Phase(State.IMPORTING, FOREVER, at, at)), kind="stalling")

    @classmethod
    def pending(cls, seconds: float = FOREVER, then: float = 60.0) -> Life:
        """Returns the life of a job that waits `seconds` (31227) and then completes within `then` seconds."""
        waiting = Phase(State.PENDING, seconds)
        if seconds == FOREVER:
            return cls((waiting,), kind="pending")
        return cls((waiting, *_importing(then), _COMPLETED), kind="pending")

    @classmethod
    def uncommitted(cls, after: float = 30.0, commit_after: float = FOREVER) -> Life:
        """Returns the life of a two-phase import that waits, at 99, for a human's commit (51070)."""
        waiting = Phase(State.UNCOMMITTED, commit_after, 99, 99)
        if commit_after == FOREVER:
            return cls((*_importing(after), waiting), kind="uncommitted")
        return cls((*_importing(after), waiting, Phase(State.COMMITTING, 2.0, 99, 99), _COMPLETED), kind="uncommitted")

    @classmethod
    def vanishing(cls, after: float = 30.0, at: int = 60) -> Life:
        """Returns the life of a job that the server forgets after `after` seconds, in mid-work (24939)."""
        return cls((*_up_to(at, after), Phase(State.IMPORTING, FOREVER, at, at)), after, kind="vanishing")

    @classmethod
    def completed_then_failed(
        cls, after: float = 30.0, failed_after: float = 30.0, reason: str = REASONS["collection_dropped"][0]
    ) -> Life:
        """Returns the life of a job that fails `failed_after` seconds after it had completed (45766, 38688)."""
        done = Phase(State.COMPLETED, failed_after, 100, 100)
        failed = Phase(State.FAILED, FOREVER, 0, 0, reason)
        return cls((*_importing(after), done, failed), kind="completed_then_failed")

    @classmethod
    def jumping_back(cls, seconds: float = 60.0, at: int = 70, to: int = 30) -> Life:
        """Returns the life of a job whose progress falls from `at` to `to` half-way, and which then completes."""
        again = Phase(State.IMPORTING, seconds / 2, to, 99)
        return cls((*_up_to(at, seconds / 2), again, _COMPLETED), kind="jumping_back")

    @classmethod
    def of(cls, kind: str, parameters: Mapping[str, Any] | None = None) -> Life:
        """Returns the life with that name, as `simulate` takes it over HTTP.

        Args:
            kind: One of `KINDS`.
            parameters: The keyword arguments of the class method with that name.

        Raises:
            ValueError: No such kind, or no such parameters.
        """
        make = KINDS.get(kind)
        if make is None:
            raise ValueError(f"no life named {kind!r}; there are {', '.join(KINDS)}")
        try:
            return make(**(parameters or {}))
        except TypeError as error:
            raise ValueError(f"life {kind!r}: {error}") from error


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


KINDS: Mapping[str, Callable[..., Life]] = {
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
