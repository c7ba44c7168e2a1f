"""What to do about a job, in one sentence: the pages, the API, the alerts and the runbooks all use these texts."""

from collections.abc import Mapping
from typing import Final

from monitor.jobs.failures import Failure
from monitor.jobs.model import Job, JobState

BY_FAILURE: Final[Mapping[Failure, str]] = {
    Failure.FILE_NOT_FOUND: (
        "Check the path and the bucket in the server's message: the files are not there, or were deleted too early; "
        "then import again."
    ),
    Failure.PERMISSION_DENIED: (
        "Give the cluster access to the object storage: its credentials have expired, or its role cannot read the "
        "bucket; then import again."
    ),
    Failure.SCHEMA_MISMATCH: (
        "Compare the field in the server's message with the schema of the collection, correct the files, and import "
        "again."
    ),
    Failure.BAD_DATA: (
        "Write the file in the server's message again, because it is corrupt or contains invalid values; then import "
        "again."
    ),
    Failure.QUOTA_EXCEEDED: (
        "Raise the limit in the server's message, such as disk, file size or number of jobs, or free space; then "
        "import again."
    ),
    Failure.TIMEOUT: "Check the load of the server, and import again, with smaller files if it happens repeatedly.",
    Failure.ABORTED: "Nothing needs to be done if the abort was intended; otherwise import again.",
    Failure.COLLECTION_DROPPED: (
        "Create the collection or partition and import again, or stop the pipeline that imports into it."
    ),
    Failure.INTERNAL: "Check the server's log for the error, and import again.",
    Failure.OTHER: "Read the server's message, solve the problem, and import again.",
}
"""What to do about a failed job, by the class of its failure."""

UNCOMMITTED: Final = (
    "Check the data, then commit or abort the job: until it is committed its data is not visible, and it does not end "
    "on its own."
)
VANISHED: Final = "Check the row count of the collection, and import again if the rows are missing."
INCOMPLETE: Final = (
    "Compare the row count of the collection with the files; if rows are missing, import again the files that they are "
    "from."
)
PENDING: Final = (
    "Check whether the server has free workers and whether an earlier job of the collection is stuck; wait, or add "
    "data nodes."
)
STALLED: Final = (
    "Check the data nodes and index nodes of the server; if they are idle and only this job has stalled, abort it if "
    "your server supports it, and import again."
)
COMMITTING: Final = (
    "Check the server's log and whether the collection still exists: a committing job cannot be aborted, and has no "
    "timeout."
)


def advise(job: Job) -> str:
    """Return what to do about a job; empty if nothing needs to be done."""
    if job.state is JobState.FAILED:
        return BY_FAILURE[job.failure or Failure.OTHER]
    if job.state is JobState.VANISHED:
        return VANISHED
    if job.incomplete:
        return INCOMPLETE
    if job.state is JobState.UNCOMMITTED:
        return UNCOMMITTED
    if not job.stalled:
        return ""
    return {JobState.PENDING: PENDING, JobState.COMMITTING: COMMITTING}.get(job.state, STALLED)
