"""Query parameters: one Struct for each endpoint, which reads, checks and documents them."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from starlette.datastructures import QueryParams

from monitor.jobs import JobState

PAGE: Final = 100
"""Default number of entries of a page."""

PAGE_LIMIT: Final = 1000
"""Maximum number of entries of a page."""

TEXT_LIMIT: Final = 512
"""Characters of a parameter; no name is longer."""

EventName = Literal["cluster", "job", "gone", "transition", "pulse"]
"""The events of the stream that a client can select."""

_AGO: Final = r"[1-9][0-9]{0,3}[smhd]"
_AGO_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIME_SCHEMA: Final = {"anyOf": [{"format": "date-time"}, {"pattern": f"^{_AGO}$"}]}
_EXAMPLES: Final = "such as 2026-01-31T12:00:00Z, or 24h for 24 hours ago"

_Boolean = Literal["true", "false"]
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "state": tuple(state.value for state in JobState),
    "event": get_args(EventName),
    "stalled": get_args(_Boolean),
}
_Text = Annotated[str, Meta(max_length=TEXT_LIMIT)]
_Time = Annotated[str, Meta(max_length=TEXT_LIMIT, extra_json_schema=_TIME_SCHEMA)]
_Cluster = Annotated[_Text | None, Meta(description="Only this cluster.")]
_Database = Annotated[_Text | None, Meta(description="Only this database; empty for jobs whose API reports none.")]
_Collection = Annotated[_Text | None, Meta(description="Only this collection.")]
_Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT, description="Maximum number of entries.")]
_Cursor = Annotated[_Text, Meta(description="The `next_cursor` of the previous page.")]


class ParameterError(ValueError):
    """A request has wrong parameters; the message says what is wrong, the hint what to do about it."""

    def __init__(self, message: str, hint: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status


class ClustersQuery(msgspec.Struct, frozen=True):
    """Parameters of ``clusters``."""

    cluster: _Cluster = None
    limit: _Limit = PAGE
    cursor: _Cursor = ""


class JobsQuery(msgspec.Struct, frozen=True):
    """Parameters of ``jobs``."""

    cluster: _Cluster = None
    database: _Database = None
    collection: _Collection = None
    state: Annotated[tuple[JobState, ...], Meta(description="Only jobs in this state; can be repeated.")] = ()
    stalled: Annotated[
        _Boolean | msgspec.UnsetType, Meta(description="Only jobs that are stalled, or only the others.")
    ] = msgspec.UNSET  # not None, which "null" would be read as
    q: Annotated[_Text, Meta(description="Text in a name, an id or a reason; case does not matter.")] = ""
    limit: _Limit = PAGE
    cursor: _Cursor = ""


class JobQuery(msgspec.Struct, frozen=True):
    """Parameters of ``job``."""

    cluster: Annotated[_Text, Meta(description="Name of the job's cluster.")]
    id: Annotated[_Text, Meta(description="Id of the job.")]


class TransitionsQuery(msgspec.Struct, frozen=True):
    """Parameters of ``transitions``."""

    cluster: _Cluster = None
    database: _Database = None
    collection: _Collection = None
    job: Annotated[_Text | None, Meta(description="Only of the job with this id.")] = None
    state: Annotated[tuple[JobState, ...], Meta(description="Only steps into this state; can be repeated.")] = ()
    since: Annotated[_Time | None, Meta(description="Only from this time on: ISO 8601, or `24h` for 24 hours ago.")] = (
        None
    )
    until: Annotated[_Time | None, Meta(description="Only before this time.")] = None
    limit: _Limit = PAGE
    cursor: _Cursor = ""


class StreamQuery(msgspec.Struct, frozen=True):
    """Parameters of ``stream``."""

    cluster: _Cluster = None
    event: Annotated[tuple[EventName, ...], Meta(description="Only these events; can be repeated.")] = ()


_Query = TypeVar("_Query", bound=msgspec.Struct)


def read_query(query: QueryParams, kind: type[_Query]) -> _Query:
    """Return the parameters of a request.

    Raises:
        ParameterError: A parameter is unknown, missing, repeated or invalid.
    """
    types = _types(kind)
    for name in query:
        if name not in types:
            raise ParameterError(f"unknown parameter {name[:TEXT_LIMIT]!r}", suggestion(name, types))
    values: dict[str, Any] = {}
    for name, type_ in types.items():
        given = [storable(text) for text in query.getlist(name)]
        if get_origin(type_) is tuple:
            values[name] = given
        elif len(given) > 1:
            raise ParameterError(f"{name} is given {len(given)} times", "give it once")
        elif given:
            values[name] = given[0]
    required = kind.__struct_fields__[: len(kind.__struct_fields__) - len(kind.__struct_defaults__)]
    missing = [name for name in required if name not in values]
    if missing:
        raise ParameterError(f"{missing[0]} is required", f"required: {', '.join(required)}; see /api/v1/openapi.json")
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        name = re.split(r"\W", path)[0]
        choices = _CHOICES.get(name, ())
        given = values[name] if isinstance(values[name], list) else [values[name]]
        wrong = next((text for text in given if text not in choices), "")
        problem = f"{name} is invalid: {problem[:1].lower()}{problem[1:]}"
        raise ParameterError(problem, suggestion(wrong, choices) if choices else "see /api/v1/openapi.json") from None


@cache
def _types(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return get_type_hints(kind)


def suggestion(text: str, known: Collection[str], prefix: str = "") -> str:
    """Return a hint with the known names, the nearest first; the prefix goes before each name."""
    names = ", ".join(prefix + name for name in known)
    nearest = get_close_matches(text, known, 1)
    return f"did you mean {prefix}{nearest[0]}? Valid: {names}" if nearest else f"valid: {names}"


def storable(text: str) -> str:
    """Return a text without NUL, which PostgreSQL cannot compare with."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def read_time(name: str, text: str | None, now: float) -> float | None:
    """Return a time in seconds since the epoch: ISO 8601, or a duration such as 24h before now.

    Raises:
        ParameterError: It is neither.
    """
    if text is None:
        return None
    if re.fullmatch(_AGO, text):
        return now - int(text[:-1]) * _AGO_SECONDS[text[-1]]
    try:
        moment = datetime.fromisoformat(text.upper().replace(" ", "+"))  # an unescaped plus arrives as a space
    except ValueError:
        raise ParameterError(f"{name} is not a time", _EXAMPLES) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
