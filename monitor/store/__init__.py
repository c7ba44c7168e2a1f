"""What was seen of each cluster, kept from poll to poll and from start to start."""

from monitor.store.database import StoreError
from monitor.store.migrations import NewerSchemaError
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
from monitor.store.store import Store, StoreUnavailableError

__all__ = [
    "PAGE_LIMIT",
    "ClusterRef",
    "CursorError",
    "JobFilter",
    "JobPage",
    "NewerSchemaError",
    "RecordedTransition",
    "Store",
    "StoreError",
    "StoreReader",
    "StoreUnavailableError",
    "StoredJob",
    "TransitionFilter",
    "TransitionPage",
    "open_store",
    "reading",
]
