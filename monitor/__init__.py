"""Watches the bulk-import jobs of Zilliz Cloud and Milvus, and tells Prometheus and the log what became of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.client.compat import get_import_progress, list_import_jobs

__all__ = ["get_import_progress", "list_import_jobs"]


def __getattr__(name: str) -> Any:
    """Import the functions when somebody asks for them: most who import this package are commands that do not."""
    if name in __all__:
        return getattr(import_module("monitor.client.compat"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
