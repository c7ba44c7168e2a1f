"""Which jobs a poll asks the server to describe, where the list leaves something open."""

from collections.abc import Collection, Mapping

from monitor.jobs.model import TERMINAL, Job, JobState, TrackedJob
from monitor.jobs.picture import Jobs, Picture


def questions(
    previous: Picture | None,
    listed: Mapping[str, Job],
    now: float,
    limit: int,
    told: Mapping[str, Job] | None = None,
    left: Collection[str] = (),
) -> list[str]:
    """Return the ids of the jobs to describe in this poll, most urgent first.

    Asked are jobs that have just failed without a reason, unfinished jobs whose list gives no progress (Zilliz Cloud),
    and unfinished jobs that are missing from the list. Those that have just failed come first; among the others, who
    has waited longest.

    Args:
        previous: The previous picture, None at a baseline.
        listed: What the list says now, by job id.
        now: The time of this poll.
        limit: How many may be asked; the others wait for the next poll.
        told: Those of which it does not say the same as the list of the previous picture; None where that is not known.
        left: Jobs that were on that list and are not on this one.
    """
    before = Jobs() if previous is None else previous.jobs
    news: Mapping[str, Job] = listed
    missing: Collection[str] = before.unfinished
    if previous is not None and previous.quiet and told is not None:
        news, missing = told, [job_id for job_id in left if job_id in before.unfinished]
    waiting: list[tuple[bool, float, bool, str]] = []
    for job_id, job in news.items():
        if job.state not in TERMINAL:
            if job.progress is None:
                waiting.append((True, *_turn(before.find(job_id), now), job_id))
        elif job.state is JobState.FAILED:
            was = before.find(job_id)
            if _lacks_reason(was, job):
                old_news = previous is None or (was is not None and was.job.state is JobState.FAILED)
                waiting.append((old_news, *_turn(was, now), job_id))
    waiting.extend((True, *_turn(before.unfinished[job_id], now), job_id) for job_id in missing if job_id not in listed)
    waiting.sort()
    return [job_id for *_, job_id in waiting[:limit]]


def _lacks_reason(was: TrackedJob | None, job: Job) -> bool:
    """Say whether a failed job's reason is unknown and has not been asked for, with an answer, since it failed."""
    if job.reason:
        return False
    if was is None or was.job.state is not JobState.FAILED:
        return True
    return not was.job.reason and (was.answered_at is None or was.answered_at < was.state_since)


def _turn(was: TrackedJob | None, now: float) -> tuple[float, bool]:
    """Return since when a job waits to be asked about, and whether it has had a turn before."""
    if was is None:
        return now, False
    if was.asked_at is not None:
        return was.asked_at, True
    return (was.state_since if was.missing_since is None else was.missing_since), False
