"""One simulated cluster: its jobs, what its server still remembers of them, its troubles and its counters."""

from __future__ import annotations

from collections import Counter
from operator import attrgetter
from typing import TYPE_CHECKING, Literal, NamedTuple

from monitor.simulator.crowd import Crowd
from monitor.simulator.ids import JobIds, mix
from monitor.simulator.job import Row, SimulatedJob
from monitor.simulator.lives import FOREVER, TERMINAL, VANISHED, Life
from monitor.simulator.trouble import Script

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Sequence

    from monitor.simulator.lives import Moment
    from monitor.simulator.trouble import Trouble

Generation = Literal["zilliz", "milvus", "v1", "milvus-2.3"]
GENERATIONS: tuple[Generation, ...] = ("zilliz", "milvus", "v1", "milvus-2.3")
RETENTION = {"zilliz": FOREVER, "milvus": 10_800.0, "v1": FOREVER, "milvus-2.3": 86_400.0}
"""How many seconds the server remembers a finished job: 3 h, 24 h on 2.3, and Zilliz Cloud documents no limit."""

_CREATED = attrgetter("job.created")
_ADDED_BY_HAND = 10**9
"""Jobs of the crowd are numbered from 0, those that were added one by one from here."""


class Listing(NamedTuple):
    """What a cluster lists, newest job first, and until when (in seconds since the epoch) that holds."""

    rows: list[Row]
    until: float


