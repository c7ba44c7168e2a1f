"""The parameters of a request, each with its kind; from here they are read, and from here they are documented."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

from starlette.datastructures import QueryParams

from monitor.jobs import JobState

PAGE: Final = 100
"""Things of one page, where nobody says how many."""

PAGE_LIMIT: Final = 1000
"""Things of one page, at most."""

TEXT_LIMIT: Final = 512
"""Characters of a text that is searched for."""

_AGO: Final = re.compile(r"([1-9]\d{0,3})([smhd])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class ParameterError(ValueError):
    """A request asks for what there is not; the message says what, the hint what to do about it."""

    def __init__(self, message: str, hint: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.hint = hint
        self.status = status


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter.

    Attributes:
        name: Its name.
        kind: ``text``, ``state``, ``event``, ``boolean``, ``time`` or ``count``.
        description: What it does.
        repeatable: Whether it can be given several times.
        required: Whether it must be given.
    """

    name: str
    kind: str
    description: str
    repeatable: bool = False
    required: bool = False


EVENTS: Final = ("cluster", "job", "gone", "transition", "pulse")
"""The events of the stream that somebody can choose among."""

_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "state": tuple(state.value for state in JobState),
    "event": EVENTS,
    "boolean": ("true", "false"),
}

CLUSTER: Final = Parameter("cluster", "text", "Only this cluster.")
DATABASE: Final = Parameter("database", "text", "Only this database; empty for jobs of which the API does not say it.")
COLLECTION: Final = Parameter("collection", "text", "Only this collection.")
STATE: Final = Parameter("state", "state", "Only jobs in this state; can be given several times.", repeatable=True)
STALLED: Final = Parameter("stalled", "boolean", "Only jobs that are stalled, or only others.")
TEXT: Final = Parameter("q", "text", "Only where this stands in a name, an id or a reason, in capitals or not.")
LIMIT: Final = Parameter("limit", "count", f"How many at most; {PAGE} where it is not given.")
CURSOR: Final = Parameter("cursor", "text", "The `next_cursor` of the page before.")


def read(query: QueryParams, parameters: Iterable[Parameter], now: float) -> dict[str, Any]:
    """Return the values of a query, by name: text, ``None`` where not given, a list where it can be repeated.

    Args:
        query: The query.
        parameters: What may be in it.
        now: For times that are given as so long ago.

    Raises:
        ParameterError: There is something else in it, or something that is no such value.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in query:
        if name not in known:
            hint = suggestion(name, known) if known else "it takes none"
            raise ParameterError(f"there is no parameter {name[:TEXT_LIMIT]!r}", hint)
    values: dict[str, Any] = {}
    for name, parameter in known.items():
        given = query.getlist(name)
        if parameter.repeatable:
            values[name] = [_value(parameter, text, now) for text in given]
        elif len(given) > 1:
            raise ParameterError(f"{name} is given {len(given)} times", "give it once")
        elif parameter.required and not given:
            needed = " and ".join(other.name for other in known.values() if other.required)
            raise ParameterError(f"{name} is missing", f"it needs {needed}; /api/v1/jobs tells them")
        else:
            values[name] = _value(parameter, given[0], now) if given else None
    return values


def suggestion(text: str, known: Collection[str], prefix: str = "") -> str:
    """Return a hint that tells what there is, first what is near to a text; the prefix goes before each name."""
    names = [prefix + name for name in known]
    near = get_close_matches(text, known, 1)
    return (
        f"did you mean {prefix}{near[0]}? There are: {', '.join(names)}" if near else f"there are: {', '.join(names)}"
    )


def _value(parameter: Parameter, text: str, now: float) -> Any:
    choices = _CHOICES.get(parameter.kind)
    if choices is not None:
        if text not in choices:
            raise ParameterError(f"{parameter.name} cannot be {text[:TEXT_LIMIT]!r}", suggestion(text, choices))
        return text == "true" if parameter.kind == "boolean" else text
    if parameter.kind == "count":
        if not (text.isascii() and text.isdigit() and len(text) <= TEXT_LIMIT and 1 <= int(text) <= PAGE_LIMIT):
            raise ParameterError(f"{parameter.name} is not a number from 1 to {PAGE_LIMIT}", f"such as {PAGE}")
        return int(text)
    if parameter.kind == "time":
        return _time(parameter.name, text, now)
    if len(text) > TEXT_LIMIT:
        raise ParameterError(f"{parameter.name} is longer than {TEXT_LIMIT} characters", "no name is as long as that")
    return storable(text)


def storable(text: str) -> str:
    """Return a text as the store could have it: PostgreSQL knows none with a zero in it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _time(name: str, text: str, now: float) -> float:
    ago = _AGO.fullmatch(text)
    if ago:
        return now - int(ago[1]) * _SECONDS[ago[2]]
    try:
        moment = datetime.fromisoformat(text.upper().replace(" ", "+"))  # a plus that nobody escaped is a space
    except ValueError:
        raise ParameterError(f"{name} is no time", "such as 2026-01-31T12:00:00Z, or 24h for so long ago") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def schema(parameter: Parameter) -> dict[str, Any]:
    """Return the JSON Schema of a parameter's value."""
    one: dict[str, Any]
    if parameter.kind in _CHOICES:
        one = {"type": "string", "enum": list(_CHOICES[parameter.kind])}
    elif parameter.kind == "count":
        one = {"type": "integer", "minimum": 1, "maximum": PAGE_LIMIT, "default": PAGE}
    elif parameter.kind == "time":
        ago = {"type": "string", "pattern": "^[1-9][0-9]{0,3}[smhd]$"}
        one = {"anyOf": [{"type": "string", "format": "date-time"}, ago]}
    else:
        one = {"type": "string", "maxLength": TEXT_LIMIT}
    return {"type": "array", "items": one} if parameter.repeatable else one
