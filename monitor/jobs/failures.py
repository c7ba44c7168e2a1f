"""Why a job failed, as one of a small set of classes, read from the server's own words.

A reason quotes what users have named: values, paths, fields, collections. Whatever is quoted is removed first, so that
a field named ``aborted`` or a folder named ``quota`` decides nothing. Texts are those of Milvus
(internal/datacoord/import_*.go, internal/util/importutilv2, pkg/util/merr), of S3, GCS and Azure, and of Zilliz Cloud.
"""

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


_READ_LIMIT: Final = 2048
"""Characters of the text that are read, in about 1 ms at worst: what comes later are stack traces."""

_ABORTED: Final = "aborted by user"
"""The whole text of a job that its user aborted (Milvus 3.x); any other "abort" or "cancel" is something else."""

_QUOTED: Final = re.compile(
    r"(?<![a-z0-9])'[^']*'(?![a-z0-9])"  # an apostrophe within a word begins no quotation
    r'|"[^"]*"'
    r"|`[^`]*`"
    r"|\[\[?[^\[\]]*=[^\[\]]*\]",  # details of merr, such as [database=default][collection=books]
    re.ASCII,
)
"""What a reason quotes."""

_NAMED: Final = re.compile(
    r"\b(?:path|file|files|key|bucket|field|collection|partition|database|db|name)=\S+"
    r"|(?<=\bfield): ?\S+|(?<=\bfield) \S+(?= (?:is )?not )|(?<=\bwith name): ?\S+"
    r"|(?<!\S)\S*[/\\]\S*"  # paths and URLs
    r"|(?<!\S)\S+\.(?:parquet|json|jsonl|npy|csv|txt)\b",
    re.ASCII,
)
"""What a reason names without quotes."""

_APPENDED: Final = re.compile(r"(?<=\S); (?:the import task has timed out|task marked failed as service restarted).*")
"""What Milvus 2.2 and 2.3 append to a reason later: the first reason is the true one."""

_CLAUSE: Final = re.compile(r"[:;,\n]|\.(?=\s|$)|\berr(?:or)?=")
"""What ends a clause; the words of a rule have to stand in one clause."""

_CLAUSES: Final = 50
"""Clauses that are read, so that a text of nothing but colons costs no time."""

_CLAUSE_LENGTH: Final = 3
"""Characters; anything shorter fits no rule."""


def _rule(*words: str) -> tuple[re.Pattern[str], ...]:
    """Return the parts of a rule: expressions of which each has to follow the one before in the same clause."""
    return tuple(re.compile(rf"\b(?:{part})", re.ASCII) for part in words)


