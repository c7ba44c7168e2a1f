"""A simulated import job: its lifecycle and its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from monitor.simulator.lifecycles import READ_AT, WRITTEN_AT, Life, State, Status

_STATES = {str(state): state for state in State}


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
        self.set(State.VANISHED)


class JobStatus(NamedTuple):
    """A job and its status at the time of a response."""

    job: SimulatedJob
    status: Status

    @property
    def imported_share(self) -> float:
        """How much of its rows is imported, from 0 to 1; nothing once the job has failed."""
        share = min(max((self.status.highest - READ_AT) / (WRITTEN_AT - READ_AT), 0.0), 1.0)
        return share if self.status.state != State.FAILED else 0.0
