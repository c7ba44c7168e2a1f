"""Watches the bulk-import jobs of Zilliz Cloud and Milvus, and tells Prometheus and the log what became of them."""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from monitor.client.compat import get_import_progress, list_import_jobs
    from monitor.client.errors import (
        ApiConnectionError,
        ApiError,
        ApiMissingError,
        ApiTimeoutError,
        BadRequestError,
        BadResponseError,
        JobGoneError,
        NotFoundError,
        ThrottledError,
        TlsError,
        TransientError,
        UnauthorizedError,
    )

    __version__: str

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiMissingError",
    "ApiTimeoutError",
    "BadRequestError",
    "BadResponseError",
    "JobGoneError",
    "NotFoundError",
    "ThrottledError",
    "TlsError",
    "TransientError",
    "UnauthorizedError",
    "__version__",
    "get_import_progress",
    "list_import_jobs",
]

_FUNCTIONS: Final = ("get_import_progress", "list_import_jobs")


def __getattr__(name: str) -> Any:
    """Import the functions when somebody asks for them: most who import this package are commands that do not."""
    if name == "__version__":
        return version("milvus-import-monitor")
    if name in __all__:
        module = "monitor.client.compat" if name in _FUNCTIONS else "monitor.client.errors"
        return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
