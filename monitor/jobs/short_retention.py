"""Notices finished jobs that leave the server's list so soon that a poll can miss them.

Milvus removes finished jobs from its list after a while. Where that is only a few polls, a job can finish and be gone
between two polls, and nobody knows how it ended.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from monitor.jobs.model import JobRecord, JobState, Transition

ENOUGH_POLLS: Final = 3
"""Polls in which a finished job has to be listed, for a few that fail or are late not to matter."""

CONFIRMED_AFTER: Final = 2
"""Lists in a row that lack a job, for one list can lack jobs by mistake."""


class FinishedListing(msgspec.Struct, frozen=True, gc=False):
    """In how many polls a job was listed as finished, and in how many in a row it has been missing since."""

    polls: int = 1
    missing: int = 0


def follow_finished(
    previous: Mapping[str, FinishedListing],
    records: Mapping[str, JobRecord],
    transitions: Iterable[Transition],
    *,
    complete: bool,
) -> tuple[Mapping[str, FinishedListing], int]:
    """Return the jobs that have finished in the latest polls, and how many left the list too soon.

    Args:
        previous: The jobs before this poll; none if a poll has failed since, for jobs may have left the list meanwhile.
        records: The list.
        transitions: What this poll has changed.
        complete: Whether the list has all unfinished jobs; if not, it proves nothing about finished ones.
    """
    current: dict[str, FinishedListing] = {}
    left = 0
    for job_id, listing in previous.items():
        if job_id in records:
            if listing.polls + 1 < ENOUGH_POLLS:
                current[job_id] = FinishedListing(listing.polls + 1)
        elif complete and listing.missing + 1 < CONFIRMED_AFTER:
            current[job_id] = FinishedListing(listing.polls, listing.missing + 1)
        else:
            left += complete
    for step in transitions:
        if step.to_state in (JobState.COMPLETED, JobState.FAILED) and step.job_id in records:
            current[step.job_id] = FinishedListing()
    return current, left
