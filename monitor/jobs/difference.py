"""The diff: what happened to a cluster's jobs between the previous picture and what a poll has just seen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from math import inf
from typing import Final

from monitor.jobs.estimate import with_sample
from monitor.jobs.failures import classify
from monitor.jobs.model import TERMINAL, Job, JobState, TrackedJob, Transition
from monitor.jobs.outcomes import updated_outcomes
from monitor.jobs.picture import Jobs, Picture
from monitor.jobs.questions import questions
from monitor.jobs.stalls import StallLimits, is_stalled

REMEMBERED_FOR: Final = 7 * 86400.0
"""Seconds for which a finished job that has left the list is remembered at least, so that its return is no news."""

REMEMBERED_LIMIT: Final = 10_000
"""Jobs of one cluster that are remembered though the list has left them out for longer than ``MAY_COME_BACK``."""

MAY_COME_BACK: Final = 86400.0
"""Seconds for which every missing job is remembered: a list that was empty and wrong may be whole again."""

MOST_REMEMBERED: Final = 200_000
"""Jobs of one cluster that are remembered though the list leaves them out, however short a time."""

CLOCK_SKEW: Final = 60.0
"""Seconds by which the server's clock may be behind ours before what has just happened looks old."""

_ORDER: Final = {JobState.PENDING: 0, JobState.IMPORTING: 1, JobState.UNCOMMITTED: 2, JobState.COMMITTING: 3}


@dataclass(frozen=True, slots=True)
class Observation:
    """What one complete poll saw.

    Attributes:
        listed: Every job of the list, by id. Where it was read beside the list before, completed jobs of which it says
            the same again are left out.
        found: Jobs that the list left out and that a describe found all the same.
        gone: Jobs of which the server said that they do not exist.
        asked: Jobs for which a describe was sent.
        answered: Jobs for which a describe was answered.
        described: Jobs of the list with what a describe added.
        left: Jobs that the list before had and this one has not; None where it was not read beside that one.
        mark: Stands for the list.
    """

    listed: Mapping[str, Job]
    found: Mapping[str, Job] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()
    described: Mapping[str, Job] = field(default_factory=dict)
    left: frozenset[str] | None = None
    mark: object = None


