"""The diff: what happened to a cluster's jobs between the previous picture and what a poll has just seen."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from math import inf
from typing import Final

import msgspec
from msgspec.structs import replace

from monitor.jobs.failures import classify
from monitor.jobs.following import first_seen, followed, noted, stalled_in_silence, vanished
from monitor.jobs.model import COMPLETED, TERMINAL, Job, JobState, TrackedJob, Transition
from monitor.jobs.observation import Observation
from monitor.jobs.outcomes import updated_outcomes
from monitor.jobs.picture import Jobs, Picture
from monitor.jobs.questions import questions
from monitor.jobs.remembering import REMEMBERED_FOR, Terms, due_at, forgotten_at, surplus, surplus_at
from monitor.jobs.stalls import StallLimits, is_stalled

CLOCK_SKEW: Final = 60.0
"""Seconds by which the server's clock may be behind ours before what has just happened looks old."""

_ORDER: Final = {JobState.PENDING: 0, JobState.IMPORTING: 1, JobState.UNCOMMITTED: 2, JobState.COMMITTING: 3}


class Difference(msgspec.Struct, frozen=True, gc=False, eq=False):
    """What a poll changed.

    Attributes:
        picture: The new picture, which takes the place of the previous one.
        transitions: Every step from state to state, as the list comes to them; empty for a baseline, and without jobs
            that had ended before the baseline and were listed late.
        baseline: Whether this was the first poll of the cluster ever.
        stalled: Jobs that have just become stalled.
        resumed: Jobs that have just stopped being stalled.
        explained: Failed jobs whose reason came only now, after their transition was told.
        progressed: Number of jobs that went forward within their state.
        regressed: Number of jobs whose progress went back within their state.
        missing: Number of unfinished jobs that the list leaves out and on which there is no verdict yet.
        dropped: Number of missing jobs no longer remembered because there are too many.
        changed: Jobs of the new picture that are new or not what they were.
        removed: Ids of jobs that the new picture no longer has.
        outcomes_changed: Whether the outcome of a collection is not what it was.
        previous: The picture that the poll was compared with; None for a baseline.
    """

    picture: Picture
    transitions: tuple[Transition, ...] = ()
    baseline: bool = False
    stalled: tuple[TrackedJob, ...] = ()
    resumed: tuple[TrackedJob, ...] = ()
    explained: tuple[TrackedJob, ...] = ()
    progressed: int = 0
    regressed: int = 0
    missing: int = 0
    dropped: int = 0
    changed: tuple[TrackedJob, ...] = ()
    removed: tuple[str, ...] = ()
    outcomes_changed: bool = False
    previous: Picture | None = None

    @property
    def changes_something(self) -> bool:
        """Whether the new picture is not the previous one."""
        return self.baseline or bool(self.changed or self.removed or self.outcomes_changed)


