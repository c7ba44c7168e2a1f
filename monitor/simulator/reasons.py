"""Reasons of failed imports as real Milvus servers send them, by failure class."""

from collections.abc import Mapping

REASONS: Mapping[str, tuple[str, ...]] = {
    "file_not_found": (
        "open file failed, path=events/part-7.parquet: file does not exist",
        "open /data/a.json failed, error: stat /data/a.json: no such file or directory: importing data failed",
        "parquet reader failed, err=parquet: could not retrieve footer offset: The specified key does not exist.",
    ),
    "permission_denied": (
        "failed to list objects, prefix=s3://acme-exports/events/, error: Access Denied.: importing data failed",
        "get object failed, AccessDenied: Access Denied status code: 403, request id: 5KXQ8ZB4T0M1W2E3",
    ),
    "schema_mismatch": (
        "expected type 'Int64' for field 'id', got type 'string' with value 'a-17': importing data failed",
        "expected dim '768' for field 'embedding' with type 'FloatVector', got dim '384': importing data failed",
        "schema not equal, err=field 'title' not in arrow schema: importing data failed: importing data failed",
        "there is no file corresponding to field 'embedding': importing data failed",
    ),
    "bad_data": (
        "failed to decode JSON, error: invalid character '}' looking for beginning of object key string",
        "invalid JSON format, the content should be started with '{' or '[': importing data failed",
        "failed to parse row, error: value '3.7e' of field 'price' is not a number: importing data failed",
    ),
    "quota_exceeded": ("quota exceeded[reason=disk quota exceeded, please allocate more resources]",),
    "timeout": ("import timeout",),
    "aborted": ("import job aborted by user",),
    "collection_dropped": ("collection 449213748710232911 dropped",),
    "internal": (
        "node offline[node=14]: importing data failed",
        "failed to sync segment 449213748710233001: rpc error: code = Internal desc = stream terminated",
    ),
}
"""Reasons by failure class. Sources: Milvus issues 32729, 35060, 38845, 40571, 41755, 50483, `import_checker.go`,
the row parsers of `importutilv2`, and a recorded 2.3.5 server."""