class SimulatedCluster:
    """A cluster of a `World`; made by `World.add_cluster`. All methods may be called from any thread.

    Attributes:
        id: The cluster id.
        generation: Which API it speaks.
        api_key: The only key it takes (an API key, or `user:password`), or None to take any.
        databases: The names of its databases.
        project_id: The project it belongs to, on Zilliz Cloud.
        region_id: The region it runs in, on Zilliz Cloud.
        speed: How many simulated seconds pass in one second.
        status: What the list of clusters says of it.
        paging_as_text: Whether v1 writes its paging fields as strings.
        requests: How often each endpoint was asked.
        version: Grows with every change made by hand.
    """

    __slots__ = (
        "_added",
        "_clock",
        "_crowd",
        "_gone",
        "_jobs",
        "_retention",
        "api_key",
        "databases",
        "generation",
        "id",
        "ids",
        "lock",
        "paging_as_text",
        "project_id",
        "region_id",
        "requests",
        "script",
        "seed",
        "speed",
        "status",
        "version",
    )

    def __init__(  # noqa: PLR0913 - a record with a field for each fact the API tells
        self,
        cluster_id: str,
        *,
        generation: Generation,
        api_key: str | None,
        seed: int,
        clock: Callable[[], float],
        speed: float,
        lock: threading.Condition,
        retention: float | None = None,
        databases: Sequence[str] = ("default",),
    ) -> None:
        if generation not in GENERATIONS:
            raise ValueError(f"no generation {generation!r}; there are {', '.join(GENERATIONS)}")
        self.id = cluster_id
        self.generation = generation
        self.api_key = api_key
        self._retention = RETENTION[generation] if retention is None else retention
        self.databases = tuple(databases)
        self.project_id = f"proj-{mix(seed, 1):016x}"
        self.region_id = "aws-us-west-2"
        self.status = "RUNNING"
        self.paging_as_text = False
        self.requests: Counter[str] = Counter()
        self.script = Script()
        self.version = 0
        self.seed = seed
        self.ids = JobIds(generation, seed)
        self.lock = lock
        self._clock = clock
        self.speed = speed
        self._crowd: Crowd | None = None
        self._jobs: dict[str, SimulatedJob] = {}
        self._gone: dict[str, SimulatedJob] = {}
        self._added = _ADDED_BY_HAND

    @property
    def retention(self) -> float:
        """For how many (simulated) seconds a finished job is remembered."""
        return self._retention

    @retention.setter
    def retention(self, seconds: float) -> None:
        self.touch()
        self._retention = seconds

    def add_job(
        self,
        life: Life | None = None,
        *,
        job_id: str | None = None,
        collection: str = "events",
        database: str = "default",
        files: int | Sequence[str] = 2,
        total_rows: int = 100_000,
        created: float | None = None,
    ) -> SimulatedJob:
        """Adds a job, which begins its life now.

        Args:
            life: What becomes of it; by default it completes after a minute.
            job_id: Its id; by default a new one in the manner of the generation.
            collection: The collection it imports into.
            database: The database of that collection.
            files: Its files, or how many.
            total_rows: How many rows they hold.
            created: When its life began, in seconds since the epoch, if not now.
        """
        with self.lock:
            if job_id is None:
                job_id = self.ids.id(self._added)
                self._added += 1
            if isinstance(files, int):
                files = tuple(f"{collection}/part-{index}.parquet" for index in range(files))
            now = self.touch()
            job = SimulatedJob(
                self,
                job_id,
                life or Life.completing(),
                now if created is None else created,
                collection,
                database,
                files,
                total_rows,
            )
            self._jobs[job_id] = job
            if database not in self.databases:
                self.databases = (*self.databases, database)
            return job

    def populate(self, count: int, *, life: Life | None = None, every: float | None = None, past: float = 10.0) -> None:
        """Gives it a crowd of jobs that cost nothing until they are asked for.

        Args:
            count: How many jobs there are now.
            life: The life of all of them; by default every kind of life occurs.
            every: Another job arrives every so many (simulated) seconds; by default none does.
            past: Over how many seconds before now the first jobs were created.
        """
        with self.lock:
            now, speed = self.touch(), self.speed
            arrivals = None if every is None else every / speed
            self._crowd = Crowd(self, self.ids, self.databases, self.seed, now, count, arrivals, past / speed, life)

    def job(self, job_id: str) -> SimulatedJob:
        """Returns a job that was ever there, also one the server has dropped or forgotten.

        Raises:
            KeyError: There was never such a job.
        """
        with self.lock:
            job = self._jobs.get(job_id) or self._gone.get(job_id)
            if job is None:
                number = self.ids.number(job_id)
                crowd = self._crowd
                if crowd is None or number is None or number >= crowd.last(self._clock()):
                    raise KeyError(job_id)
                # Whoever takes it in hand may change it, so from now on it is kept.
                job = self._jobs[job_id] = crowd.job(number)
            return job

    def forget(self, job_id: str) -> None:
        """Makes the server forget a job.

        Raises:
            KeyError: There was never such a job.
        """
        self.job(job_id).forget()

    def remembered(self, job_id: str, now: float) -> Row | None:
        """Returns what describe would find under an id: nothing when the job was dropped or forgotten."""
        with self.lock:
            job = self._jobs.get(job_id)
            if job is None:
                number, crowd = self.ids.number(job_id), self._crowd
                if job_id in self._gone or crowd is None or number is None:
                    return None
                if not crowd.first <= number < crowd.last(now):
                    return None
                job = crowd.job(number)
            moment = job.at(now)
            return Row(job, moment) if self._dropped_at(moment) > now else None

    def listing(self, now: float) -> Listing:
        """Returns all jobs that the server remembers at the time `now`."""
        with self.lock:
            rows: list[Row] = []
            until = FOREVER
            for job in list(self._jobs.values()):
                moment = job.at(now)
                dropped = self._dropped_at(moment)
                if dropped <= now:
                    self._gone[job.id] = self._jobs.pop(job.id)
                    continue
                rows.append(Row(job, moment))
                until = min(until, moment.until, dropped)
            crowd = self._crowd
            if crowd is not None:
                until = min(until, self._crowd_rows(crowd, now, rows), crowd.next_arrival(now))
            rows.sort(key=_CREATED, reverse=True)
            return Listing(rows, until)

    def trouble(
        self, trouble: Trouble, *, endpoint: str | None = None, times: int | None = None, seconds: float | None = None
    ) -> None:
        """Lets something go wrong, after what was asked for before is through.

        Args:
            trouble: What.
            endpoint: `list` or `describe`; by default all endpoints, except where the trouble is made for one.
            times: For how many requests; by default for all.
            seconds: For how long; by default for ever.
        """
        with self.lock:
            ends = None if seconds is None else self._clock() + seconds
            self.script.add(trouble, endpoint or trouble.endpoint, times, ends)

    def recover(self, endpoint: str | None = None) -> None:
        """Ends all trouble, or the trouble of one endpoint."""
        with self.lock:
            self.script.clear(endpoint)

    def wait_for_requests(self, endpoint: str, count: int, timeout: float = 10.0) -> bool:
        """Waits until an endpoint has been asked `count` times in all, and returns False when time runs out."""
        with self.lock:
            return self.lock.wait_for(lambda: self.requests[endpoint] >= count, timeout)

    def changes(self, now: float) -> Iterator[tuple[str, list[tuple[float, str]]]]:
        """Yields (job id, changes) for every job there ever was; see `SimulatedJob.changes`."""
        with self.lock:
            by_hand = {**self._gone, **self._jobs}
            crowd = self._crowd
            for job in by_hand.values():
                yield job.id, job.changes(now)
            for number in range(crowd.last(now) if crowd else 0):
                job = crowd.job(number)  # type: ignore[union-attr]
                if job.id not in by_hand:
                    yield job.id, job.changes(now)

    def now(self) -> float:
        """Returns the time, in seconds since the epoch."""
        return self._clock()

    def touch(self) -> float:
        """Notes that something was changed by hand, and returns the time."""
        with self.lock:
            self.version += 1
            return self._clock()

    def _crowd_rows(self, crowd: Crowd, now: float, rows: list[Row]) -> float:
        until, droppable = FOREVER, True
        by_hand = self._jobs.keys() | self._gone.keys()
        for number in range(crowd.first, crowd.last(now)):
            job = crowd.job(number)
            moment = job.at(now)
            dropped = self._dropped_at(moment)
            if job.id in by_hand:
                droppable = False
            elif dropped > now:
                droppable = False
                rows.append(Row(job, moment))
                until = min(until, moment.until, dropped)
            elif droppable:
                crowd.first = number + 1
        return until

    def _dropped_at(self, moment: Moment) -> float:
        if moment.state == VANISHED:
            return moment.since
        return moment.since + self._retention / self.speed if moment.state in TERMINAL else FOREVER
