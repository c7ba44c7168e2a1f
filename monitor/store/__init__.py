"""What was seen of each cluster, kept from poll to poll and from start to start."""

from monitor.store.database import Whose
from monitor.store.history import PAGE_LIMIT, CursorError, History, Recorded, Wanted
from monitor.store.opening import StoreError, open_store
from monitor.store.reading import reading
from monitor.store.store import Store
from monitor.store.tables import NewerSchemaError

__all__ = [
    "PAGE_LIMIT",
    "CursorError",
    "History",
    "NewerSchemaError",
    "Recorded",
    "Store",
    "StoreError",
    "Wanted",
    "Whose",
    "open_store",
    "reading",
]
