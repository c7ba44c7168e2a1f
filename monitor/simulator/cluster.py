"""A simulated cluster: its jobs, its troubles, and what its account says about it."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from itertools import count as numbers
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from monitor.simulator.lifecycles import FIRST_LIFECYCLES, LATER_LIFECYCLES, TERMINAL, Lifecycle, State, Status
from monitor.simulator.scripted import Scripted

if TYPE_CHECKING:
    from monitor.simulator.dialects.base import Dialect

_COLLECTIONS = ("events", "books", "products", "medium_articles", "reviews", "images", "quick_setup", "support_tickets")
_FILE_COUNTS = (1, 1, 2, 4, 8)
_PAST = 10.0
"""Seconds before now over which the first generated jobs are created."""
_FIRST_ADDED = 10**9
"""Generated jobs are numbered from 0, added ones from here."""


@dataclass(slots=True, eq=False)
class SimulatedJob:
    """An import job, made by `SimulatedCluster.add_job`."""

    id: str
    collection: str
    database: str
    files: Sequence[str]  # the names of its files
    total_rows: int
    created: float  # when it was created, in seconds since the epoch
    lifecycle: tuple[float, Lifecycle]  # when it began, and what it is; replaced together, for other threads read it

    def status(self, now: float) -> Status:
        """Return its status at a time in seconds since the epoch, and since when it is in its state."""
        began, lifecycle = self.lifecycle
        status = lifecycle.at(now - began)
        return msgspec.structs.replace(status, since=began + status.since)


class JobStatus(NamedTuple):
    """A job and its status at the time of a response."""

    job: SimulatedJob
    status: Status


class CloudFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the account API of Zilliz Cloud says about a cluster."""

    name: str  # its name, which may change
    project: str  # the name of its project; clusters with the same one are in the same project
    region_id: str = "aws-us-west-2"
    plan: str = "Standard"
    status: str = "RUNNING"  # `RUNNING`, or any other text; jobs are listed in each of them
    role: str = ""  # `PRIMARY` or `SECONDARY` for the members of a global cluster, else empty
    on_demand: bool = False  # whether it is an on-demand cluster, whose jobs are listed by project and region


@dataclass(eq=False, kw_only=True)
class SimulatedCluster(Scripted):
    """A cluster of a `World`, made by `World.add_cluster`. All methods are thread-safe.

    Its endpoints are `list`, `describe` and `databases`.
    """

    id: str
    generation: str
    dialect: "Dialect"
    api_key: str | None  # the only key it accepts (an API key, or `user:password`), or None to accept any
    seed: int  # decides everything about it that looks random
    retention: float  # how many seconds it remembers a finished job
    cloud: CloudFields  # what the account API says about it, if it is on Zilliz Cloud; replaced as a whole
    databases: tuple[str, ...] = ("default",)
    _jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    _generated: Iterator[SimulatedJob | None] = field(default_factory=lambda: iter(()))
    _added: Iterator[int] = field(default_factory=lambda: numbers(_FIRST_ADDED))

    @property
    def project_id(self) -> str:
        """The id of its project on Zilliz Cloud."""
        return f"proj-{hashlib.sha256(self.cloud.project.encode()).hexdigest()[:22]}"

    @property
    def region_id(self) -> str:
        """Its region on Zilliz Cloud."""
        return self.cloud.region_id

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
