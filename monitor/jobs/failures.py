"""Why a job failed, as one of a small set of classes, read from the server's text."""

import re
from enum import StrEnum
from typing import Final


class Failure(StrEnum):
    """Classes of failure; the value is the label ``reason`` of ``milvus_import_job_failed``."""

    FILE_NOT_FOUND = "file_not_found"
    PERMISSION_DENIED = "permission_denied"
    SCHEMA_MISMATCH = "schema_mismatch"
    BAD_DATA = "bad_data"
    QUOTA_EXCEEDED = "quota_exceeded"
    TIMEOUT = "timeout"
    ABORTED = "aborted"
    COLLECTION_DROPPED = "collection_dropped"
    INTERNAL = "internal"
    OTHER = "other"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


# The order decides where a text fits several: what the user did first, then what the storage said, then what is wrong
# with the files, and the server's own trouble last. Texts are those of Milvus (internal/datacoord/import_*.go,
# internal/util/importutilv2, pkg/util/merr), of S3, GCS and Azure, and of Zilliz Cloud's error codes.
_CLASSES: Final = (
    (
        Failure.ABORTED,
        _any(r"\babort(ed)?\b", r"\bcancel(l?ed)?\b (by|on) ", r"job (was |is )?cancel(l)?ed", r"by (the )?user\b"),
    ),
    (
        Failure.COLLECTION_DROPPED,
        _any(
            r"(collection|partition|database)\b.{0,120}\b(dropped|has been (dropped|deleted|removed))",
            r"(collection|partition|database) ?(id)?\b.{0,120}\b(not found|does ?n[o']t exist|not exist)",
            r"can('|no)t find (the )?(collection|partition|database)",
            r"failed to find (the )?(collection|partition|database)",
        ),
    ),
    (
        Failure.QUOTA_EXCEEDED,
        _any(
            r"quota",
            r"(exceed\w*|over|reach\w*)\b.{0,60}\b(max\w*|limit)\b.{0,60}\b(size|number|count|jobs|files|storage|disk)",
            r"(size|number|count|jobs|files|storage|disk)\b.{0,80}\b(exceed\w*|reach\w*)\b.{0,60}\b(limit|max)",
            r"no space left on device",
            r"entity ?too ?large",
        ),
    ),
    (
        Failure.PERMISSION_DENIED,
        _any(
            r"access ?denied",
            r"permission ?denied",
            r"not authori[sz]ed",
            r"unauthori[sz]ed",
            r"\bforbidden\b",
            r"signature ?does ?not ?match",
            r"invalid ?access ?key",
            r"access key id you provided does not exist",
            r"(expired|invalid) ?(security ?)?token",
            r"authoriz?ation ?(permission ?mismatch|failure)",
            r"authentication ?failed",
            r"(invalid|wrong) credentials?",
            r"public access is not permitted",
        ),
    ),
    (
        Failure.FILE_NOT_FOUND,
        _any(
            r"no such (file|key|bucket|object)",
            r"(file|key|object|blob|bucket|path)\b.{0,120}\b(does ?n[o']t exist|not exist|not found)",
            r"specified (key|bucket|blob|container) does not exist",
            r"nosuch(key|bucket)",
            r"(blob|container|object|key) ?not ?found",
            r"failed to get file size",
            r"file (is )?(missing|not found)",
        ),
    ),
    (
        Failure.TIMEOUT,
        _any(r"\btime[d ]? ?out\b", r"deadline exceeded"),
    ),
    (
        Failure.SCHEMA_MISMATCH,
        _any(
            r"\bschema\b",
            r"value of field '.*' is (missed|missing)",
            r"field\b.{0,120}\b(is not defined|not defined|is missed|is missing|not provided|not in|duplicated)",
            r"expected (element )?(type|dim) '",
            r"\bdim(ension)?\b.{0,80}\b(mismatch|not equal|not match|invalid|illegal|got dim)",
            r"(data ?type|field type|column type|type)\b.{0,60}\b(mismatch|not match|inconsistent)",
            r"primary key '.*' is auto-generated",
            r"(column|field)s?\b.{0,60}\b(number|count)\b.{0,60}\b(mismatch|not equal|not match)",
        ),
    ),
    (
        Failure.BAD_DATA,
        _any(
            r"\b(parse|parsing|decode|decoding|unmarshal|deserializ\w*)\b",
            r"\b(invalid|illegal|malformed|corrupt\w*)\b.{0,80}"
            r"\b(json|parquet|numpy|npy|csv|utf-?8|character|format|value|data|row|file|magic)",
            r"\b(not a (valid )?json|invalid character|unexpected (eof|end of json)|wrong number of fields)",
            r"(length|capacity)\b.{0,80}\bexceeds? (the )?max",
            r"row count of field",
            r"(rows?|row count)\b.{0,60}\b(not equal|mismatch|inconsistent)",
            r"duplicated? (primary )?key",
            r"out of range",
            r"(no|unsupported|unexpected|invalid) file (type|format|extension)",
            r"\bNaN\b|infinity",
        ),
    ),
    (
        Failure.INTERNAL,
        _any(
            r"internal",
            r"\bpanic\b",
            r"rpc error",
            r"service (not ready|unavailable)",
            r"\b(node|channel|segment|task|index|etcd|broker)\b.{0,80}"
            r"\b(not found|not available|unavailable|offline|lost|failed|lack)",
            r"out of memory|\boom\b",
            r"connection (refused|reset)",
            r"(build|building) index",
            r"\b(allocate|alloc)\b.{0,40}\bfail",
            r"server is (busy|starting|stopping)",
        ),
    ),
)

_READ_LIMIT: Final = 4096
"""Characters of the text that are looked at, so that a hostile one costs no time."""


def classify(text: str) -> Failure:
    """Return the class of a failure from the server's text; ``OTHER`` where the text is empty or fits none.

    A disk full of other people's data is the quota's fault and not the file's, an aborted job is the user's own doing
    (Milvus issue 50483), and a missing file is no trouble of the server: hence the order of the classes.
    """
    head = text[:_READ_LIMIT]
    for failure, pattern in _CLASSES:
        if pattern.search(head):
            return failure
    return Failure.OTHER
