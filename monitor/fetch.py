"""What a poll requests from the server: the list of jobs, describes of single jobs, and their databases."""

from collections.abc import Iterable, Mapping
from typing import Final

import structlog
from msgspec.structs import replace

from monitor.client import SHARED_FAILURES, ApiError, ErrorKind, ImportApi, JobGoneError
from monitor.database_lookup import FinishedJobs, look_up_databases
from monitor.jobs import JobList, JobRecord, PollResult, Snapshot, compare_lists, describe_queue
from monitor.poll_log import log_databases

DESCRIBES_PER_POLL: Final = 20
"""Jobs that a poll asks the server to describe at most; the rest of the queue waits for the next poll."""

_HARMFUL_FAILURES: Final = (ErrorKind.TIMEOUT, ErrorKind.CONNECTION)
"""Kinds of a describe's failure after which the job is described with growing pauses: each may crash the server."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.poller")


def fetch(
    api: ImportApi,
    previous: Snapshot | None,
    now: float,
    finished_jobs: FinishedJobs,
    labels: Mapping[str, object],
) -> PollResult:
    """Fetch the whole list of a cluster, describe the jobs of which the list lacks information, look up databases.

    Args:
        api: The cluster's API.
        previous: Its previous snapshot.
        now: The time of this poll.
        finished_jobs: Reads finished jobs from the store.
        labels: The cluster's names and own labels, for the log.

    Raises:
        ApiError: The list is not complete. A describe or lookup that fails does not fail the poll.
        StoppedError: The monitor is stopping.
    """
    api.session.begin_poll()
    tracked = {} if previous is None else previous.tracked
    listed_before = JobList() if previous is None else previous.listing
    databases_before = api.known_databases
    try:
        current = api.list_jobs(listed_before)
    finally:
        log_databases(databases_before, api.known_databases, labels)
    listing, new_ids = compare_lists(previous, current)
    untracked = new_ids - tracked.keys()
    result = PollResult(listing, new_ids, finished=finished_jobs(untracked) if previous and untracked else {})
    if queue := describe_queue(previous, result, now, DESCRIBES_PER_POLL):
        result = _describe(api, queue, result, labels)
    return look_up_databases(api, previous, result, now, finished_jobs, labels) if api.lookup_databases else result


def _describe(api: ImportApi, queue: Iterable[str], result: PollResult, labels: Mapping[str, object]) -> PollResult:
    """Return a result with the responses to describes of the queued jobs.

    A failure that the next describe would share, as of the connection, ends the queue.
    """
    described: dict[str, JobRecord] = {}
    absent: set[str] = set()
    sent: set[str] = set()
    harmful: set[str] = set()
    for job_id in queue:
        sent.add(job_id)
        try:
            described[job_id] = api.describe(job_id)
        except JobGoneError:
            absent.add(job_id)
        except ApiError as error:
            _log.debug("describe_failed", **labels, job_id=job_id, kind=error.kind.value, message=str(error))
            if error.kind in _HARMFUL_FAILURES:
                harmful.add(job_id)
            if error.kind in SHARED_FAILURES:
                break
    return replace(
        result,
        described=described,
        confirmed_absent=frozenset(absent),
        describes_sent=frozenset(sent),
        harmful_describes=frozenset(harmful),
    )
