"""Follows the occurrences of one expected import from one evaluation to the next; pure functions."""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from monitor.config import Expectation
from monitor.expectations.collections import ExpectedKey
from monitor.expectations.occurrences import ExpectedState, Occurrence, Verdict, judge, occurrence, seen_imports
from monitor.jobs import Job
from monitor.store import ExpectationRecord

GAP: Final = 120.0
"""Seconds without polls after which it is not known exactly when an import began."""

TRUSTED_GAP: Final = 7200.0
"""Seconds without polls after which imports can have come and gone unseen: Milvus lists finished ones for three hours
(dataCoord.import.taskRetention)."""

CATCH_UP: Final = 100
"""Occurrences that are judged in one evaluation, the latest ones: of an import every minute, what fits into
``TRUSTED_GAP`` takes two evaluations."""

_LASTING: Final = (ExpectedState.COMPLETED, ExpectedState.TOO_FEW_ROWS)

_EVENTS: Final = {
    ExpectedState.LATE_START: "late",
    ExpectedState.LATE: "late",
    ExpectedState.MISSED: "missed",
    ExpectedState.TOO_FEW_ROWS: "missed",
    ExpectedState.COMPLETED: "met",
}


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something to log of an occurrence: ``late``, ``missed`` or ``met``, once each."""

    name: str
    expected: Occurrence
    state: ExpectedState
    job: Job | None


class Evaluation(msgspec.Struct, frozen=True):
    """The result of an evaluation."""

    record: ExpectationRecord  # what is known now
    job: Job | None  # the import that decides its state; None where there is none
    events: tuple[Event, ...]  # what is to be logged
    unknown: int  # how many past occurrences could not be judged


def first_record(
    expectation: Expectation, cluster: str, database: str, collection: str, seen: float
) -> ExpectationRecord:
    """Return what is known of an import that has not been expected before: nothing of what was until now."""
    starts = expectation.cron.latest(seen)
    starts = expectation.cron.next(seen) if starts is None else starts
    return ExpectationRecord(
        cluster=cluster,
        expectation=expectation.name,
        database=database,
        collection=collection,
        occurrence=starts,
        deadline=occurrence(expectation, starts).complete_by,
        state=ExpectedState.WAITING.value,
        known_since=seen,
        gap_from=0.0,
        gap_to=seen,
        seen_until=seen,
    )


def begin_evaluation(expectation: Expectation, record: ExpectationRecord, seen: float) -> ExpectationRecord:
    """Note up to when the cluster has been polled, and any gap since the previous evaluation.

    An occurrence that cannot be the current one is replaced: the starts in the config have changed, or the clock was
    ahead and has been set back.
    """
    cron = expectation.cron
    is_ahead = record.occurrence > cron.next(seen)
    if is_ahead or not cron.fires(record.occurrence) or _has_other_starts(expectation, record):
        changed = first_record(expectation, record.cluster, record.database, record.collection, seen)
        return replace(changed, revision=record.revision)
    record = replace(record, known_since=min(record.known_since, seen))
    gap = seen - record.seen_until
    if gap > GAP:
        known_since = seen if gap > TRUSTED_GAP else record.known_since
        record = replace(record, gap_from=record.seen_until, gap_to=seen, known_since=known_since)
    behind = cron.next(record.occurrence) - record.occurrence
    if seen - record.occurrence > 2 * CATCH_UP * behind:  # an import every few minutes, and a long gap
        starts = cron.latest(seen - CATCH_UP * behind)
        if starts is not None and starts > record.occurrence:
            record = replace(record, occurrence=starts, state=ExpectedState.WAITING.value, reported="")
    return replace(record, seen_until=seen)


def _has_other_starts(expectation: Expectation, record: ExpectationRecord) -> bool:
    """Return whether the expectation now has starts that were none when the record was made.

    Otherwise the next occurrence would be the current one by now, unless many are still to be judged (``CATCH_UP``):
    then the record is about one that nothing is known of, though its deadline has passed.
    """
    is_behind = expectation.cron.next(record.occurrence) + GAP <= record.seen_until
    is_catching_up = record.state == ExpectedState.WAITING and record.deadline <= record.seen_until
    return is_behind and not is_catching_up


def adopt_record(
    key: ExpectedKey, records: Mapping[ExpectedKey, ExpectationRecord], expected: Mapping[ExpectedKey, Expectation]
) -> ExpectationRecord | None:
    """Return the record of an import from before its collection had one: of the database in the config, or of none."""
    expectation, database, collection = key
    for earlier in ("", expected[key].named_database):
        before = expectation, earlier, collection
        if before in records and before not in expected:
            return replace(records[before], database=database, revision=0)
    return None


def is_changed(previous: ExpectationRecord | None, record: ExpectationRecord) -> bool:
    """Return whether a record has changed in more than the times of polls, which are stored every few minutes."""
    if previous is None:
        return True
    times = {name: getattr(record, name) for name in ("seen_until", "gap_from", "gap_to")}
    return replace(previous, **times) != record


def evaluate(expectation: Expectation, record: ExpectationRecord, jobs: Collection[Job]) -> Evaluation:
    """Judge the occurrences of an import up to the current one.

    Args:
        expectation: The expectation.
        record: What `begin_evaluation` has returned.
        jobs: The imports of its collection that are unfinished, or have finished since the record's occurrence.
    """
    seen, known_since = record.seen_until, record.known_since
    expected = occurrence(expectation, record.occurrence)
    imports = seen_imports(jobs, record.gap_from, record.gap_to)
    reported = record.reported
    events: list[Event] = []
    unknown = 0
    for _ in range(CATCH_UP):
        verdict = judge(expected, imports, expectation.min_rows, seen, known_since)
        if verdict.job is None and expected.starts == record.occurrence and record.state in _LASTING:
            verdict = Verdict(ExpectedState(record.state))  # its import has been pruned from the store
        if verdict.state is not None:
            event, reported = _new_event(expected, verdict, reported)
            events += event
            if seen < expected.next_starts:
                break
        unknown += verdict.state is None and record.gap_from > 0
        expected, reported = occurrence(expectation, expected.next_starts), ""
    else:
        verdict = Verdict(ExpectedState.WAITING)  # the rest are judged in the next evaluation
    record = replace(
        record,
        occurrence=expected.starts,
        deadline=expected.complete_by,
        state=(verdict.state or ExpectedState.WAITING).value,
        reported=reported,
    )
    return Evaluation(record, verdict.job, tuple(events), unknown)


def _new_event(expected: Occurrence, verdict: Verdict, reported: str) -> tuple[list[Event], str]:
    """Return the event of a verdict if it is new, and the events that are reported then."""
    logged = [name for name in reported.split(",") if name]
    name = _EVENTS.get(verdict.state) if verdict.state else None
    if name is None or verdict.state is None or name in logged or (name == "late" and "missed" in logged):
        return [], reported
    return [Event(name, expected, verdict.state, verdict.job)], ",".join([*logged, name])
