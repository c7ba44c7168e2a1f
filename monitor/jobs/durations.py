"""How long the imports of a collection usually take, by its latest completed ones."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

import msgspec
from msgspec.structs import replace

from monitor.jobs.model import CollectionKey, CollectionOutcome, Job, JobState, Transition
from monitor.jobs.snapshot import ShortImport, Snapshot

DURATIONS_KEPT: Final = 20
"""Completed imports of a collection, the latest ones, whose durations are kept."""

DURATIONS_NEEDED: Final = 5
"""Durations below which nothing is typical."""

SHORT_SHARE: Final = 0.1
"""Share of the typical duration below which an import was unusually short."""

SHORT_FROM: Final = 60.0
"""Seconds of a typical duration below which nothing counts as unusually short: polls are some seconds apart."""

LONGEST: Final = 1e9
"""Seconds that an import can take; a longer time in the store is damage."""


class TypicalDuration(msgspec.Struct, frozen=True, gc=False):
    """How long the latest completed imports of a collection took, in seconds.

    Attributes:
        median: Half of them took at most this long.
        low: The first quartile.
        high: The third quartile; half of them took between ``low`` and ``high``.
    """

    median: float
    low: float
    high: float


def typical_duration(outcome: CollectionOutcome | None) -> TypicalDuration | None:
    """Return the typical duration of the imports of a collection; None below five completed ones.

    ``snapshot.outcomes.get((database, collection))`` is the argument.
    """
    return None if outcome is None else typical_of(read_durations(outcome.durations))


def typical_of(durations: Iterable[float]) -> TypicalDuration | None:
    """Return what is typical of some durations in seconds; None below five of them."""
    ordered = sorted(durations)
    if len(ordered) < DURATIONS_NEEDED:
        return None
    return TypicalDuration(_quantile(ordered, 0.5), _quantile(ordered, 0.25), _quantile(ordered, 0.75))


def import_duration(job: Job, baseline_at: float | None = None, polled_at: float | None = None) -> float | None:
    """Return the seconds that a completed job took, None where that is not known.

    The server's times count where it gives both, else those of the polls. A job that was running at the baseline began
    at an unknown time. One that was first seen completed took at most the time since the poll before.

    Args:
        job: The job.
        baseline_at: When the first poll of the cluster was made.
        polled_at: When the poll before the one that first saw the job was made, None where that is not known.
    """
    if job.created_at is not None and job.completed_at is not None:
        duration = job.completed_at - job.created_at
    elif job.first_seen < job.state_since and job.first_seen != baseline_at:
        duration = job.state_since - job.first_seen
    elif job.first_seen == job.state_since and polled_at is not None:
        duration = job.first_seen - polled_at
    else:
        return None
    return round(duration, 1) if 0 <= duration < LONGEST else None


def add_durations(
    outcomes: Mapping[CollectionKey, CollectionOutcome],
    previous: Snapshot | None,
    changed: Iterable[Job],
    transitions: Iterable[Transition],
    found: Iterable[Job] = (),
) -> tuple[Mapping[CollectionKey, CollectionOutcome], tuple[ShortImport, ...]]:
    """Add the durations of jobs that have just completed to the outcomes of their collections.

    Args:
        outcomes: The outcomes after a poll.
        previous: The snapshot before it, None for a baseline, of which all completed jobs count.
        changed: The jobs that it changed.
        transitions: The steps that they took.
        found: Jobs whose database was found in this poll, after some of them have completed.

    Returns:
        The outcomes, and the jobs that were unusually short.
    """
    baseline_at = polled_at = None
    if previous is None:
        completed = [job for job in changed if job.state is JobState.COMPLETED]
    else:
        ids = {step.job_id for step in transitions if step.to_state is JobState.COMPLETED}
        late = [job for job in found if job.state is JobState.COMPLETED and job.job_id not in ids]
        if not ids and not late:
            return outcomes, ()
        completed = [job for job in changed if job.job_id in ids] + late
        baseline_at = previous.baseline_at
        if all(job.finished or job.missing_since is None for job in previous.tracked.values()):
            polled_at = previous.polled_at  # else its list was not complete, and may have lacked the job
    updated, short = dict(outcomes), []
    for job in sorted(completed, key=lambda job: job.completed_at or job.state_since):
        key = job.database, job.collection
        outcome, duration = updated.get(key), import_duration(job, baseline_at, polled_at)
        if outcome is None or duration is None:
            continue
        typical = typical_duration(outcome)
        is_short = typical is not None and typical.median >= SHORT_FROM and duration < SHORT_SHARE * typical.median
        if typical is not None and is_short:
            short.append(ShortImport(job, duration, typical.median))
        updated[key] = replace(outcome, durations=append_duration(outcome.durations, duration), last_short=is_short)
    return updated, tuple(short)


def append_duration(durations: str, seconds: float) -> str:
    """Return durations, as an outcome has them, with a further one."""
    return " ".join([*durations.split()[1 - DURATIONS_KEPT :], f"{seconds:.1f}"])


def read_durations(durations: str) -> list[float]:
    """Return the durations of an outcome in seconds; none where they cannot be read."""
    try:
        seconds = [float(text) for text in islice(reversed(durations.split()), DURATIONS_KEPT)]
    except ValueError:
        return []
    return [value for value in seconds if 0 <= value < LONGEST]


def _quantile(ordered: list[float], share: float) -> float:
    """Return the value below which a share of some values are, between two of them where need be."""
    position = share * (len(ordered) - 1)
    lower = int(position)
    upper = min(lower + 1, len(ordered) - 1)
    return round(ordered[lower] + (position - lower) * (ordered[upper] - ordered[lower]), 1)
