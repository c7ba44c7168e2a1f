"""Validates a document against a model, and reports each of pydantic's errors in one line."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from monitor.config.document import UNRESOLVED
from monitor.config.errors import EMPTY, ConfigError, Path, dotted, nearest
from monitor.config.setting_types import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from monitor.config.document import Document
    from monitor.config.errors import Problem
    from monitor.config.files import LoadContext

MAX_SUGGESTIONS: Final = 1000
"""Unknown keys for which the nearest key is searched; only the first few problems are shown anyway."""

_MAPPING: Final = "must be a mapping of settings (key: value)"
_EXPECTED: Final = {
    "missing": "is required",
    "model_type": _MAPPING,
    "dict_type": _MAPPING,
    "tuple_type": "must be a list, such as [a, b]",
    "too_short": "must have at least {min_length} item, or be left out",
    "too_long": "must have at most {max_length:,} items",
    "bool_parsing": "must be true or false",
}
"""Messages by pydantic's type of error."""

Sections: TypeAlias = Mapping[tuple[str, ...], "type[Section]"]
SectionT = TypeVar("SectionT", bound="Section")


class Section(BaseModel):
    """A mapping of the file. Unknown keys are errors; without any key, every setting has its default."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    unsupported: ClassVar[Mapping[str, str]] = {}
    """Keys of this format that the monitor does not support, each with a sentence about it."""

    @model_validator(mode="before")
    @classmethod
    def _default(cls, value: Any) -> Any:
        return {} if value is None else value


def validate(
    document: Document,
    model: type[SectionT],
    context: LoadContext | None,
    find_conflicts: Callable[[Document], Iterable[Problem]],
) -> SectionT:
    """Return a document as a model; `find_conflicts` yields what is wrong between settings as they are written.

    Raises:
        ConfigError: With everything that is wrong, up to a bound.
    """
    settings, errors = None, []
    try:
        settings = model.model_validate(document.data, context=context)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    invalid = _report(errors, document, _sections(model))
    for path, problem in find_conflicts(document):
        if path not in invalid:
            document.add(path, problem)
    if settings is None or document.has_problems():
        raise document.error()
    return settings


def _report(errors: list[ErrorDetails], document: Document, sections: Sections) -> set[Path]:
    """Report pydantic's errors, and return the paths of the settings that are invalid."""
    invalid: set[Path] = set()
    places = _places(sections)
    unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    for number, (*parents, key) in enumerate(unknown):
        section = sections[_keys_of(parents)]
        suggestion = nearest(str(key), _keys(section)) if number < MAX_SUGGESTIONS else None
        document.add((*parents, key), _unknown_key(str(key), section, places, suggestion))
        settings: Any = functools.reduce(lambda outer, part: outer[part], parents, document.data)
        if suggestion and suggestion not in settings:
            settings[suggestion] = UNRESOLVED  # so that it is not reported as missing
            invalid.add((*parents, suggestion))
    for error in errors:
        path, value, cause = error["loc"], error["input"], error.get("ctx", {}).get("error")
        is_consequence = value is UNRESOLVED or path in invalid or (error["type"] == "too_short" and value)
        invalid.add(path)
        if isinstance(cause, ConfigError):
            document.include(cause)
        elif error["type"] != "extra_forbidden" and not is_consequence:
            document.add(path, str(cause or _expected(error, sections)))
    return invalid


def _expected(error: ErrorDetails, sections: Sections) -> str:
    """Return what is expected instead of a value that pydantic refuses."""
    value = error["input"]
    if value is None or value == "":
        return EMPTY
    if error["type"] in _EXPECTED:
        return _EXPECTED[error["type"]].format_map(error.get("ctx", {}))
    if isinstance(value, list | dict):
        return f"must be a single value, not a {'list' if isinstance(value, list) else 'mapping'}"
    if error["type"] == "literal_error":
        choices = error["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
        return f"must be one of {choices}"
    *parents, name = error["loc"]
    return _range(sections[_keys_of(parents)].model_fields[str(name)])


def _range(field: FieldInfo) -> str:
    bounds = {key: getattr(item, key) for item in field.metadata for key in ("ge", "gt", "le") if hasattr(item, key)}
    lowest, highest = bounds.get("ge", 0), bounds["le"]
    if field.annotation is int:
        return f"must be a whole number from {lowest} to {highest}"
    if "ge" in bounds:
        return f"must be a duration from {format_duration(lowest)} to {format_duration(highest)}"
    return f"must be a number above {lowest} and up to {highest}"


def _unknown_key(key: str, section: type[Section], places: Mapping[str, str], suggestion: str | None) -> str:
    if key in section.unsupported:
        return section.unsupported[key]
    if key in places:
        alternative = f', or did you mean "{suggestion}"?' if suggestion else ""
        return f"unknown key here; it belongs {places[key]}: check the indentation of this line{alternative}"
    if suggestion:
        return f'unknown key; did you mean "{suggestion}"?'
    return f"unknown key; valid keys are {', '.join(_keys(section))}"


def _sections(model: type[Section], path: tuple[str, ...] = ()) -> Sections:
    """Return the model of each section of a file, by its keys from the top."""
    sections = {path: model}
    for name, field in model.model_fields.items():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, Section):
                sections |= _sections(inner, (*path, name))
    return sections


def _places(sections: Sections) -> dict[str, str]:
    """Return where each key of a file belongs, in words."""
    places: dict[str, list[str]] = {}
    for path, section in sections.items():
        for key in _keys(section):
            places.setdefault(key, []).append(f"in {dotted(path)}" if path else "at the top level")
    return {key: " or ".join(where) for key, where in places.items()}


def _keys(section: type[Section]) -> list[str]:
    return [field.alias or name for name, field in section.model_fields.items()]


def _keys_of(path: Iterable[str | int]) -> tuple[str, ...]:
    return tuple(part for part in path if isinstance(part, str))
