"""A simulated cluster: its jobs, its troubles, and how many requests it received."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from itertools import count as numbers
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from monitor.simulator.lifecycles import FIRST_LIFECYCLES, LATER_LIFECYCLES, TERMINAL, Lifecycle, State, Status

if TYPE_CHECKING:
    from monitor.simulator.dialects.base import Dialect
    from monitor.simulator.troubles import Trouble

_COLLECTIONS = ("events", "books", "products", "medium_articles", "reviews", "images", "quick_setup", "support_tickets")
_FILE_COUNTS = (1, 1, 2, 4, 8)
_PAST = 10.0
"""Seconds before now over which the first generated jobs are created."""
_FIRST_ADDED = 10**9
"""Generated jobs are numbered from 0, added ones from here."""


@dataclass(slots=True, eq=False)
class SimulatedJob:
    """An import job, made by `SimulatedCluster.add_job`.

    Attributes:
        files: The names of its files.
        created: When it was created, in seconds since the epoch.
        lifecycle: When it began, and what it is; replaced together, for other threads read it.
    """

    id: str
    collection: str
    database: str
    files: Sequence[str]
    total_rows: int
    created: float
    lifecycle: tuple[float, Lifecycle]

    def status(self, now: float) -> Status:
        """Return its status at a time in seconds since the epoch, and since when it is in its state."""
        began, lifecycle = self.lifecycle
        status = lifecycle.at(now - began)
        return msgspec.structs.replace(status, since=began + status.since)


class JobStatus(NamedTuple):
    """A job and its status at the time of a response."""

    job: SimulatedJob
    status: Status


@dataclass
class _ScheduledTrouble:
    trouble: "Trouble"
    endpoint: str | None
    times: int | None
    until: float | None

    def lasts(self, now: float) -> bool:
        return self.times != 0 and (self.until is None or now < self.until)


@dataclass(eq=False)
class SimulatedCluster:
    """A cluster of a `World`, made by `World.add_cluster`. All methods are thread-safe.

    Attributes:
        api_key: The only key it accepts (an API key, or `user:password`), or None to accept any.
        seed: Decides everything about it that looks random.
        retention: How many seconds it remembers a finished job.
        lock: Notified of every request.
        requests: How many requests each endpoint (`list`, `describe`, `databases`) has received.
    """

    id: str
    generation: str
    dialect: "Dialect"
    api_key: str | None
    seed: int
    clock: Callable[[], float]
    retention: float
    databases: tuple[str, ...] = ("default",)
    region_id: str = "aws-us-west-2"
    lock: threading.Condition = field(default_factory=threading.Condition)
    requests: Counter[str] = field(default_factory=Counter)
    _jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    _generated: Iterator[SimulatedJob | None] = field(default_factory=lambda: iter(()))
    _added: Iterator[int] = field(default_factory=lambda: numbers(_FIRST_ADDED))
    _troubles: list[_ScheduledTrouble] = field(default_factory=list)

    @property
    def project_id(self) -> str:
        """Its project on Zilliz Cloud."""
        return f"proj-{self.seed:016x}"

    def add_job(
        self,
        lifecycle: Lifecycle | None = None,
        *,
        job_id: str | None = None,
        collection: str = "events",
        database: str = "default",
        files: int | Sequence[str] = 2,
        total_rows: int = 100_000,
    ) -> SimulatedJob:
        """Add a job, which starts now and by default completes after a minute.

        Without `job_id` it gets a new one; `files` are its files, or their number.
        """
        with self.lock:
            job_id = job_id or self.dialect.job_id(self.seed, next(self._added))
            if isinstance(files, int):
                files = [f"{collection}/part-{index}.parquet" for index in range(files)]
            now, lifecycle = self.clock(), lifecycle or Lifecycle.completing()
            job = SimulatedJob(job_id, collection, database, files, total_rows, now, (now, lifecycle))
            self._jobs[job_id] = job
            if database not in self.databases:
                self.databases = (*self.databases, database)
            return job

    def populate(self, count: int, *, every: float | None = None) -> None:
        """Generate `count` jobs with all kinds of lifecycles, and another one `every` seconds.

        They exist from the first request for them.
        """
        with self.lock:
            self._generated = self._generate(count, self.clock(), every)

    def jobs(self) -> list[JobStatus]:
        """Return all jobs that the server remembers, newest first."""
        with self.lock:
            while (job := next(self._generated, None)) is not None:
                self._jobs[job.id] = job
            now = self.clock()
            jobs = [JobStatus(job, job.status(now)) for job in self._jobs.values()]
            jobs = [listed for listed in jobs if self._remembers(listed.status, now)]
            self._jobs = {job.id: job for job, _ in jobs}
            return sorted(jobs, key=lambda listed: listed.job.created, reverse=True)

    def find_job(self, job_id: str) -> JobStatus | None:
        """Return a job that the server remembers, or None."""
        return next((listed for listed in self.jobs() if listed.job.id == job_id), None)

    def forget(self, job_id: str) -> None:
        """Remove a job from the list and from describe; raise KeyError where there is none with that id."""
        with self.lock:
            self.jobs()  # the generated ones, too
            del self._jobs[job_id]

    def trouble(
        self, trouble: "Trouble", *, endpoint: str | None = None, times: int | None = None, seconds: float | None = None
    ) -> None:
        """Queue a trouble, which starts when those before it have ended.

        It lasts for a number of requests or seconds, by default without end, and concerns one endpoint (`list`,
        `describe`, `databases`), by default that of the trouble, or all.
        """
        with self.lock:
            until = None if seconds is None else self.clock() + seconds
            self._troubles.append(_ScheduledTrouble(trouble, endpoint or trouble.endpoint, times, until))

    def recover(self) -> None:
        """End all troubles."""
        with self.lock:
            self._troubles.clear()

    def record_request(self, endpoint: str) -> "Trouble | None":
        """Count a request, and return what goes wrong with it."""
        with self.lock:
            self.requests[endpoint] += 1
            self.lock.notify_all()
            self._troubles = [scheduled for scheduled in self._troubles if scheduled.lasts(self.clock())]
            for scheduled in self._troubles:
                if scheduled.endpoint in (None, endpoint):
                    if scheduled.times is not None:
                        scheduled.times -= 1
                    return scheduled.trouble
            return None

    def _remembers(self, status: Status, now: float) -> bool:
        if status.state in TERMINAL:
            return now < status.since + self.retention
        return status.state != State.VANISHED

    def _generate(self, count: int, start: float, every: float | None) -> Iterator[SimulatedJob | None]:
        """Yield jobs in the order of their creation, and None while the next one does not exist yet."""
        chance = random.Random(self.seed)
        past = (start - _PAST * (count - number) / count for number in range(count))
        future = (start + every * number for number in numbers(1)) if every else ()
        for number, created in enumerate(chain(past, future)):
            while created > self.clock():
                yield None
            lifecycle = FIRST_LIFECYCLES[number] if number < len(FIRST_LIFECYCLES) else chance.choice(LATER_LIFECYCLES)
            yield SimulatedJob(
                self.dialect.job_id(self.seed, number),
                chance.choice(_COLLECTIONS),
                self.databases[number % len(self.databases)],
                [f"exports/2026-09/part-{index}.parquet" for index in range(chance.choice(_FILE_COUNTS))],
                1000 * chance.randint(1, 500),
                created,
                (created, lifecycle),
            )