def diff(
    previous: Picture | None,
    seen: Observation,
    now: float,
    limits: StallLimits,
    failed_retention: float = 0.0,
) -> Difference:
    """Compare what a poll saw with the previous picture.

    Args:
        previous: The picture of the last complete poll; None at a cluster's first poll ever, which is a baseline:
            it is remembered and tells no transitions.
        seen: What this poll saw. It has to be complete: a poll that failed half-way is not compared at all.
        now: When the poll was made.
        limits: When an unfinished job counts as stalled.
        failed_retention: Seconds for which a failed job has to be remembered after the list has dropped it.

    Returns:
        The difference. A job missing from the list becomes ``vanished`` only where ``seen.gone`` names it.
    """
    terms = Terms(limits, max(failed_retention, REMEMBERED_FOR))
    before = Picture() if previous is None else previous
    something_is_due = seen.told is None or bool(seen.asked) or now >= before.due_at or before.terms != terms
    if previous is not None and previous.quiet and not (something_is_due or seen.told or seen.left):
        return Difference(previous, previous=previous)
    looked_at = chain(
        _listed(before, seen, now, terms, all_of_them=something_is_due),
        _missing(before, seen, now, terms, all_of_them=something_is_due),
    )
    changes = [pair for pair in looked_at if pair[0] is not pair[1]]
    now_known = [after for _, after in changes if after is not None]
    jobs = before.jobs.with_changes(now_known, [was for was, _ in changes if was is not None])
    too_many = surplus(jobs, now)
    if too_many:
        jobs = jobs.with_changes((), too_many.values())
    steps, moves = _by_kind(changes)
    news = [] if previous is None else [step for step in steps if _is_news(*step, previous.baseline_at)]
    transitions = tuple([_transition(was, after, now) for was, after in news])
    due = [due_at(tracked, terms) for tracked in (_may_be_due(jobs) if something_is_due else now_known)]
    due.append(surplus_at(jobs))
    said = _said(seen)
    picture = Picture(
        jobs=jobs,
        outcomes=updated_outcomes(previous, now_known, transitions, now),
        baseline_at=now if previous is None else previous.baseline_at,
        mark=seen.mark,
        said=said,
        due_at=min(due, default=inf) if something_is_due else min([before.due_at, *due]),
        quiet=before.quiet,
        terms=terms,
    )
    quiet = (previous is None or not seen.asked) and not questions(picture, said, now, 1, seen.told, seen.left)
    known = [*moves, *[(was, after) for was, after in steps if was is not None]]
    of_note = [(was, after) for was, after in known if was.stalled or after.stalled or after.job.reason]
    gains = [(after.job.progress or 0.0) - (was.job.progress or 0.0) for was, after in moves]
    return Difference(
        picture=picture if picture.quiet is quiet else replace(picture, quiet=quiet),
        transitions=transitions,
        baseline=previous is None,
        stalled=tuple(after for was, after in of_note if after.stalled and not was.stalled),
        resumed=tuple(after for was, after in of_note if was.stalled and not after.stalled),
        explained=tuple(after for was, after in of_note if _explained(was, after)),
        progressed=sum([gain > 0 for gain in gains]),
        regressed=sum([gain < 0 for gain in gains]),
        missing=_missing_now(picture),
        dropped=len(too_many),
        changed=tuple([after for after in now_known if after.job.job_id not in too_many]),
        removed=(*(was.job.job_id for was, after in changes if was is not None and after is None), *too_many),
        outcomes_changed=previous is None or picture.outcomes is not previous.outcomes,
        previous=previous,
    )


_Pair = tuple[TrackedJob | None, TrackedJob | None]
"""What was known of a job, None for a new one, and what is known now, None where it need not be remembered."""


def _listed(before: Picture, seen: Observation, now: float, terms: Terms, *, all_of_them: bool) -> Iterator[_Pair]:
    """Pair jobs of the list with what was known of them: all, or those of which it says something new."""
    limits, asked, described = terms.limits, seen.asked, seen.described
    find = dict(before.jobs.items()).get if seen.told is None else before.jobs.find
    just_told = None if all_of_them else seen.told
    anew = just_told is not None or before.terms != terms  # who is stalled by one limit need not be by another
    for job_id, job in (seen.listed if just_told is None else just_told).items():
        told = described.get(job_id, job)
        was = find(job_id)
        if was is None:
            yield None, noted(first_seen(told, now), seen, now)
        elif job_id in asked:
            after = noted(followed(was, told, now, limits, missing_since=None), seen, now)
            yield was, stalled_in_silence(was, after, now, limits)
        elif anew or job is not before.said.get(job_id) or now >= due_at(was, terms):
            yield was, followed(was, told, now, limits, missing_since=None)


def _missing(before: Picture, seen: Observation, now: float, terms: Terms, *, all_of_them: bool) -> Iterator[_Pair]:
    """Pair jobs that the list leaves out with what is to be thought of them: a missing job is only a question."""
    limits = terms.limits
    for job_id, was in (_all_missing if all_of_them else _just_missing)(before.jobs, seen).items():
        since = now if was.missing_since is None else was.missing_since
        found = seen.found.get(job_id)
        if found is not None:
            yield was, noted(followed(was, found, now, limits, missing_since=since), seen, now)
        elif was.finished:
            if now > forgotten_at(was, since, terms.kept_for):
                yield was, None
            elif was.missing_since is None:
                yield was, replace(was, missing_since=since)
        elif job_id in seen.gone:
            yield was, vanished(was, now, since)
        else:
            stalled = was.stalled or (is_stalled(was, now, limits) and now - since > limits.of(was.job.state))
            known = was.missing_since is not None and was.stalled is stalled
            yield was, noted(was if known else replace(was, missing_since=since, stalled=stalled), seen, now)


