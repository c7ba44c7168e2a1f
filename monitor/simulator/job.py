"""One simulated import job: its life, its files and rows, and the strings by which a test can pull it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from monitor.simulator.lives import READ_AT, TERMINAL, VANISHED, WRITTEN_AT, Life, Moment, State

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROW_BYTES = 540
_KNOWN = {str(state): state for state in State}


@dataclass(frozen=True, slots=True)
class FileProgress:
    """What describe says of one file of a job; `completed` is a time in seconds, or None."""

    name: str
    size: int
    state: str
    progress: int
    imported_rows: int
    total_rows: int
    completed: float | None
    reason: str


class Owner(Protocol):
    """What a job must know of its cluster."""

    @property
    def speed(self) -> float:
        """How many simulated seconds pass in one second."""

    def touch(self) -> float:
        """Notes that something was changed by hand, and returns the time."""


class Row(NamedTuple):
    """A job, and what it says of itself at the moment of an answer."""

    job: SimulatedJob
    moment: Moment


class SimulatedJob:
    """An import job of a `SimulatedCluster`; made by `SimulatedCluster.add_job`.

    Attributes:
        id: The job id, as its API generation writes it.
        collection: The name of the collection it imports into.
        database: The name of the database of that collection.
        created: When it was created, in seconds since the epoch.
        total_rows: How many rows its files hold.
        files: The names of its files.
    """

    __slots__ = ("_lives", "_owner", "collection", "created", "database", "files", "id", "total_rows")

    def __init__(
        self,
        owner: Owner,
        job_id: str,
        life: Life,
        created: float,
        collection: str,
        database: str,
        files: Sequence[str],
        total_rows: int,
    ) -> None:
        self.id = job_id
        self.created = created
        self.collection = collection
        self.database = database
        self.files = files
        self.total_rows = total_rows
        self._lives: tuple[tuple[float, Life], ...] = ((created, life),)
        self._owner = owner

    def __repr__(self) -> str:
        return f"<SimulatedJob {self.id[:40]} {self._lives[-1][1].kind}>"

    @property
    def life(self) -> Life:
        """The life it leads now."""
        return self._lives[-1][1]

    def at(self, now: float) -> Moment:
        """Returns what it says of itself at the time `now`; `until` and `since` are times, not ages."""
        begin, life = self._lives[-1]
        speed = self._owner.speed
        return life.at((now - begin) * speed, begin, speed)

    def set(self, state: str | None = None, progress: int | None = None, reason: str | None = None) -> None:
        """Freezes it to a state, from now on; what is not given stays, except that a finished job says 100 or 0.

        Args:
            state: A `State` in any case, or any other text, which the server then sends as it is.
            progress: Percent; any number, also one that no server should send.
            reason: Why it failed.
        """
        now = self._owner.touch()
        old = self.at(now)
        new = old.state if state is None else _KNOWN.get(state.lower(), state)
        if progress is None:
            progress = {State.COMPLETED: 100, State.FAILED: 0}.get(new, old.progress)  # type: ignore[call-overload]
        self.live(Life.frozen(new, progress, old.reason if reason is None else reason))

    def live(self, life: Life) -> None:
        """Begins another life, now."""
        self._lives = (*self._lives, (self._owner.touch(), life))

    def forget(self) -> None:
        """Makes the server forget it: no list has it, and describe says that it does not exist."""
        self.live(Life.frozen(VANISHED))

    def changes(self, now: float) -> list[tuple[float, str]]:
        """Returns (time, state) for each state it has been in up to `now`."""
        found: list[tuple[float, str]] = []
        ends = [begin for begin, _ in self._lives[1:]] + [now]
        for (begin, life), end in zip(self._lives, ends, strict=True):
            for age, state in life.changes(0.0, (end - begin) * self._owner.speed):
                if not found or found[-1][1] != state:
                    found.append((begin + age / self._owner.speed, state))
        return found

    def file_size(self) -> int:
        """Returns the bytes of all its files."""
        return self.total_rows * _ROW_BYTES

    def counted_rows(self, moment: Moment) -> int:
        """Returns how many rows the server knows of: none before it has read the files."""
        return self.total_rows if moment.written >= READ_AT else 0

    def imported_rows(self, moment: Moment) -> int:
        """Returns how many rows are in: none once it has failed."""
        share = min(max((moment.written - READ_AT) / (WRITTEN_AT - READ_AT), 0.0), 1.0)
        return int(self.total_rows * share) if moment.state != State.FAILED else 0

    def completed(self, moment: Moment) -> float | None:
        """Returns when it ended, in seconds since the epoch, or None."""
        return moment.since if moment.state in TERMINAL else None

    def file_progress(self, moment: Moment) -> list[FileProgress]:
        """Returns each file's share, one file after the other; nothing while it is pending, as on real servers."""
        if moment.state == State.PENDING or not self.files:
            return []
        count, imported, reason = len(self.files), self.imported_rows(moment), moment.reason
        found, begin = [], 0
        for index, name in enumerate(self.files):
            rows = self.total_rows // count + (index < self.total_rows % count)
            done = min(max(imported - begin, 0), rows)
            whole = done >= rows and moment.written >= WRITTEN_AT
            begin += rows
            state: str = State.IMPORTING
            if moment.state == State.FAILED:
                state = State.FAILED
            elif whole:
                state = State.COMPLETED
            progress = 100 if state == State.COMPLETED else min(moment.progress, 30) + 70 * done // max(rows, 1)
            found.append(
                FileProgress(
                    name,
                    rows * _ROW_BYTES,
                    state,
                    max(min(progress, 100), 0) if state != State.FAILED else 0,
                    done,
                    rows if moment.written >= READ_AT else 0,
                    self.completed(moment) if state != State.IMPORTING else None,
                    reason if state == State.FAILED else "",
                )
            )
            if state == State.FAILED:
                reason = ""  # the server names the reason at the file that broke, here the first
        return found
