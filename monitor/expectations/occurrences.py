"""How an occurrence of an expected import goes: pure functions of the imports seen, and of the time up to which."""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final

import msgspec

from monitor.config import Expectation
from monitor.jobs import Job, JobState

EARLY_LIMIT: Final = 300.0
"""Seconds before its start from which an import counts for an occurrence: clocks differ."""

EARLY_SHARE: Final = 0.1
"""The same as a share of the time to the next start, if that is less."""


class ExpectedState(StrEnum):
    """The state of an occurrence.

    ``waiting`` also stands for one whose imports have all failed and that has time left; ``running`` and ``late`` are
    one with an unfinished import, before and after the deadline; ``missed`` is one without.
    """

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    LATE_START = "late_start"
    LATE = "late"
    MISSED = "missed"
    TOO_FEW_ROWS = "too_few_rows"


class Occurrence(msgspec.Struct, frozen=True, gc=False):
    """One start of an expectation; all times in seconds since the epoch."""

    starts: float  # when an import should start
    start_by: float | None  # until when it has to have begun; None where only its end counts
    complete_by: float  # until when it has to be complete
    first_begin: float  # from when on imports that begin belong to it
    last_begin: float  # until when; later ones belong to the next occurrence
    next_starts: float  # when the next occurrence takes its place


class SeenImport(msgspec.Struct, frozen=True, gc=False):
    """An import of a collection."""

    job: Job
    begun_after: float  # when it can have begun at the earliest: while the monitor was down, that is not known exactly
    begun_by: float  # when it had begun for sure


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What is known of an occurrence."""

    state: ExpectedState | None
    """Its state; None where that cannot be known, because imports may have come and gone unseen."""
    job: Job | None = None  # the import that decides; None where there is none


def occurrence(expectation: Expectation, starts: float) -> Occurrence:
    """Return the occurrence of an expectation that starts at a time; it ends at the next start at the latest."""
    cron = expectation.cron
    next_starts = cron.next(starts)
    after_next = cron.next(next_starts)
    return Occurrence(
        starts=starts,
        start_by=min(starts + expectation.start_within, next_starts) if expectation.start_within else None,
        complete_by=min(starts + expectation.complete_within, next_starts),
        first_begin=starts - _early(next_starts - starts),
        last_begin=next_starts - _early(after_next - next_starts),
        next_starts=next_starts,
    )


def occurrences(expectation: Expectation, since: float, until: float, limit: int) -> list[Occurrence]:
    """Return the latest occurrences that start before one time and end after another, earliest first."""
    starts = expectation.cron.between(since - expectation.complete_within, until)[-limit:]
    return [expected for expected in (occurrence(expectation, at) for at in starts) if expected.complete_by > since]


def seen_imports(jobs: Iterable[Job], gap_from: float, gap_to: float) -> list[SeenImport]:
    """Return jobs as imports; those first seen right after a gap without polls can have begun within it."""
    imports = []
    for job in jobs:
        times = (job.created_at, job.completed_at, job.first_seen)
        begun_by = min(at for at in times if at)  # also where the server's clock is ahead
        is_exact = job.created_at or not gap_from < job.first_seen <= gap_to
        imports.append(SeenImport(job, begun_by if is_exact else min(begun_by, gap_from), begun_by))
    return imports


def judge(
    expected: Occurrence, imports: Collection[SeenImport], min_rows: int, seen: float, known_since: float
) -> Verdict:
    """Return the state of an occurrence; of several imports the last one counts.

    One that begins after another has completed takes nothing back while it runs, and nothing at all once the deadline
    has passed.

    Args:
        expected: The occurrence.
        imports: Imports of its collection, those that began at other times too.
        min_rows: Rows that an import has to have; one whose rows are not known has enough.
        seen: Up to when the cluster has been polled.
        known_since: Since when no import can have come and gone unseen.
    """
    first, last_begin = expected.first_begin, expected.last_begin
    counted = [entry for entry in imports if entry.begun_by >= first and entry.begun_after < last_begin]
    counted.sort(key=lambda entry: (entry.begun_by, entry.job.finished_at or float("inf"), entry.job.job_id))
    in_time = [entry for entry in counted if _ended_at(entry.job) <= expected.complete_by]
    if any(_is_enough(entry.job, min_rows) for entry in in_time):  # what ends later, or not at all, changes nothing
        counted = in_time
    last = counted[-1].job if counted else None
    is_known = known_since <= expected.starts
    if last is not None and not _is_enough(last, min_rows) and counted[-1].begun_by >= last_begin:
        return Verdict(None)  # it may have begun for a later one, and another for this one come and gone
    if last is not None and not last.finished:
        return Verdict(ExpectedState.LATE if seen >= expected.complete_by else ExpectedState.RUNNING, last)
    if last is not None and last.state is JobState.COMPLETED:
        return Verdict(ExpectedState.COMPLETED if _is_enough(last, min_rows) else ExpectedState.TOO_FEW_ROWS, last)
    if seen >= expected.complete_by:
        return Verdict(ExpectedState.MISSED if is_known else None, last)
    if last is None and expected.start_by is not None and seen >= expected.start_by and is_known:
        return Verdict(ExpectedState.LATE_START)
    return Verdict(ExpectedState.WAITING, last)


def _early(period: float) -> float:
    return min(EARLY_LIMIT, EARLY_SHARE * period)


def _is_enough(job: Job, min_rows: int) -> bool:
    return job.state is JobState.COMPLETED and (job.imported_rows is None or job.imported_rows >= min_rows)


def ended_at(job: Job) -> float | None:
    """Return when a job ended, as the server says or as it was seen; None while it has not."""
    return (job.completed_at or job.finished_at or job.state_since) if job.finished else None


def _ended_at(job: Job) -> float:
    return ended_at(job) or float("inf")
