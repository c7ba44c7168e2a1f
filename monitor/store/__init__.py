"""What was seen of each cluster, kept from poll to poll and from start to start."""

from monitor.store.availability import StoreUnavailableError, describe_error
from monitor.store.database import StoreError
from monitor.store.expectations import ExpectationRecord
from monitor.store.listening import Listener
from monitor.store.opening import open_store, reading
from monitor.store.pages import (
    PAGE_LIMIT,
    ClusterRef,
    CursorError,
    JobFilter,
    JobPage,
    RecordedTransition,
    StoredJob,
    TransitionFilter,
    TransitionPage,
)
from monitor.store.queries import StoreReader
from monitor.store.samples import ProgressSample, moved_at
from monitor.store.schema_version import NewerSchemaError
from monitor.store.sqlite import StoreBusyError
from monitor.store.statuses import PolledStatus, PollTimes
from monitor.store.store import Store

__all__ = [
    "PAGE_LIMIT",
    "ClusterRef",
    "CursorError",
    "ExpectationRecord",
    "JobFilter",
    "JobPage",
    "Listener",
    "NewerSchemaError",
    "PollTimes",
    "PolledStatus",
    "ProgressSample",
    "RecordedTransition",
    "Store",
    "StoreBusyError",
    "StoreError",
    "StoreReader",
    "StoreUnavailableError",
    "StoredJob",
    "TransitionFilter",
    "TransitionPage",
    "describe_error",
    "moved_at",
    "open_store",
    "reading",
]
