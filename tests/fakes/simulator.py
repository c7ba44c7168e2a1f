"""The simulator as tests use it: served by a thread, with jobs that are set to a state by hand."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Self

from monitor import simulator
from monitor.simulator import Lifecycle, SimulatedCluster, State

if TYPE_CHECKING:
    from monitor.simulator.cluster import SimulatedJob

_STATES = {str(state): state for state in State}
_PROGRESS: dict[str, int] = {State.COMPLETED: 100, State.FAILED: 0}
_STOP_TIMEOUT = 10.0


class SimulatorServer(simulator.SimulatorServer):
    """Serves a world in a thread of its own: `with SimulatorServer(world) as server:`."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), name="simulator", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        self._thread.join(_STOP_TIMEOUT)


def set_status(
    job: SimulatedJob,
    state: str | None = None,
    progress: int | None = None,
    reason: str | None = None,
    now: float | None = None,
) -> None:
    """Freeze a job from now on; what is not given stays, except that a completed job has 100 and a failed one 0.

    The state is a `State` in any case, or any other text, which the server then sends as it is.
    """
    now = time.time() if now is None else now
    current = job.status(now)
    state = current.state if state is None else _STATES.get(state.lower(), state)
    progress = _PROGRESS.get(state, current.progress) if progress is None else progress
    job.lifecycle = (now, Lifecycle.frozen(state, progress, current.reason if reason is None else reason))


def add_jobs(cluster: SimulatedCluster, count: int, lifecycle: Lifecycle) -> None:
    """Add jobs that all have one lifecycle."""
    for _ in range(count):
        cluster.add_job(lifecycle)


def wait_for_requests(cluster: SimulatedCluster, endpoint: str, count: int, timeout: float = 10.0) -> bool:
    """Wait up to `timeout` seconds until an endpoint has received `count` requests; return whether it has."""
    with cluster.lock:
        return cluster.lock.wait_for(lambda: cluster.requests[endpoint] >= count, timeout)
