"""Watches the bulk-import jobs of Zilliz Cloud and Milvus, and tells Prometheus and the log what became of them."""

from monitor.api.pymilvus import get_import_progress, list_import_jobs

__all__ = ["get_import_progress", "list_import_jobs"]