@dataclass(frozen=True, slots=True)
class Difference:
    """What a poll changed.

    Attributes:
        picture: The new picture, which takes the place of the previous one.
        transitions: Every step from state to state, in the order of the list; empty for a baseline, and without jobs
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
    if previous is not None and previous.stays(seen.listed, now) and not seen.asked:
        return Difference(previous)
    before = Picture() if previous is None else previous
    kept_for = max(failed_retention, REMEMBERED_FOR)
    looked_at = (*_listed(before, seen, now, limits), *_missing(before, seen, now, kept_for, limits))
    changes = [(was, after) for was, after in looked_at if was is not after]
    after_all = [after for _, after in changes if after is not None]
    jobs = before.jobs.with_changes(after_all, [was for was, _ in changes if was is not None])
    surplus = _surplus(jobs, now)
    jobs = jobs.with_changes((), surplus.values())
    steps = [] if previous is None else [pair for pair in changes if _is_news(*pair, previous.baseline_at)]
    transitions = tuple(_transition(was, after, now) for was, after in steps if after is not None)
    followed = [(was, after) for was, after in changes if was is not None and after is not None]
    within = [(was.job, after.job) for was, after in followed if was.job.state is after.job.state]
    picture = Picture(
        jobs=jobs,
        outcomes=updated_outcomes(previous, after_all, transitions, now),
        baseline_at=now if previous is None else previous.baseline_at,
        mark=seen.mark,
        said=_said(before, seen, jobs),
        forget_at=_forget_at(before, jobs, changes, now, kept_for),
    )
    if not changes:
        picture = replace(picture, quiet_until=_quiet_until(picture, now, limits, kept_for))
    return Difference(
        picture=picture,
        transitions=transitions,
        baseline=previous is None,
        stalled=tuple(after for was, after in followed if after.stalled and not was.stalled),
        resumed=tuple(after for was, after in followed if was.stalled and not after.stalled),
        explained=tuple(after for was, after in followed if _explained(was, after)),
        progressed=sum((after.progress or 0) > (was.progress or 0) for was, after in within),
        regressed=sum((after.progress or 0) < (was.progress or 0) for was, after in within),
        missing=sum(job.missing_since is not None for job in jobs.unfinished.values()),
        dropped=len(surplus),
        changed=tuple(after for after in after_all if after.job.job_id not in surplus),
        removed=(*(was.job.job_id for was, after in changes if was is not None and after is None), *surplus),
        outcomes_changed=previous is None or picture.outcomes is not previous.outcomes,
    )


_Pair = tuple[TrackedJob | None, TrackedJob | None]
"""What was known of a job, None for a new one, and what is known now, None where it need not be remembered."""


def _listed(before: Picture, seen: Observation, now: float, limits: StallLimits) -> Iterator[_Pair]:
    """Pair each job of the list with what was known of it, but for those of which nothing new can be said."""
    said_before = before.said
    find = before.jobs.find if seen.left is not None else dict(before.jobs.items()).get
    for job_id, job in seen.listed.items():
        same = job is said_before.get(job_id) and job_id not in seen.asked
        was = find(job_id)
        if was is None:
            yield None, _noted(_first_seen(seen.described.get(job_id, job), now), seen, now)
        elif not same or now >= _stays_until(was, limits):
            told = seen.described.get(job_id, job)
            after = _noted(_follow(was, told, now, limits, missing_since=None), seen, now)
            yield was, _stalled_in_silence(was, after, now, limits)


def _missing(before: Picture, seen: Observation, now: float, kept_for: float, limits: StallLimits) -> Iterator[_Pair]:
    """Pair each job that the list leaves out with what is to be thought of it: a missing job is only a question."""
    for job_id, was in _left_out(before, seen, now).items():
        since = now if was.missing_since is None else was.missing_since
        found = seen.found.get(job_id)
        if found is not None:
            yield was, _noted(_follow(was, found, now, limits, missing_since=since), seen, now)
        elif was.finished:
            if now >= _forgotten_at(was, since, kept_for):
                yield was, None
            elif was.missing_since is None:
                yield was, replace(was, missing_since=since)
        elif job_id in seen.gone:
            yield was, _vanished(was, now, since)
        else:
            stalled = was.stalled or (is_stalled(was, now, limits) and now - since > limits.of(was.job.state))
            known = was.missing_since is not None and was.stalled is stalled
            yield was, _noted(was if known else replace(was, missing_since=since, stalled=stalled), seen, now)


def _left_out(before: Picture, seen: Observation, now: float) -> dict[str, TrackedJob]:
    """Return the jobs that the list leaves out and of which there may be something new to say."""
    jobs = before.jobs
    out = {
        job_id: was for job_id, was in chain(jobs.unfinished.items(), jobs.lost.items()) if job_id not in seen.listed
    }
    left = jobs.completed if seen.left is None else seen.left
    for job_id in [job_id for job_id in chain(left, seen.found) if job_id not in seen.listed and job_id not in out]:
        was = jobs.find(job_id)
        if was is not None:
            out[job_id] = was
    if jobs.retired and now >= before.forget_at:
        out.update((job_id, was) for job_id, was in jobs.retired.items() if job_id not in seen.listed)
    return out


def _forgotten_at(was: TrackedJob, missing_since: float, kept_for: float) -> float:
    """Return when a finished job that has left the list need not be remembered any more."""
    return max(missing_since, was.finished_at or missing_since) + kept_for


def _forget_at(before: Picture, jobs: Jobs, changes: Iterable[_Pair], now: float, kept_for: float) -> float:
    """Return when the first of the retired jobs may be forgotten, or a time before that."""
    looked_through = now >= before.forget_at
    retired = jobs.retired.values() if looked_through else [after for _, after in changes if after is not None]
    due = [
        _forgotten_at(tracked, tracked.missing_since, kept_for)
        for tracked in retired
        if tracked.missing_since is not None and tracked.finished
    ]
    return min(due, default=inf) if looked_through else min([before.forget_at, *due])


def _said(before: Picture, seen: Observation, jobs: Jobs) -> Mapping[str, Job]:
    """Return what the list says of each job that is not completed."""
    if seen.listed is before.said:
        return before.said
    return {job_id: job for job_id, job in seen.listed.items() if job_id in jobs.unfinished or job_id in jobs.lost}


def _stalled_in_silence(was: TrackedJob, after: TrackedJob, now: float, limits: StallLimits) -> TrackedJob:
    """Return a job as stalled that only a describe could tell of, where two in a row were not answered."""
    asked_in_vain = after.asked_at == now and after.answered_at != now
    again = was.asked_at is not None and (was.answered_at is None or was.answered_at < was.asked_at)
    if asked_in_vain and again and not after.stalled and is_stalled(after, now, limits):
        return replace(after, stalled=True)
    return after


def _stays_until(tracked: TrackedJob, limits: StallLimits) -> float:
    """Return up to when a listed job stays what it is, as long as the list says the same of it."""
    if tracked.missing_since is not None:
        return -inf
    if tracked.finished or tracked.stalled:
        return inf
    return tracked.last_change + limits.of(tracked.job.state)


def _quiet_until(picture: Picture, now: float, limits: StallLimits, kept_for: float) -> float:
    """Return up to when nothing changes by itself; never so where something is to be asked of the server."""
    jobs = picture.jobs
    if questions(picture, picture.said, now, limit=1) or _missing_jobs(jobs) > REMEMBERED_LIMIT:
        return -inf
    missing = [
        _forgotten_at(tracked, tracked.missing_since, kept_for)
        for tracked in jobs.lost.values()
        if tracked.missing_since is not None
    ]
    there = [_stays_until(tracked, limits) for tracked in jobs.unfinished.values()]
    return min([picture.forget_at, *missing, *there])


def _first_seen(job: Job, now: float) -> TrackedJob:
    return TrackedJob(
        job=_settled(job),
        first_seen=now,
        state_since=now,
        last_change=now,
        peak_progress=job.progress or 0.0,
        peak_rows=job.imported_rows or 0,
        finished_at=_ended(job, now) if job.state in TERMINAL else None,
        samples=with_sample((), job, now),
    )


def _follow(was: TrackedJob, told: Job, now: float, limits: StallLimits, missing_since: float | None) -> TrackedJob:
    """Return the job as it is now; the very same object where the answer says nothing new."""
    job = _settled(_kept(was.job, told))
    if job == was.job and was.finished and was.missing_since == missing_since:
        return was
    changed = job.state is not was.job.state
    progress, rows = job.progress or 0.0, job.imported_rows or 0
    forward = progress > was.peak_progress or rows > was.peak_rows
    after = TrackedJob(
        job=job,
        first_seen=was.first_seen,
        state_since=now if changed else was.state_since,
        last_change=now if changed or forward else was.last_change,
        peak_progress=progress if changed else max(was.peak_progress, progress),
        peak_rows=rows if changed else max(was.peak_rows, rows),
        finished_at=_finished_at(was, job, now, changed=changed),
        stalled=was.stalled,
        missing_since=missing_since,
        asked_at=was.asked_at,
        answered_at=was.answered_at,
        samples=with_sample(() if changed else was.samples, job, now),
    )
    if changed or _says_how_far(told):
        stalled = is_stalled(after, now, limits)
        after = after if stalled is after.stalled else replace(after, stalled=stalled)
    return was if after == was else after


def _says_how_far(told: Job) -> bool:
    """Say whether an answer could have shown progress, had there been some."""
    waiting = told.state in (JobState.PENDING, JobState.UNCOMMITTED)
    return waiting or told.progress is not None or told.imported_rows is not None


def _kept(was: Job, told: Job) -> Job:
    """Fill what an answer leaves out with what is known from earlier ones."""
    same = told.state is was.state
    return Job(
        job_id=told.job_id,
        collection=told.collection or was.collection,
        state=told.state,
        database=told.database or was.database,
        progress=was.progress if told.progress is None or told.state is JobState.FAILED else told.progress,
        reason=told.reason or (was.reason if same else ""),
        raw_state=told.raw_state,
        imported_rows=was.imported_rows if told.imported_rows is None else told.imported_rows,
        total_rows=was.total_rows if told.total_rows is None else told.total_rows,
        created_at=was.created_at if told.created_at is None else told.created_at,
        completed_at=was.completed_at if told.completed_at is None and same else told.completed_at,
    )


def _settled(job: Job) -> Job:
    """A completed job is complete, whatever its answer says or leaves out."""
    return replace(job, progress=1.0) if job.state is JobState.COMPLETED and job.progress != 1.0 else job


def _ended(job: Job, now: float) -> float:
    """When a job that was first seen finished did finish: the server's word, where it makes sense."""
    at = job.completed_at
    return at if at is not None and 0 < at <= now else now


