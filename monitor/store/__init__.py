"""What was seen of each cluster, kept from poll to poll."""

from monitor.store.memory import MemoryStore
from monitor.store.store import Store

__all__ = ["MemoryStore", "Store"]