def _just_missing(jobs: Jobs, seen: Observation) -> Mapping[str, TrackedJob]:
    """Return the jobs that have left the list just now."""
    found = {job_id: jobs.find(job_id) for job_id in seen.left}
    return {job_id: was for job_id, was in found.items() if was is not None}


def _all_missing(jobs: Jobs, seen: Observation) -> Mapping[str, TrackedJob]:
    """Return all jobs that are not on the list."""
    parts = chain(jobs.unfinished.items(), jobs.lost.items(), jobs.retired.items())
    missing = {job_id: was for job_id, was in parts if job_id not in seen.listed}
    if seen.told is not None:
        return {**missing, **_just_missing(jobs, seen)}
    return missing | {job_id: was for job_id, was in jobs.completed.items() if job_id not in seen.listed}


def _may_be_due(jobs: Jobs) -> Iterable[TrackedJob]:
    """Return the jobs about which there may be something to do, though the list says the same again."""
    return chain(jobs.unfinished.values(), jobs.lost.values(), jobs.retired.values())


def _said(seen: Observation) -> Mapping[str, Job]:
    """Return what the list says of each job that it does not call completed."""
    told = seen.listed if seen.told is None else seen.told
    completed = [job_id for job_id, job in told.items() if job.state is COMPLETED]
    if not completed:
        return seen.listed
    said = dict(seen.listed)
    for job_id in completed:
        said.pop(job_id, None)
    return said


def _by_kind(
    changes: Iterable[_Pair],
) -> tuple[list[tuple[TrackedJob | None, TrackedJob]], list[tuple[TrackedJob, TrackedJob]]]:
    """Sort what became of jobs into steps from state to state, the first of all among them, and moves within one."""
    steps, moves = [], []
    for was, after in changes:
        if after is not None:
            if was is not None and was.job.state is after.job.state:
                moves.append((was, after))
            else:
                steps.append((was, after))
    return steps, moves


def _is_news(was: TrackedJob | None, after: TrackedJob, baseline_at: float | None) -> bool:
    """Say whether a step is to be told: not that of a job that had ended before the baseline and was listed late."""
    if was is not None or not after.finished or after.job.completed_at is None or baseline_at is None:
        return True
    return not 0 < after.job.completed_at < baseline_at - CLOCK_SKEW


def _missing_now(picture: Picture) -> int:
    """Count the unfinished jobs that the list leaves out; there are none unless something is always due."""
    if picture.due_at != -inf:
        return 0
    return sum(job.missing_since is not None for job in picture.jobs.unfinished.values())


def _explained(was: TrackedJob, after: TrackedJob) -> bool:
    failed_before = was.job.state is JobState.FAILED is after.job.state
    return failed_before and not was.job.reason and bool(after.job.reason)


def _transition(was: TrackedJob | None, after: TrackedJob, now: float) -> Transition:
    job = after.job
    from_state = None if was is None else was.job.state
    return Transition(
        job_id=job.job_id,
        database=job.database,
        collection=job.collection,
        from_state=from_state,
        to_state=job.state,
        at=now,
        progress=job.progress,
        reason=job.reason,
        failure=classify(job.reason) if job.state is JobState.FAILED else None,
        duration=max(0.0, now - after.first_seen),
        unexpected=_unexpected(from_state, job.state),
    )


def _unexpected(from_state: JobState | None, to_state: JobState) -> bool:
    """Say whether jobs do not normally take a step: out of a terminal state, or backwards."""
    if from_state is None:
        return False
    return from_state in TERMINAL or _ORDER.get(to_state, len(_ORDER)) < _ORDER.get(from_state, 0)
