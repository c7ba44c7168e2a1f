"""The types of settings, and durations. The messages for pydantic's own errors are in `validation`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    WrapValidator,
)

from monitor.config import files
from monitor.config.addresses import (
    Address,
    parse_external_url,
    parse_inventory_url,
    parse_listen,
    parse_state_url,
    parse_url,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MAX_NAME: Final = 128
ALL_DATABASES: Final = ("*",)
"""What `databases: all` is in a `Cluster`; no database can have this name."""

MAX_ITEMS: Final = 1000

TEXT: Final = WithJsonSchema({"type": "string"})

_UNITS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
"""Milliseconds of each unit of a duration, in the order in which the units are written."""

DURATION_PATTERN: Final = r"^(?=[0-9])([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,12}ms)?$"
"""A regular expression that Python and JSON Schema (ECMA 262) read alike."""

_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|[dhms])")
_ID: Final = re.compile(rf"[!-~]{{1,{MAX_NAME}}}")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration such as `1h30m`: whole numbers with a unit each, the longest unit first.

    Raises:
        ValueError: With one sentence that says what is expected.
    """
    if re.fullmatch(DURATION_PATTERN, text):
        return sum(int(number) * _UNITS[unit] for number, unit in _DURATION_PART.findall(text)) / 1000
    if re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"missing unit: write {text}s")
    raise ValueError("must be a duration such as 500ms, 30s, 5m, 1h30m or 2d")


