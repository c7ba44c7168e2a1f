"""Logs the evaluations of expected imports, and predicts when they will be complete."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from monitor.expectations.occurrences import ExpectedState, ended_at
from monitor.expectations.tracking import Evaluation, Event
from monitor.jobs import CollectionOutcome, current_pace, typical_duration
from monitor.metrics import ExpectationSample
from monitor.store import ExpectationRecord

_UNSTARTED: Final = frozenset({ExpectedState.WAITING, ExpectedState.LATE_START})

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.expectations")


def log_evaluation(labels: Mapping[str, object], evaluation: Evaluation, logged: set[tuple[str, float]]) -> None:
    """Log the events of an evaluation, and note each in `logged` by its name and the start of its occurrence."""
    record = evaluation.record
    names = {"expectation": record.expectation, "database": record.database, "collection": record.collection}
    fields = {**labels, **names}
    for event in evaluation.events:
        if (noted := (event.name, event.expected.starts)) not in logged:
            logged.add(noted)
            _log_event(fields, event)
    if evaluation.unknown and (noted := ("not_judged", record.occurrence)) not in logged:
        logged.add(noted)
        _log.info("expectation_not_judged", **fields, occurrences=evaluation.unknown)


def _log_event(fields: Mapping[str, object], event: Event) -> None:
    job, deadline = event.job, event.expected.complete_by
    details: dict[str, object] = {
        "state": event.state.value,
        "starts": _iso(event.expected.starts),
        "deadline": _iso(deadline),
        "job_id": job.job_id if job else "",
    }
    if event.expected.start_by is not None:
        details["start_by"] = _iso(event.expected.start_by)
    if job is not None and (ended := ended_at(job)) is not None:
        details["late_seconds"] = round(max(0.0, ended - deadline), 3)
        details["imported_rows"] = job.imported_rows
    match event.name:
        case "met":
            _log.info("expectation_met", **fields, **details)
        case "late":
            _log.warning("expectation_late", **fields, **details)
        case _:
            _log.error("expectation_missed", **fields, **details)


def predicted(evaluation: Evaluation, outcome: CollectionOutcome | None, now: float) -> float | None:
    """Return when the import of an occurrence will probably be complete: by its pace, or as long as usual."""
    record, job, typical = evaluation.record, evaluation.job, typical_duration(outcome)
    if job is not None and not job.finished:
        if (pace := current_pace(job, now)) is not None:
            return max(now, pace.done_at)
        return None if typical is None else max(now, job.first_seen + typical.median)
    waits = record.state in _UNSTARTED and record.occurrence <= now
    return now + typical.median if waits and typical is not None else None


def sample(record: ExpectationRecord, complete_at: float | None = None) -> ExpectationSample:
    """Return the metrics of an expected import."""
    return ExpectationSample(
        expectation=record.expectation,
        database=record.database,
        collection=record.collection,
        state=record.state,
        deadline=record.deadline,
        predicted=None if complete_at is None else round(complete_at),
    )


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
