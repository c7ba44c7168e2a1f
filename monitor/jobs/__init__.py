"""What an import job is, how two pictures of a cluster differ, and when a job counts as stuck.

Pure: no I/O, no clock, nothing beyond the standard library but msgspec's Structs. Times are seconds since the epoch
(UTC) and come in as arguments; progress is a ratio from 0 to 1.
"""

from monitor.jobs.difference import Difference, diff
from monitor.jobs.estimate import Pace, eta_seconds, pace, pace_of
from monitor.jobs.failures import Failure, classify
from monitor.jobs.model import (
    COMPLETED,
    FAILED,
    TERMINAL,
    CollectionOutcome,
    Job,
    JobState,
    Place,
    TrackedJob,
    Transition,
)
from monitor.jobs.observation import Observation
from monitor.jobs.picture import Jobs, Picture
from monitor.jobs.questions import questions
from monitor.jobs.stalls import StallLimits, is_stalled

__all__ = [
    "COMPLETED",
    "FAILED",
    "TERMINAL",
    "CollectionOutcome",
    "Difference",
    "Failure",
    "Job",
    "JobState",
    "Jobs",
    "Observation",
    "Pace",
    "Picture",
    "Place",
    "StallLimits",
    "TrackedJob",
    "Transition",
    "classify",
    "diff",
    "eta_seconds",
    "is_stalled",
    "pace",
    "pace_of",
    "questions",
]
