"""The progress of unfinished jobs over time, for the charts on the pages: a bounded number of points of each job.

A job's time is divided into slots, of which each keeps one point. The slots become twice as wide whenever the job has
lasted for `SAMPLES_PER_JOB` of them, and every second point is deleted. So the number of points is bounded however long
a job runs, and what to write follows from the job alone: nothing is in memory for it, and any monitor can go on.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, bindparam, delete, select, tuple_

from monitor.jobs import Job, JobState
from monitor.store.schema import samples
from monitor.store.statements import put_rows

SAMPLES_PER_JOB: Final = 200
"""Points of one job: more than its chart could show."""

FIRST_WIDTH: Final = 5.0
"""Seconds of a slot of a job that has just begun: points are not written more often."""

SAMPLES_AT_ONCE: Final = 2000
"""Points that are written every few seconds, at most, of all jobs together, so that they cost a large fleet less than a
hundredth of a core. Of more, some are chosen at random; the charts are then coarser."""

SAMPLES_KEPT: Final = 500_000
"""Points that stay at a pruning, of all jobs together: the latest ones, which take at most about 100 MB."""

CLOCK_AHEAD: Final = 86_400.0
"""Seconds by which a point may be in the future: later ones come from a clock that was wrong."""


_COLUMNS: Final = tuple(samples.c.keys())


class ProgressSample(msgspec.Struct, frozen=True, gc=False):
    """The state and the progress of a job from a time on, in seconds since the epoch."""

    at: float
    state: JobState
    progress: float | None


def new_samples(cluster: str, before: Mapping[str, Job], now: Mapping[str, Job]) -> Iterator[dict[str, Any]]:
    """Yield the points of those unfinished jobs of a cluster that have come into another state or another slot."""
    for job_id, job in now.items():
        previous = before.get(job_id)
        if job is previous or job.finished:
            continue
        slot, width = _slot(job)
        same_state = previous is not None and previous.state is job.state
        if previous and same_state and (previous.progress == job.progress or _slot(previous) == (slot, width)):
            continue
        yield {
            "cluster": cluster,
            "job_id": job_id,
            "slot": slot,
            "at": moved_at(job),
            "state": job.state.value,
            "progress": job.progress,
            "width": width,
            "widened": previous is not None and _slot(previous)[1] < width,
        }


def write_samples(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write points, in a transaction: at most `SAMPLES_AT_ONCE` of them."""
    if widened := [{"of": row["cluster"], "job": row["job_id"], "by": row["width"]} for row in rows if row["widened"]]:
        connection.execute(_THIN, widened)
    put_rows(connection, samples, [{name: row[name] for name in _COLUMNS} for row in _choose(rows)])


def _choose(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return points that are written: all of them, or a random selection of too many, each time another."""
    if len(rows) <= SAMPLES_AT_ONCE:
        return rows
    return Random(repr(rows[-1])).sample(rows, SAMPLES_AT_ONCE)


def wanted_samples(keys: Collection[tuple[str, str]]) -> Select[Any]:
    """Return the query for the points of jobs, by the names of their clusters and their ids, in their order."""
    columns = samples.c
    wanted = select(samples).where(tuple_(columns.cluster, columns.job_id).in_([*keys]))
    return wanted.order_by(columns.cluster, columns.job_id, columns.slot)


def oldest_kept(connection: Connection, retention_start: float) -> float:
    """Return from when on points stay: from the start of the retention, or later where there are too many."""
    last = select(samples.c.at).order_by(samples.c.at.desc()).offset(SAMPLES_KEPT - 1).limit(1)
    oldest: float | None = connection.execute(last).scalar()
    return retention_start if oldest is None else max(retention_start, oldest)


def moved_at(job: Job) -> float:
    """Return since when a job has had its progress and its state, as far as is known."""
    return job.samples[-1][0] if job.samples else job.last_change


def _slot(job: Job) -> tuple[int, int]:
    """Return the slot in which a job's progress is, as the number of its first narrow slot, and its width in those."""
    number = max(0, int((moved_at(job) - job.first_seen) // FIRST_WIDTH))
    width = 1 << (number // SAMPLES_PER_JOB).bit_length()
    return number - number % width, width


_THIN: Final = delete(samples).where(
    samples.c.cluster == bindparam("of"), samples.c.job_id == bindparam("job"), samples.c.slot % bindparam("by") != 0
)
