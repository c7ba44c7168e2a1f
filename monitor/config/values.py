"""The types of settings. The messages for pydantic's own errors are in `validation`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from monitor.config import files
from monitor.config.duration import PATTERN, parse_duration
from monitor.config.files import LoadContext

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NAME: Final = 128
MAX_PATH: Final = 4096
MAX_ITEMS: Final = 1000

EMPTY: Final = "is empty; write a value or remove the key"

_ID: Final = re.compile(r"[!-~]{1,128}")


class Section(BaseModel):
    """A mapping of the file, in which unknown keys are mistakes; an empty one has all defaults."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True)

    unsupported: ClassVar[Mapping[str, str]] = {}
    """Keys that this format has elsewhere, each with a sentence about it."""

    @model_validator(mode="before")
    @classmethod
    def _default(cls, value: Any) -> Any:
        return {} if value is None else value


def _seconds(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) and value else value


def _check_name(name: str) -> str:
    if len(name) > MAX_NAME or not name.isprintable() or name != name.strip():
        raise ValueError(f"must be 1 to {MAX_NAME} printable characters without a space at either end")
    return name


def _check_id(written: str) -> str:
    if not _ID.fullmatch(written):
        raise ValueError(f"must be 1 to {MAX_NAME} visible ASCII characters without spaces")
    return written


def parse_secret(written: str | SecretStr) -> SecretStr:
    """Read an API key or `user:password`, which has to fit into an HTTP header.

    Raises:
        ValueError: When it does not; the sentence does not repeat it.
    """
    text = written.get_secret_value() if isinstance(written, SecretStr) else written
    if "\n" in text or "\r" in text:
        raise ValueError("must not contain a line break")
    if any(ord(char) > 0xFF for char in text):  # noqa: PLR2004  # the last character of latin-1
        raise ValueError("must not contain characters outside of latin-1")
    if text != text.strip() or not all(char.isprintable() or char == "\xa0" for char in text):
        raise ValueError("must not contain control characters, or a space at either end")
    return SecretStr(text)


def secret_of(content: bytes) -> SecretStr:
    """Return the API key in a file; raises `ValueError`."""
    return parse_secret(files.text_of(content))


def context_of(info: ValidationInfo) -> LoadContext:
    """Return what the validators of settings that name files need; raises `ValueError` where there is none."""
    if not isinstance(info.context, LoadContext):
        raise ValueError("names a file, which is only read when a config is loaded")  # noqa: TRY004  # for pydantic
    return info.context


def file_path(value: Any, info: ValidationInfo) -> Any:
    """Return the path of a file; a relative one counts from the config file's directory."""
    if info.context is None:  # made by code, not read from a file
        return value
    if value is None or value == "":
        raise ValueError(EMPTY)
    if not isinstance(value, str):
        return value
    if len(value) > MAX_PATH or not value.isprintable():
        raise ValueError(f"must be the path of a file, in up to {MAX_PATH} printable characters")
    return context_of(info).directory / value


def readable_as(parse: Callable[[bytes], Any]) -> BeforeValidator:
    """Require the path of a file whose content can be parsed."""

    def check(value: Any, info: ValidationInfo) -> Any:
        path = file_path(value, info)
        if info.context and isinstance(path, Path):
            context_of(info).read(path, parse)
        return path

    return BeforeValidator(check)


TEXT: Final = WithJsonSchema({"type": "string"})
Seconds: TypeAlias = Annotated[float, BeforeValidator(_seconds), WithJsonSchema({"type": "string", "pattern": PATTERN})]
Name: TypeAlias = Annotated[
    str, Field(min_length=1, json_schema_extra={"maxLength": MAX_NAME}), AfterValidator(_check_name)
]
Id: TypeAlias = Annotated[
    str, Field(min_length=1, json_schema_extra={"pattern": f"^{_ID.pattern}$"}), AfterValidator(_check_id)
]
Secret: TypeAlias = Annotated[SecretStr, Field(min_length=1), AfterValidator(parse_secret), TEXT]
SecretFile: TypeAlias = Annotated[Path | None, readable_as(secret_of), TEXT]
CertificateFile: TypeAlias = Annotated[Path | None, readable_as(files.certificate_of), TEXT]
PrivateKeyFile: TypeAlias = Annotated[Path | None, readable_as(files.private_key_of), TEXT]
