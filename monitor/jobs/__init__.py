"""What an import job is, how two snapshots of a cluster differ, and when a job counts as stalled.

Pure: no I/O and no clock. Times are seconds since the epoch (UTC) and come in as arguments; progress is a ratio from 0
to 1, except in a `JobRecord`, which has the server's percent.
"""

from monitor.jobs.advice import advise
from monitor.jobs.databases import collections_to_look_up, match_databases, note_lookups, update_databases
from monitor.jobs.describe_queue import describe_queue
from monitor.jobs.diff import diff
from monitor.jobs.durations import TypicalDuration, append_duration, import_duration, typical_duration, typical_of
from monitor.jobs.eta import Pace, current_pace, eta_seconds, recent_pace
from monitor.jobs.failures import Failure, classify
from monitor.jobs.lists import compare_lists
from monitor.jobs.model import (
    ID_LIMIT,
    NAME_LIMIT,
    REASON_LIMIT,
    TERMINAL,
    UNSUCCESSFUL,
    ClockStep,
    CollectionKey,
    CollectionOutcome,
    Job,
    JobRecord,
    JobState,
    Policy,
    Transition,
    normalize_state,
    whole_percent,
)
from monitor.jobs.outcomes import DECISIONS
from monitor.jobs.reloading import compare_snapshots
from monitor.jobs.snapshot import JobDatabases, JobList, PollResult, ShortImport, Snapshot, SnapshotDiff
from monitor.jobs.stalls import stall_limit
from monitor.jobs.tracking import first_seen, follow

__all__ = [
    "DECISIONS",
    "ID_LIMIT",
    "NAME_LIMIT",
    "REASON_LIMIT",
    "TERMINAL",
    "UNSUCCESSFUL",
    "ClockStep",
    "CollectionKey",
    "CollectionOutcome",
    "Failure",
    "Job",
    "JobDatabases",
    "JobList",
    "JobRecord",
    "JobState",
    "Pace",
    "Policy",
    "PollResult",
    "ShortImport",
    "Snapshot",
    "SnapshotDiff",
    "Transition",
    "TypicalDuration",
    "advise",
    "append_duration",
    "classify",
    "collections_to_look_up",
    "compare_lists",
    "compare_snapshots",
    "current_pace",
    "describe_queue",
    "diff",
    "eta_seconds",
    "first_seen",
    "follow",
    "import_duration",
    "match_databases",
    "normalize_state",
    "note_lookups",
    "recent_pace",
    "stall_limit",
    "typical_duration",
    "typical_of",
    "update_databases",
    "whole_percent",
]
