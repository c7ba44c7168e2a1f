"""Finds the databases of jobs where the list does not name them: lists one collection in each database in turn."""

from collections.abc import Callable, Mapping
from typing import Final

import structlog
from msgspec.structs import replace

from monitor.client import SHARED_FAILURES, ApiError, ErrorKind, ImportApi
from monitor.jobs import (
    Job,
    PollResult,
    Snapshot,
    collections_to_look_up,
    match_databases,
    note_lookups,
    update_databases,
)

LOOKUPS_PER_POLL: Final = 20
"""Lists of one collection in one database that one poll requests, but one collection at least is looked up: as many as
describes, for each endpoint has a rate limit of its own. The other collections wait for the next poll."""

_SHARED_FAILURES: Final = (*SHARED_FAILURES, ErrorKind.BAD_RESPONSE)
"""Kinds of a lookup's failure that the next lookup would share; the bytes of a poll are limited, too."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.poller")


FinishedJobs = Callable[[frozenset[str]], Mapping[str, Job | None]]
"""Returns what the store has of finished jobs, by their ids; None where the store cannot say."""


def look_up_databases(
    api: ImportApi,
    previous: Snapshot | None,
    result: PollResult,
    now: float,
    finished_jobs: FinishedJobs,
    labels: Mapping[str, object],
) -> PollResult:
    """Return a poll's result with the databases of its jobs, as far as they are known or found by a lookup.

    Args:
        api: The cluster's API.
        previous: Its previous snapshot.
        result: What the poll has brought so far.
        now: The time of this poll.
        finished_jobs: Reads finished jobs from the store.
        labels: The cluster's names and own labels, for the log.

    Raises:
        StoppedError: The monitor is stopping. A lookup that fails costs nothing but its own response.
    """
    databases = update_databases(previous, result)
    limit = max(1, LOOKUPS_PER_POLL // len(api.lookup_databases))
    collections = collections_to_look_up(databases, result, now, limit) if databases.unknown else ()
    if not collections:
        return replace(result, databases=databases)
    found: dict[str, str] = {}
    looked_up: set[str] = set()
    for collection in collections:
        looked_up.add(collection)
        try:
            listed = {name: _job_ids(api, name, collection) for name in api.lookup_databases}
        except ApiError as error:
            fields = {"collection": collection, "kind": error.kind.value, "message": str(error)}
            _log.debug("database_lookup_failed", **labels, **fields)
            if error.kind in _SHARED_FAILURES:
                break
        else:
            found |= match_databases(listed)
    for job_id, lookup in databases.unknown.items():
        if job_id not in found and not lookup.attempts and result.listing.records[job_id].collection in looked_up:
            api.note_job_elsewhere()
            break
    known = result.new_ids | result.finished.keys() | (set() if previous is None else previous.tracked.keys())
    ids = frozenset(found.keys() & databases.unknown.keys() - known)
    stored = finished_jobs(ids) if ids else {}
    finished = {**result.finished, **{job_id: job for job_id, job in stored.items() if job is not None}}
    found = {job_id: name for job_id, name in found.items() if job_id in known or job_id in finished}
    return replace(result, finished=finished, databases=note_lookups(databases, result, looked_up, found, now))


def _job_ids(api: ImportApi, database: str, collection: str) -> list[str]:
    """Return the ids of the jobs of a collection in a database; a server that does not filter lists others, too."""
    records = api.list_collection(database, collection)
    return [job_id for job_id, record in records.items() if record.collection == collection]
