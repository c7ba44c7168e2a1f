"""A simulated cluster: its jobs, its troubles, and how many requests it received."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from monitor.simulator.job import JobStatus, SimulatedJob
from monitor.simulator.job_generator import generate_jobs
from monitor.simulator.lifecycles import TERMINAL, Life, State, Status
from monitor.simulator.troubles import ScheduledTrouble, Trouble

if TYPE_CHECKING:
    from monitor.simulator.dialects.base import Dialect

_FIRST_ADDED = 10**9
"""Generated jobs are numbered from 0, added ones from here."""


@dataclass(eq=False)
class SimulatedCluster:
    """A cluster of a `World`, made by `World.add_cluster`. All methods are thread-safe.

    Attributes:
        api_key: The only key it accepts (an API key, or `user:password`), or None to accept any.
        seed: Decides everything about it that looks random.
        retention: How many seconds it remembers a finished job.
        status: Its status in the account API of Zilliz Cloud.
        requests: How many requests each endpoint (`list`, `describe`, `databases`) has received.
    """

    id: str
    generation: str
    dialect: "Dialect"
    api_key: str | None
    seed: int
    clock: Callable[[], float]
    lock: threading.Condition
    retention: float
    databases: tuple[str, ...]
    region_id: str = "aws-us-west-2"
    status: str = "RUNNING"
    requests: Counter[str] = field(default_factory=Counter)
    _jobs: dict[str, SimulatedJob] = field(default_factory=dict)
    _generated: Iterator[SimulatedJob | None] = field(default_factory=lambda: iter(()))
    _added: int = _FIRST_ADDED
    _troubles: list[ScheduledTrouble] = field(default_factory=list)

    @property
    def project_id(self) -> str:
        """Its project on Zilliz Cloud."""
        return f"proj-{self.seed:016x}"

    def add_job(
        self,
        life: Life | None = None,
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
            if job_id is None:
                job_id = self.dialect.job_id(self.seed, self._added)
                self._added += 1
            if isinstance(files, int):
                files = tuple(f"{collection}/part-{index}.parquet" for index in range(files))
            created, life = self.clock(), life or Life.completing()
            job = SimulatedJob(
                job_id, collection, database, files, total_rows, created, (created, life), clock=self.clock
            )
            self._jobs[job_id] = job
            if database not in self.databases:
                self.databases = (*self.databases, database)
            return job

    def populate(self, count: int, *, life: Life | None = None, every: float | None = None) -> None:
        """Generate `count` jobs, and another one `every` seconds; they exist from the first request for them.

        All have the given lifecycle; by default every kind occurs.
        """
        with self.lock:
            self._generated = generate_jobs(self, count, self.clock(), every=every, life=life)

    def jobs(self) -> list[JobStatus]:
        """Return all jobs that the server remembers, newest first."""
        with self.lock:
            while (job := next(self._generated, None)) is not None:
                self._jobs[job.id] = job
            now = self.clock()
            jobs = [JobStatus(job, job.status()) for job in self._jobs.values()]
            remembered = [one for one in jobs if self._remembers(one.status, now)]
            self._jobs = {job.id: job for job, _ in remembered}
            return sorted(remembered, key=lambda one: one.job.created, reverse=True)

    def find_job(self, job_id: str) -> JobStatus | None:
        """Return a job that the server remembers, or None."""
        return next((listed for listed in self.jobs() if listed.job.id == job_id), None)

    def forget(self, job_id: str) -> None:
        """Make the server forget a job; raise KeyError where there is none with that id."""
        listed = self.find_job(job_id)
        if listed is None:
            raise KeyError(job_id)
        listed.job.forget()

    def trouble(
        self, trouble: Trouble, *, endpoint: str | None = None, times: int | None = None, seconds: float | None = None
    ) -> None:
        """Queue a trouble, which starts when those before it have ended.

        It lasts for a number of requests or seconds, by default without end, and concerns one endpoint (`list`,
        `describe`, `databases`), by default that of the trouble, or all.
        """
        with self.lock:
            until = None if seconds is None else self.clock() + seconds
            self._troubles.append(ScheduledTrouble(trouble, endpoint or trouble.endpoint, times, until))

    def recover(self, endpoint: str | None = None) -> None:
        """End all troubles, or those of one endpoint."""
        with self.lock:
            self._troubles = [one for one in self._troubles if endpoint is not None and one.endpoint != endpoint]

    def record_request(self, endpoint: str) -> Trouble | None:
        """Count a request, and return what goes wrong with it."""
        with self.lock:
            self.requests[endpoint] += 1
            self.lock.notify_all()
            self._troubles = [one for one in self._troubles if one.lasts(self.clock())]
            for scheduled in self._troubles:
                if scheduled.endpoint in (None, endpoint):
                    if scheduled.times is not None:
                        scheduled.times -= 1
                    return scheduled.trouble
            return None

    def wait_for_requests(self, endpoint: str, count: int, timeout: float = 10.0) -> bool:
        """Wait up to `timeout` seconds until an endpoint has received `count` requests; return whether it has."""
        with self.lock:
            return self.lock.wait_for(lambda: self.requests[endpoint] >= count, timeout)

    def _remembers(self, status: Status, now: float) -> bool:
        if status.state in TERMINAL:
            return now < status.since + self.retention
        return status.state != State.VANISHED