# The order decides where a text fits several classes: what the user did first, then what the storage answered, then
# what is wrong with the files, and the server's own trouble last. No expression may repeat a group or nest repetitions:
# what users name is part of the text, and must not decide how long matching takes.
_RULES: Final = (
    (
        Failure.COLLECTION_DROPPED,
        _rule(r"(?:collection|partition|database)\b", r"dropped|(?:has been |was |is )?(?:deleted|removed)"),
        _rule(r"(?:collection|partition|database)\b", r"not found|does ?n[o']t exist|not exist"),
        _rule(r"(?:can't|cannot|can not|failed to) find (?:the )?(?:collection|partition|database)"),
    ),
    (
        Failure.QUOTA_EXCEEDED,
        _rule(r"quota"),
        _rule(r"exceed|over\b|reach", r"max|limit", r"size|number|count|jobs|files|storage|disk"),
        _rule(r"size|number|count|jobs|files|storage|disk", r"exceed|reach", r"limit|max"),
        _rule(r"no space left on device"),
        _rule(r"entity ?too ?large"),
        _rule(r"max(?:imum)?\b", r"number|count|size", r"exceed"),
        _rule(r"(?:disk|memory|request|rate|capacity) (?:limit )?exceeded"),
        _rule(r"too ?many ?requests|reduce your request rate"),
    ),
    (
        Failure.PERMISSION_DENIED,
        _rule(r"access ?denied|permission ?denied|forbidden\b|public access is not permitted"),
        _rule(r"(?:not |un)authori[sz]ed"),
        _rule(r"signature ?does ?not ?match|invalid ?access ?key|access key id you provided does not exist"),
        _rule(r"(?:expired|invalid) ?(?:security ?)?token"),
        _rule(r"authori[sz]ation ?(?:permission ?mismatch|failure)|authentication ?failed"),
        _rule(r"(?:invalid|wrong) credential"),
        _rule(r"not authenticated|privilege not permitted"),
    ),
    (
        Failure.FILE_NOT_FOUND,
        _rule(r"no such (?:file|key|bucket|object)"),
        _rule(r"(?:file|key|object|blob|bucket|path|container)s?\b", r"does ?n[o']t exist|not exist|not found|missing"),
        _rule(r"nosuch(?:key|bucket)|(?:blob|container|object|key) ?not ?found"),
        _rule(r"failed to get file size"),
        _rule(r"no (?:insert )?binlogs? to import"),
    ),
    (
        Failure.TIMEOUT,
        _rule(r"time(?:d )? ?out\b|deadline exceeded"),
    ),
    (
        Failure.SCHEMA_MISMATCH,
        _rule(r"schema\b"),
        _rule(r"value of field", r"missed|missing"),
        _rule(r"field\b", r"not defined|is missed|is missing|not provided|not in\b|not found|duplicated"),
        _rule(r"multi field with name|no field in parquet"),
        _rule(r"no (?:parquet field|file|binlog) for\b", r"field\b|milvus file|rowid|timestampfield"),
        _rule(r"in parquet is not equal to field"),
        _rule(r"provide data for (?:bm25 )?function output field"),
        _rule(r"numpy header for field|dtype\b.{0,40} is not"),
        _rule(r"not support (?:nullable|default value) in vector"),
        _rule(r"expect(?:ed)? (?:element )?(?:type|dim|shape)\b"),
        _rule(r"expect", r"type for field"),
        _rule(r"dim(?:ension)?\b", r"mismatch|not equal|n't equal|not match|invalid|illegal|got dim"),
        _rule(r"(?:doesn't|not) equal", r"dim"),
        _rule(r"elements but dim is"),
        _rule(r"(?:data ?type|field type|column type|type)\b", r"mismatch|not match|inconsistent"),
        _rule(r"unsupport(?:ed)? (?:array )?data ?type|unsupported importing numpy files"),
        _rule(r"primary key", r"auto[- ]generated"),
        _rule(r"(?:column|field)s?\b", r"number|count", r"mismatch|not equal|not match"),
    ),
    (
        Failure.BAD_DATA,
        _rule(r"pars(?:e|ing)\b|decod(?:e|ing)\b|unmarshal\b|deserializ"),
        _rule(
            r"(?:invalid|illegal|malformed|corrupt)",
            r"json|parquet|numpy|npy|csv|utf-?\d|character|format|value|data\b|row|file|magic|element|timestamp|geometry",
        ),
        _rule(r"invalid index in sparse"),
        _rule(r"expect(?:ed)? (?:string|map\b)"),
        _rule(r"failed to convert", r"bytes|unicode|utf|rune"),
        _rule(r"non-quoted-field"),
        _rule(r"not a (?:valid )?json|unexpected (?:eof|end of json)|wrong number of fields"),
        _rule(r"(?:length|capacity)\b", r"exceeds? (?:the )?max"),
        _rule(r"length of data is not equal"),
        _rule(r"not nullable", r"null value"),
        _rule(r"has null value"),
        _rule(r"row count of field|not aligned|misaligned"),
        _rule(r"rows?\b", r"not equal|mismatch|inconsistent"),
        _rule(r"duplicated? (?:primary )?key"),
        _rule(r"out of range"),
        _rule(r"(?:no|unsupported|unexpected|invalid|inconsistent) file (?:type|format|extension)"),
        _rule(r"nan\b|infinity"),
    ),
    (
        Failure.INTERNAL,
        _rule(r"internal|panic\b|rpc error|stack ?trace"),
        _rule(r"service (?:not ready|unavailable)|server is (?:busy|starting|stopping)"),
        _rule(
            r"(?:node|channel|segment|task|index|etcd|broker)s?\b",
            r"not found|not available|unavailable|offline|lost|failed|lack|canceled|not match|state unexpected",
        ),
        _rule(r"io failed|unexpected error|segcore\b|context canceled"),
        _rule(r"cannot find (?:import )?task|task manager is closed|snapshot reader returned no data"),
        _rule(r"topic not found|time ?tick long delay|deny to (?:write|produce)|no assign segment id"),
        _rule(r"resource insufficient|slots? exhausted"),
        _rule(r"failed to (?:flush|sync)\b"),
        _rule(r"no candidate segment"),
        _rule(r"out of memory|oom\b"),
        _rule(r"connection (?:refused|reset)|broken pipe|no such host|no route to host|network is unreachable"),
        _rule(r"x509|certificate\b"),
        _rule(r"(?:build|building) index"),
        _rule(r"alloc(?:ate)?\b", r"fail"),
        _rule(r"file ranges but the job has"),
    ),
)


def classify(text: str) -> Failure:
    """Return the class of a failure from the server's text; ``OTHER`` where the text is empty or fits none.

    A disk full of other people's data is the quota's fault and not the file's, an aborted job is the user's own doing
    (Milvus issue 50483), and a missing file is no trouble of the server: hence the order of the classes.
    """
    words = text[:_READ_LIMIT].strip().lower()
    if words.removesuffix(": importing data failed") == _ABORTED:
        return Failure.ABORTED
    own_words = _NAMED.sub(" ", _QUOTED.sub(" ", _APPENDED.sub("", words)))
    clauses = [clause for clause in _CLAUSE.split(own_words) if len(clause) >= _CLAUSE_LENGTH][:_CLAUSES]
    for failure, *rules in _RULES:
        if any(_fits(rule, clause) for clause in clauses for rule in rules):
            return failure
    return Failure.OTHER


def _fits(rule: tuple[re.Pattern[str], ...], clause: str) -> bool:
    """Return whether the parts of a rule stand in a clause, one after the other."""
    position = 0
    for part in rule:
        match = part.search(clause, position)
        if match is None:
            return False
        position = match.end()
    return True
