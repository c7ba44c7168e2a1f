"""A simulated import job: its lifecycle, its files and its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from monitor.simulator.lifecycles import READ_AT, TERMINAL, WRITTEN_AT, Life, State, Status

_ROW_BYTES = 540
_STATES = {str(state): state for state in State}


class ImportProgress(msgspec.Struct, frozen=True, gc=False):
    """A job or one of its files in a describe response; `completed` is in seconds since the epoch, or None."""

    name: str
    size: int
    state: str
    progress: int
    imported_rows: int
    total_rows: int
    completed: float | None
    reason: str


@dataclass(slots=True, eq=False)
class SimulatedJob:
    """An import job, made by `SimulatedCluster.add_job`.

    Attributes:
        files: The names of its files.
        created: When it was created, in seconds since the epoch.
        life: When its lifecycle began, and the lifecycle; replaced together, for other threads read it.
    """

    id: str
    collection: str
    database: str
    files: Sequence[str]
    total_rows: int
    created: float
    life: tuple[float, Life]
    clock: Callable[[], float]

    def status(self) -> Status:
        """Return its status now."""
        began, life = self.life
        status = life.at(self.clock() - began)
        return msgspec.structs.replace(status, since=began + status.since)

    def set(self, state: str | None = None, progress: int | None = None, reason: str | None = None) -> None:
        """Freeze the job from now on; what is not given stays, except that a completed job has 100 and a failed one 0.

        The state is a `State` in any case, or any other text, which the server then sends as it is.
        """
        current = self.status()
        new = current.state if state is None else _STATES.get(state.lower(), state)
        if progress is None:
            progress = {str(State.COMPLETED): 100, str(State.FAILED): 0}.get(new, current.progress)
        self.life = (self.clock(), Life.frozen(new, progress, current.reason if reason is None else reason))

    def forget(self) -> None:
        """Make the server forget the job: it is in no list, and describe says that it does not exist."""
        self.life = (self.clock(), Life.frozen(State.VANISHED))

    def imported_rows(self, status: Status) -> int:
        """Return how many rows are imported: none once the job has failed."""
        share = min(max((status.highest - READ_AT) / (WRITTEN_AT - READ_AT), 0.0), 1.0)
        return int(self.total_rows * share) if status.state != State.FAILED else 0

    def progress(self, status: Status) -> ImportProgress:
        """Return the progress of the whole job, with the name of its first file."""
        name = self.files[0] if self.files else ""
        imported = self.imported_rows(status)
        return _progress(status, name, status.state, status.progress, imported, self.total_rows, status.reason)

    def file_progress(self, status: Status) -> list[ImportProgress]:
        """Return the progress of its files, which are imported one after the other; none while it is pending."""
        if status.state == State.PENDING:
            return []
        count, remaining, reason = len(self.files), self.imported_rows(status), status.reason
        files: list[ImportProgress] = []
        for index, name in enumerate(self.files):
            rows = self.total_rows // count + (index < self.total_rows % count)
            imported = min(remaining, rows)
            state, percent = State.IMPORTING, max(min(status.progress, 30) + 70 * imported // max(rows, 1), 0)
            if status.state == State.FAILED:
                state, percent = State.FAILED, 0
            elif imported == rows and status.highest >= WRITTEN_AT:
                state, percent = State.COMPLETED, 100
            files.append(_progress(status, name, state, percent, imported, rows, reason))
            remaining, reason = remaining - imported, ""  # the server names the reason at the file that broke
        return files


def _progress(
    status: Status, name: str, state: str, percent: int, imported: int, rows: int, reason: str
) -> ImportProgress:
    counted = rows if status.highest >= READ_AT else 0  # the server has to read the files to know
    completed = status.since if state in TERMINAL and status.state in TERMINAL else None
    return ImportProgress(name, rows * _ROW_BYTES, state, percent, imported, counted, completed, reason)


class JobStatus(NamedTuple):
    """A job and its status at the time of a response."""

    job: SimulatedJob
    status: Status
