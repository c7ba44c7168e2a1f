"""The types of settings. The messages for pydantic's own errors are in `validation`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, SecretStr, ValidationInfo, WithJsonSchema

from monitor.config import files
from monitor.config.addresses import Address, parse_listen, parse_state_url, parse_url
from monitor.config.duration import PATTERN, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAME: Final = 128
MAX_ITEMS: Final = 1000

_ID: Final = re.compile(r"[!-~]{1,128}")


def written_as(parse: Callable[[str], Any]) -> BeforeValidator:
    """Parse text, and leave everything else to pydantic."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) and value else value)


def readable_as(parse: Callable[[bytes], Any]) -> BeforeValidator:
    """Require the path of a file whose content can be parsed; a relative one counts from the config's directory."""

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


def _check_secret(secret: SecretStr) -> SecretStr:
    """Require what fits into an HTTP header."""
    text = secret.get_secret_value()
    if "\n" in text or "\r" in text:
        raise ValueError("must not contain a line break")
    if any(ord(char) > 0xFF for char in text):  # noqa: PLR2004  # the last character of latin-1
        raise ValueError("must not contain characters outside of latin-1")
    if text != text.strip() or not all(char.isprintable() or char == "\xa0" for char in text):
        raise ValueError("must not contain control characters, or a space at either end")
    return secret


def secret_of(content: bytes) -> SecretStr:
    """Return the API key in a file; raises `ValueError`."""
    return _check_secret(SecretStr(files.text_of(content)))


def state_of(content: bytes) -> SecretStr:
    """Return the URL of the state in a file; raises `ValueError`."""
    return SecretStr(parse_state_url(files.text_of(content)))


def resolve_state(url: SecretStr, info: ValidationInfo) -> SecretStr:
    """Let the path of SQLite count from the config file's directory."""
    scheme, slashes, path = parse_state_url(url.get_secret_value()).partition(":///")
    if scheme == "sqlite" and info.context:
        path = str((info.context.directory / path).absolute())
    return SecretStr(f"{scheme}{slashes}{path}")


TEXT: Final = WithJsonSchema({"type": "string"})

Seconds: TypeAlias = Annotated[
    float, written_as(parse_duration), WithJsonSchema({"type": "string", "pattern": PATTERN})
]
Name: TypeAlias = Annotated[
    str,
    Field(min_length=1, json_schema_extra={"maxLength": MAX_NAME}),
    require(
        lambda name: len(name) <= MAX_NAME and name.isprintable() and name == name.strip(),
        f"must be 1 to {MAX_NAME} printable characters without a space at either end",
    ),
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
Listen: TypeAlias = Annotated[
    InstanceOf[Address],
    written_as(parse_listen),
    WithJsonSchema({"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):[0-9]{1,5}$"}),
]
StateUrl: TypeAlias = Annotated[
    SecretStr,
    Field(min_length=1),
    AfterValidator(resolve_state),
    WithJsonSchema({"type": "string", "pattern": "^(memory://|sqlite:///.+|postgres(ql)?://.+)$"}),
]
Secret: TypeAlias = Annotated[SecretStr, Field(min_length=1), AfterValidator(_check_secret), TEXT]
SecretFile: TypeAlias = Annotated[Path | None, readable_as(secret_of), TEXT]
StateFile: TypeAlias = Annotated[Path | None, readable_as(state_of), TEXT]
CertificateFile: TypeAlias = Annotated[Path | None, readable_as(files.certificate_of), TEXT]
PrivateKeyFile: TypeAlias = Annotated[Path | None, readable_as(files.private_key_of), TEXT]
