"""The kinds of values a setting can have: how each is read, and how an editor is told about it.

Every reader gets what the file holds (text, None, a list, a dict) and answers with the value or with a `ValueError` of
one plain sentence that never repeats what it was given.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import SecretStr
from pydantic_core import core_schema

from monitor.config import duration
from monitor.config.environment import REFERENCE, UNRESOLVED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

MAX_NAME: Final = 128
MAX_PATH: Final = 4096
MAX_DATABASES: Final = 1000

_WHOLE: Final = re.compile(r"-?[0-9]{1,18}")
_DECIMAL: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_ID: Final = re.compile(r"[!-~]{1,128}")


class UnresolvedError(ValueError):
    """The value could not be worked out, and the file's report knows of it already."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Teaches pydantic one kind of value, as an annotation of a field.

    Attributes:
        read: Turns what the file holds into the value; raises `ValueError` with a sentence for people.
        schema: The same for editors, as JSON Schema.
    """

    read: Callable[[Any], Any]
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Let pydantic read the field with `read` alone."""
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, _core: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Let pydantic describe the field with `schema`; a reference to the environment fits everywhere."""
        if self.schema == {"type": "string"}:
            return {"type": "string"}
        return {"anyOf": [dict(self.schema), {"type": "string", "pattern": REFERENCE}]}


def text(value: Any) -> str:
    """Read any text; a number or a word such as `no` is the text that stands in the file.

    Raises:
        ValueError: When it is empty, a list or a mapping.
        UnresolvedError: When a variable in it is missing.
    """
    if value is UNRESOLVED:
        raise UnresolvedError
    if value is None or value == "":
        raise ValueError("is empty; write a value or remove the key")
    if not isinstance(value, str):
        raise ValueError(f"must be a single value, not a {'list' if isinstance(value, list) else 'mapping'}")  # noqa: TRY004  # for pydantic
    return value


def section(value: Any) -> Any:
    """Read a mapping of settings before pydantic does; an empty one is all defaults."""
    if value is UNRESOLVED:
        raise UnresolvedError
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("must be a mapping of settings (key: value)")  # noqa: TRY004
    return value


def one_of(*choices: str) -> Kind:
    """A word out of a few."""

    def read(value: Any) -> str:
        word = text(value)
        if word not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return word

    return Kind(read, {"type": "string", "enum": list(choices)})


def whole_number(lowest: int, highest: int) -> Kind:
    """A whole number between two, both included."""

    def read(value: Any) -> int:
        written = text(value)
        if not _WHOLE.fullmatch(written) or not lowest <= int(written) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(written)

    return Kind(read, {"type": "integer", "minimum": lowest, "maximum": highest})


def rate(highest: int) -> Kind:
    """A decimal number above zero, such as 0.5."""

    def read(value: Any) -> float:
        written = text(value)
        if not _DECIMAL.fullmatch(written) or not 0 < float(written) <= highest:
            raise ValueError(f"must be a number above 0 and up to {highest}")
        return float(written)

    return Kind(read, {"type": "number", "exclusiveMinimum": 0, "maximum": highest})


def seconds(lowest: float, highest: float) -> Kind:
    """A duration between two, both included; the value is in seconds."""

    def read(value: Any) -> float:
        found = duration.parse_duration(text(value))
        if not lowest <= found <= highest:
            bounds = f"{duration.format_duration(lowest)} to {duration.format_duration(highest)}"
            raise ValueError(f"must be a duration from {bounds}")
        return found

    return Kind(read, {"type": "string", "pattern": duration.PATTERN})


def _boolean(value: Any) -> bool:
    found = _BOOLEANS.get(text(value).lower())
    if found is None:
        raise ValueError("must be true or false")
    return found


def _name(value: Any) -> str:
    written = text(value)
    if len(written) > MAX_NAME or not written.isprintable() or written != written.strip():
        raise ValueError(f"must be 1 to {MAX_NAME} printable characters without a space at either end")
    return written


def _id(value: Any) -> str:
    written = text(value)
    if not _ID.fullmatch(written):
        raise ValueError(f"must be 1 to {MAX_NAME} visible ASCII characters without spaces")
    return written


def _path(value: Any) -> str:
    written = text(value)
    if len(written) > MAX_PATH or not written.isprintable():
        raise ValueError(f"must be the path of a file, in up to {MAX_PATH} printable characters")
    return written


def _databases(value: Any) -> tuple[str, ...]:
    if value is UNRESOLVED or (isinstance(value, list) and UNRESOLVED in value):
        raise UnresolvedError
    if not isinstance(value, list):
        raise ValueError("must be a list of database names, such as [default]")  # noqa: TRY004
    if not 0 < len(value) <= MAX_DATABASES:
        raise ValueError(f"must list 1 to {MAX_DATABASES} databases; remove the key to leave the choice to the server")
    names = []
    for item in value:
        try:
            names.append(_name(item))
        except ValueError as error:
            raise ValueError(f"item {len(names) + 1} {error}") from None
    if len(set(names)) < len(names):
        raise ValueError("names a database twice")
    return tuple(names)


def secret_text(written: str) -> SecretStr:
    """Read an API key or `user:password`, which has to fit into an HTTP header.

    Raises:
        ValueError: When it does not; the sentence does not repeat it.
    """
    if "\n" in written or "\r" in written:
        raise ValueError("must not contain a line break")
    if any(ord(char) > 0xFF for char in written):  # noqa: PLR2004  # the last character of latin-1
        raise ValueError("must not contain characters outside of latin-1")
    if written != written.strip() or not all(char.isprintable() or char == "\xa0" for char in written):
        raise ValueError("must not contain control characters, or a space at either end")
    return SecretStr(written)


def _secret(value: Any) -> SecretStr:
    return secret_text(text(value))


_ANY_TEXT: Final = {"type": "string"}
TRUE_OR_FALSE: Final = Kind(_boolean, {"type": "boolean"})
NAME: Final = Kind(_name, {"type": "string", "minLength": 1, "maxLength": MAX_NAME})
ID: Final = Kind(_id, {"type": "string", "pattern": f"^{_ID.pattern}$"})
FILE: Final = Kind(_path, _ANY_TEXT)
DATABASES: Final = Kind(
    _databases,
    {
        "type": "array",
        "items": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
        "minItems": 1,
        "maxItems": MAX_DATABASES,
        "uniqueItems": True,
    },
)
SECRET: Final = Kind(_secret, _ANY_TEXT)
