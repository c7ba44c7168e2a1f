"""Validates a document against a model, and turns each of pydantic's errors into one line."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, Literal, TypeVar, get_args, get_origin

from pydantic import ValidationError

from monitor.config.document import UNRESOLVED, RefusedDocumentError, read_document
from monitor.config.duration import format_duration
from monitor.config.errors import ConfigError, Path, Report, SettingsError, dotted, nearest
from monitor.config.values import EMPTY, Section

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from monitor.config.document import Document
    from monitor.config.files import LoadContext

MAX_SUGGESTIONS: Final = 1000
"""Unknown keys for which the nearest is searched; only the first few problems are shown anyway."""

SectionT = TypeVar("SectionT", bound=Section)


def read_settings(
    model: type[SectionT], text: str, context: LoadContext, report: Report, needs: str
) -> tuple[SectionT | None, Document | None]:
    """Read YAML as a model, and report every problem; the settings only count while there is none.

    Returns:
        The settings, or None when they are not valid; and the document, or None when it is no mapping.
    """
    try:
        document = read_document(text, context.environ, report, needs)
    except RefusedDocumentError as error:
        report.add(error.line, (), error.text)
        return None, None
    if not isinstance(document.data, dict):
        if document.data is not UNRESOLVED:
            report.add(document.line(()), (), f"the file must be a mapping of settings, with {needs}")
        return None, None
    try:
        return model.model_validate(document.data, context=context), document
    except ValidationError as error:
        details = error.errors(include_url=False)
    _explain(model, document, details, report)
    return None, document


def _explain(root: type[Section], document: Document, details: list[ErrorDetails], report: Report) -> None:
    meant: set[Path] = set()  # keys that a mistyped one was probably meant to be, and so are not missing
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    for number, path in enumerate(unknown):
        text, key = _unknown_key(root, path, suggest=number < MAX_SUGGESTIONS)
        report.add(document.line(path), path, text)
        meant.add((*path[:-1], key))
    for detail in details:
        path, value = detail["loc"], detail["input"]
        is_unresolved = value is UNRESOLVED or (isinstance(value, list) and UNRESOLVED in value)
        is_typo = path in meant and path not in document.lines
        error = detail.get("ctx", {}).get("error")
        if detail["type"] == "extra_forbidden" or is_unresolved or is_typo:
            continue
        if isinstance(error, ConfigError):
            report.include(error)
        elif isinstance(error, SettingsError):
            for inner, text in error.problems:
                report.add(document.line((*path, *inner)), (*path, *inner), text)
        else:
            report.add(document.line(path), path, str(error or _expected(root, detail)))


_EXPECTED: Final = {
    "missing": "is required",
    "model_type": "must be a mapping of settings (key: value)",
    "dict_type": "must be a mapping of settings (key: value)",
    "too_short": "must have at least {min_length} item, or be left out",
    "too_long": "must have at most {max_length:,} items",
}
"""Messages by pydantic's type of error, for those that do not depend on the value."""


def _expected(root: type[Section], detail: ErrorDetails) -> str:
    """Return what is expected instead of a value that pydantic refuses."""
    value = detail["input"]
    if detail["type"] in _EXPECTED:
        return _EXPECTED[detail["type"]].format(**detail.get("ctx", {}))
    if value is None or value == "":
        return EMPTY
    if detail["type"] == "tuple_type":
        return "must be a list, such as [a, b]"
    if isinstance(value, list | dict):
        return f"must be a single value, not a {'list' if isinstance(value, list) else 'mapping'}"
    *parents, name = [part for part in detail["loc"] if isinstance(part, str)]
    return _range(_model_at(root, tuple(parents)).model_fields[name])


def _range(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return f"must be one of {', '.join(get_args(field.annotation))}"
    if field.annotation is bool:
        return "must be true or false"
    bounds = {key: getattr(item, key) for item in field.metadata for key in ("ge", "gt", "le") if hasattr(item, key)}
    lowest, highest = bounds.get("ge", 0), bounds["le"]
    if field.annotation is int:
        return f"must be a whole number from {lowest} to {highest}"
    if "ge" in bounds:
        return f"must be a duration from {format_duration(lowest)} to {format_duration(highest)}"
    return f"must be a number above {lowest} and up to {highest}"


def _unknown_key(root: type[Section], path: Path, *, suggest: bool) -> tuple[str, str]:
    """Return what to say about an unknown key, and the key that was probably meant."""
    key = str(path[-1])
    section = _model_at(root, path[:-1])
    keys = _keys(section)
    if key in section.unsupported:
        return section.unsupported[key], ""
    meant = (suggest and nearest(key, keys)) or ""
    if belongs := _places(root).get(key):
        alternative = f', or did you mean "{meant}"?' if meant else ""
        return f"unknown key here; it belongs {belongs}: check the indentation of this line{alternative}", meant
    if meant:
        return f'unknown key; did you mean "{meant}"?', meant
    return f"unknown key; valid keys are {', '.join(keys)}", meant


def _keys(model: type[Section]) -> list[str]:
    """Return the keys of a section, its own before those that it shares with others."""
    shared = {name for base in model.__mro__[1:] for name in getattr(base, "model_fields", ())}
    names = sorted(model.model_fields, key=shared.__contains__)
    return [model.model_fields[name].alias or name for name in names]


def _sections(model: type[Section]) -> dict[str, type[Section]]:
    """Return the sections in a section, by key."""
    sections = {}
    for name, field in model.model_fields.items():
        for inner in (field.annotation, *get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, Section):
                sections[name] = inner
    return sections


def _model_at(model: type[Section], path: Path) -> type[Section]:
    for part in path:
        if isinstance(part, str):
            model = _sections(model)[part]
    return model


@functools.lru_cache(maxsize=2)
def _places(root: type[Section]) -> dict[str, str]:
    """Return where each key of the file belongs, in words."""
    places: dict[str, list[str]] = {}

    def visit(model: type[Section], path: Path) -> None:
        for key in _keys(model):
            places.setdefault(key, []).append(f"in {dotted(path)}" if path else "at the top level")
        for key, inner in _sections(model).items():
            visit(inner, (*path, key))

    visit(root, ())
    return {key: " or ".join(sections) for key, sections in places.items()}
