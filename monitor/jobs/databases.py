"""In which database each listed job is, where the list does not name it.

Self-hosted Milvus lists the jobs of all databases and names none. A list of one collection in one database has only the
jobs of that collection, so a job whose id is in the list of exactly one database is in that database.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from monitor.jobs.describe_queue import FIRST_PAUSE, LONGEST_PAUSE
from monitor.jobs.model import CollectionKey, CollectionOutcome, Job, JobState, normalize_state
from monitor.jobs.snapshot import DatabaseLookup, JobDatabases, PollResult, Snapshot


def update_databases(previous: Snapshot | None, result: PollResult) -> JobDatabases:
    """Return the databases of the listed jobs as far as they are known without a lookup.

    Args:
        previous: The previous snapshot, None at a baseline.
        result: The list, and what the store has of its jobs.
    """
    before = JobDatabases() if previous is None else previous.databases
    records = result.listing.records
    is_empty = not before.known and not before.unknown  # also where `databases` has just been configured
    new_ids = (records.keys() if is_empty else result.new_ids) - before.known.keys()
    if not new_ids and before.known.keys() <= records.keys() and before.unknown.keys() <= records.keys():
        return before
    tracked = {} if previous is None else previous.tracked
    known = {job_id: database for job_id, database in before.known.items() if job_id in records}
    unknown = {job_id: lookup for job_id, lookup in before.unknown.items() if job_id in records}
    for job_id in new_ids:
        record, job = records[job_id], tracked.get(job_id) or result.finished.get(job_id)
        database = record.database or ("" if job is None else job.database)
        if database:
            known[job_id] = database
            unknown.pop(job_id, None)
        elif record.collection:
            unknown.setdefault(job_id, DatabaseLookup())
    return JobDatabases(known, unknown)


def collections_to_look_up(databases: JobDatabases, result: PollResult, now: float, limit: int) -> list[str]:
    """Return the collections to list in each database in this poll, most urgent first.

    Collections with a job that has not been looked up come first, and of these the ones with a job that is unfinished
    or has failed. A job that was not found is looked up again after 60 s, then ever more rarely, up to once an hour.
    """
    waiting: dict[str, tuple[bool, bool, float]] = {}
    for job_id, lookup in databases.unknown.items():
        if lookup.attempts and now < lookup.at + min(FIRST_PAUSE * 2.0 ** min(lookup.attempts - 1, 10), LONGEST_PAUSE):
            continue
        record = result.listing.records[job_id]
        urgency = lookup.attempts > 0, normalize_state(record.state) is JobState.COMPLETED, lookup.at
        waiting[record.collection] = min(urgency, waiting.get(record.collection, urgency))
    return sorted(waiting, key=lambda collection: (waiting[collection], collection))[:limit]


def match_databases(ids: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Return the database of each job that is in the list of exactly one, given the ids listed in every database.

    An id in several lists proves nothing: the server does not filter.
    """
    counts = Counter(job_id for listed in ids.values() for job_id in listed)
    return {job_id: database for database, listed in ids.items() for job_id in listed if counts[job_id] == 1}


def note_lookups(
    databases: JobDatabases, result: PollResult, collections: Collection[str], found: Mapping[str, str], now: float
) -> JobDatabases:
    """Return the databases after lookups of collections, which found those of some jobs."""
    known, unknown = dict(databases.known), dict(databases.unknown)
    for job_id, lookup in databases.unknown.items():
        if job_id in found:
            known[job_id] = found[job_id]
            del unknown[job_id]
        elif result.listing.records[job_id].collection in collections:
            unknown[job_id] = DatabaseLookup(lookup.attempts + 1, now)
    return JobDatabases(known, unknown)


def drop_unknown_outcomes(
    outcomes: Mapping[CollectionKey, CollectionOutcome], tracked: Iterable[Job]
) -> Mapping[CollectionKey, CollectionOutcome]:
    """Return the outcomes without those of an unknown database that no tracked failed job accounts for any more.

    No success can end such an outcome, so it lasts until the database of its jobs is found or they are tracked no more.
    """
    unknown = {key for key in outcomes if not key[0]}
    if unknown:
        unknown -= {(job.database, job.collection) for job in tracked if job.state is JobState.FAILED}
    return {key: outcome for key, outcome in outcomes.items() if key not in unknown} if unknown else outcomes
