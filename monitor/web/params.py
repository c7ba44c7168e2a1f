"""Query parameters: one Struct for each endpoint, which reads, checks and documents them."""

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from starlette.datastructures import QueryParams

from monitor.config import DURATION_PATTERN, parse_duration
from monitor.jobs import JobState
from monitor.web.errors import RequestError

PAGE: Final = 100  # default number of entries of a page
PAGE_LIMIT: Final = 1000  # maximum number of entries of a page
TEXT_LIMIT: Final = 512  # characters of a parameter; no name is longer

EventName = Literal["cluster", "job", "gone", "transition", "pulse"]
"""The events of the stream that a client can select."""

_TIME_SCHEMA: Final = {"anyOf": [{"format": "date-time"}, {"pattern": DURATION_PATTERN}]}

_Boolean = Literal["true", "false"]
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "state": tuple(state.value for state in JobState),
    "event": get_args(EventName),
    "stalled": get_args(_Boolean),
}
_Text = Annotated[str, Meta(max_length=TEXT_LIMIT)]
_Time = Annotated[str, Meta(max_length=TEXT_LIMIT, extra_json_schema=_TIME_SCHEMA)]
_Cluster = Annotated[_Text | None, Meta(description="Only this cluster.")]
_Labels = Annotated[
    tuple[_Text, ...], Meta(description="Only clusters with this label, such as team:search; can be repeated.")
]
_Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT, description="Maximum number of entries.")]
_Cursor = Annotated[_Text, Meta(description="The `next_cursor` of the previous page.")]


class ClustersQuery(msgspec.Struct, frozen=True):
    """Parameters of ``clusters``."""

    cluster: _Cluster = None
    label: _Labels = ()
    limit: _Limit = PAGE
    cursor: _Cursor = ""


class ExpectationsQuery(msgspec.Struct, frozen=True):
    """Parameters of ``expectations``."""

    cluster: _Cluster = None
    label: _Labels = ()
    limit: _Limit = PAGE


class JobQuery(msgspec.Struct, frozen=True):
    """Parameters of ``job``."""

    cluster: Annotated[_Text, Meta(description="Name of the job's cluster.")]
    id: Annotated[_Text, Meta(description="Id of the job.")]


class _FilterQuery(msgspec.Struct, frozen=True):
    cluster: _Cluster = None
    label: _Labels = ()
    database: Annotated[
        _Text | None, Meta(description="Only this database; empty for jobs whose API reports none.")
    ] = None
    collection: Annotated[_Text | None, Meta(description="Only this collection.")] = None
    state: Annotated[tuple[JobState, ...], Meta(description="Only this state; can be repeated.")] = ()
    limit: _Limit = PAGE
    cursor: _Cursor = ""


class JobsQuery(_FilterQuery, frozen=True):
    """Parameters of ``jobs``."""

    stalled: Annotated[
        _Boolean | msgspec.UnsetType, Meta(description="Only stalled jobs, or only jobs that are not stalled.")
    ] = msgspec.UNSET  # not None, which "null" would be read as
    q: Annotated[_Text, Meta(description="Text in a name, an id or a reason; case does not matter.")] = ""


class TransitionsQuery(_FilterQuery, frozen=True):
    """Parameters of ``transitions``; the state is the one that a job came into."""

    job: Annotated[_Text | None, Meta(description="Only of the job with this id.")] = None
    since: Annotated[_Time | None, Meta(description="Only from this time: ISO 8601, or `24h` for 24 hours ago.")] = None
    until: Annotated[_Time | None, Meta(description="Only before this time.")] = None


class StreamQuery(msgspec.Struct, frozen=True):
    """Parameters of ``stream``."""

    cluster: _Cluster = None
    label: _Labels = ()
    event: Annotated[tuple[EventName, ...], Meta(description="Only these events; can be repeated.")] = ()


_Query = TypeVar("_Query", bound=msgspec.Struct)


def read_query(query: QueryParams, kind: type[_Query]) -> _Query:
    """Return the parameters of a request; raises ``RequestError`` if one is unknown, missing, repeated or invalid."""
    types = get_type_hints(kind)
    values: dict[str, Any] = {}
    for name in query:
        if name not in types:
            raise RequestError(400, f"unknown parameter {name[:TEXT_LIMIT]!r}", _suggestion(name, types))
        texts = [storable(text) for text in query.getlist(name)]
        repeatable = get_origin(types[name]) is tuple
        if len(texts) > 1 and not repeatable:
            raise RequestError(400, f"{name} is given {len(texts)} times", "give it once")
        values[name] = texts if repeatable else texts[0]
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), kind) from None


def _invalid(message: str, kind: type[msgspec.Struct]) -> RequestError:
    """Return the error of a request for a message of msgspec."""
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", message):
        return RequestError(400, f"{missing[1]} is required", f"required: {', '.join(kind.__struct_fields__)}")
    problem, _, path = message.partition(" - at `$.")
    name = re.split(r"\W", path)[0]
    wrong = "".join(re.findall("'(.*)'", problem))
    hint = _suggestion(wrong, _CHOICES[name]) if name in _CHOICES else "see /api/v1/openapi.json"
    return RequestError(400, f"{name} is invalid: {problem[:1].lower()}{problem[1:]}", hint)


def _suggestion(text: str, names: Collection[str]) -> str:
    """Return a hint with the valid names, the nearest first."""
    nearest = get_close_matches(text, names, 1)
    valid = ", ".join(names)
    return f"did you mean {nearest[0]}? Valid: {valid}" if nearest else f"valid: {valid}"


def read_labels(texts: Iterable[str]) -> dict[str, str]:
    """Return labels that are written as name:value; raises ``RequestError``."""
    labels: dict[str, str] = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not (name and colon and value):
            raise RequestError(400, "label is not a name and a value", "such as team:search")
        if labels.setdefault(name, value) != value:
            raise RequestError(400, f"label is given with two values of {name}", "a cluster has one value of each")
    return labels


def storable(text: str) -> str:
    """Return a text without NUL, which PostgreSQL cannot compare with."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def read_time(name: str, text: str | None, now: float) -> float | None:
    """Return a time in seconds since the epoch: ISO 8601, or a duration such as 24h before now."""
    if text is None:
        return None
    with suppress(ValueError):
        return now - parse_duration(text)
    try:
        moment = datetime.fromisoformat(text.upper().replace(" ", "+"))  # an unescaped plus arrives as a space
    except ValueError:
        hint = "such as 2026-01-31T12:00:00Z, or 24h for 24 hours ago"
        raise RequestError(400, f"{name} is not a time", hint) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