def _finished_at(was: TrackedJob, job: Job, now: float, *, changed: bool) -> float | None:
    if job.state not in TERMINAL:
        return None
    if changed:
        return now
    if was.first_seen == was.state_since and was.job.completed_at is None and job.completed_at is not None:
        return min(_ended(job, now), was.finished_at or now)
    return was.finished_at


def _vanished(was: TrackedJob, now: float, missing_since: float) -> TrackedJob:
    return replace(
        was,
        job=replace(was.job, state=JobState.VANISHED),
        state_since=now,
        last_change=now,
        finished_at=now,
        stalled=False,
        missing_since=missing_since,
        asked_at=now,
        answered_at=now,
        samples=(),
    )


def _noted(job: TrackedJob, seen: Observation, now: float) -> TrackedJob:
    """Note when the server was asked about a job, and when it answered."""
    job_id = job.job.job_id
    if job_id not in seen.asked:
        return job
    return replace(job, asked_at=now, answered_at=now if job_id in seen.answered else job.answered_at)


def _missing_jobs(jobs: Jobs) -> int:
    """Return how many jobs are remembered though the list leaves them out."""
    listed_or_not = chain(jobs.unfinished.values(), jobs.lost.values())
    return len(jobs.retired) + sum(tracked.missing_since is not None for tracked in listed_or_not)