def format_duration(seconds: float) -> str:
    """Write a duration, rounded to milliseconds, the way `parse_duration` reads it: `1h30m`, or `0s` for zero."""
    remaining = round(seconds * 1000)
    text = ""
    for unit, milliseconds in _UNITS.items():
        count, remaining = divmod(remaining, milliseconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def parsed_by(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parse text, and leave everything else to pydantic."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) and value else value)


def readable_as(parse: Callable[[bytes], Any]) -> BeforeValidator:
    """Require the path of a file whose content can be parsed; a relative path is relative to the config's directory."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if info.context is None:  # made by code, not read from a file
            return value
        path = info.context.resolve(value)
        if isinstance(path, Path):
            info.context.read(path, parse)
        return path

    return BeforeValidator(check)


def require(is_valid: Callable[[Any], object], sentence: str) -> AfterValidator:
    """Refuse a value with a sentence, unless it is valid."""

    def check(value: Any) -> Any:
        if not is_valid(value):
            raise ValueError(sentence)
        return value

    return AfterValidator(check)


def require_one_of(names: Iterable[str]) -> AfterValidator:
    """Require one of these names."""
    return require(set(names).__contains__, f"must be one of {', '.join(filter(None, names))}")


def empty_as(default: Any) -> BeforeValidator:
    """Read a key without a value as its default."""
    return BeforeValidator(lambda value: default if value is None else value)


def _read_databases(value: Any, read_list: Callable[[Any], tuple[str, ...]]) -> tuple[str, ...]:
    if value == "all":
        return ALL_DATABASES
    if isinstance(value, str) and value:
        raise ValueError("must be a list, such as [a, b], or all")
    names = read_list(value)
    if ALL_DATABASES[0] in names:
        raise ValueError(f"cannot contain {ALL_DATABASES[0]}; write databases: all")
    if len(set(names)) < len(names):
        raise ValueError("lists a database twice")
    return names


def secret_of(content: bytes) -> SecretStr:
    """Return the API key in a file; raises `ValueError`."""
    return _check_secret(SecretStr(files.text_of(content)))


def read_api_key(file: Path) -> SecretStr:
    """Return the API key in a file as it is now; raises `ValueError` without the file's name."""
    return secret_of(files.read_bytes(file, files.MAX_SECRET_BYTES))


class BearerKey(SecretStr):
    """A key that was written with `Bearer` before it, without that; see `Config.warnings`."""


def _check_secret(secret: SecretStr) -> SecretStr:
    """Require what fits into an HTTP header, and remove a `Bearer` that was copied from one."""
    text = secret.get_secret_value()
    if "\n" in text or "\r" in text:
        raise ValueError("must not contain a line break")
    if any(ord(char) > 0xFF for char in text):  # noqa: PLR2004  # the last character of latin-1
        raise ValueError("must not contain characters outside of latin-1")
    if text != text.strip() or not all(char.isprintable() or char == "\xa0" for char in text):
        raise ValueError("must not contain control characters, or a space at either end")
    scheme, _, key = text.partition(" ")
    return BearerKey(key.lstrip()) if scheme.lower() == "bearer" and key else secret


def state_of(content: bytes) -> str:
    """Return the URL of the state in a file; raises `ValueError`."""
    return parse_state_url(files.text_of(content))


def read_state_url(file: Path) -> SecretStr:
    """Return the URL of the state in a file as it is now; raises `ValueError` without the file's name."""
    return SecretStr(state_of(files.read_bytes(file, files.MAX_SECRET_BYTES)))


def resolve_state(url: str, info: ValidationInfo) -> SecretStr:
    """Make the path of SQLite relative to the config file's directory."""
    scheme, slashes, path = url.partition(":///")
    if scheme == "sqlite" and info.context:
        path = str((info.context.directory / path).absolute())
    return SecretStr(f"{scheme}{slashes}{path}")


Seconds: TypeAlias = Annotated[
    float, parsed_by(parse_duration), WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN})
]
Name: TypeAlias = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"maxLength": MAX_NAME}),
    require(
        lambda name: len(name) <= MAX_NAME and name.isprintable() and name == name.strip(),
        f"must be 1 to {MAX_NAME} printable characters without a space at either end",
    ),
]
_DatabaseNames: TypeAlias = Annotated[tuple[Name, ...], Field(min_length=1, max_length=MAX_ITEMS)]
Databases: TypeAlias = Annotated[
    _DatabaseNames, WrapValidator(_read_databases, json_schema_input_type=_DatabaseNames | Literal["all"])
]
Id: TypeAlias = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"pattern": f"^{_ID.pattern}$"}),
    require(_ID.fullmatch, f"must be 1 to {MAX_NAME} visible ASCII characters without spaces"),
]
Url: TypeAlias = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+(/[^?#]*)?$"}),
    AfterValidator(parse_url),
]
InventoryUrl: TypeAlias = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+([/?][^#@]*)?$"}),
    AfterValidator(parse_inventory_url),
]
ExternalUrl: TypeAlias = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+(/[A-Za-z0-9._~/-]*)?$"}),
    AfterValidator(parse_external_url),
]
Listen: TypeAlias = Annotated[
    InstanceOf[Address],
    parsed_by(parse_listen),
    WithJsonSchema({"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):[0-9]{1,5}$"}),
]
StateUrl: TypeAlias = Annotated[
    SecretStr,
    Field(min_length=1),
    AfterValidator(lambda url, info: resolve_state(parse_state_url(url.get_secret_value()), info)),
    WithJsonSchema({"type": "string", "pattern": "^(memory://|sqlite:///.+|postgres(ql)?://.+)$"}),
]
Secret: TypeAlias = Annotated[SecretStr, Field(min_length=1), AfterValidator(_check_secret), TEXT]
FileGlob: TypeAlias = Annotated[
    str,
    Field(min_length=1),
    AfterValidator(lambda glob, info: str(info.context.resolve(glob).absolute()) if info.context else glob),
]
"""A path or a glob, relative to the config's directory."""
SecretFile: TypeAlias = Annotated[Path | None, readable_as(secret_of), TEXT]
StateFile: TypeAlias = Annotated[Path | None, readable_as(state_of), TEXT]
CertificateFile: TypeAlias = Annotated[Path | None, readable_as(files.certificate_of), TEXT]
PrivateKeyFile: TypeAlias = Annotated[Path | None, readable_as(files.private_key_of), TEXT]