def _surplus(jobs: Jobs, now: float) -> dict[str, TrackedJob]:
    """Return the missing jobs that are too many: those missing longest go first, finished ones before the others."""
    if _missing_jobs(jobs) <= min(REMEMBERED_LIMIT, MOST_REMEMBERED):
        return {}
    everybody = chain(jobs.unfinished.values(), jobs.lost.values(), jobs.retired.values())
    missing = [(now - tracked.missing_since, tracked) for tracked in everybody if tracked.missing_since is not None]
    long_gone = sum(gone_for > MAY_COME_BACK for gone_for, _ in missing)
    surplus = max(min(len(missing) - REMEMBERED_LIMIT, long_gone), len(missing) - MOST_REMEMBERED)
    if surplus <= 0:
        return {}
    missing.sort(key=lambda pair: (pair[0] <= MAY_COME_BACK, not pair[1].retired, -pair[0]))
    return {tracked.job.job_id: tracked for _, tracked in missing[:surplus]}


def _is_news(was: TrackedJob | None, after: TrackedJob | None, baseline_at: float | None) -> bool:
    """Say whether a step is to be told: not that of a job that had ended before the baseline and was listed late."""
    if was is not None or after is None:
        return was is not None and after is not None and was.job.state is not after.job.state
    if not after.finished or after.job.completed_at is None or baseline_at is None:
        return True
    return not 0 < after.job.completed_at < baseline_at - CLOCK_SKEW


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
