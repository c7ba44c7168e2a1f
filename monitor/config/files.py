"""The files that a config names, with keys and certificates, and the config file itself."""

from __future__ import annotations

import errno
import functools
import hashlib
import re
import stat
from typing import TYPE_CHECKING, Any, Final, TypeVar

from monitor.config.errors import EMPTY, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_CONFIG_BYTES: Final = 16 * 1024 * 1024
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
"""For bundles of certificates; the system's has a quarter of a MiB."""

MAX_SECRET_BYTES: Final = 64 * 1024
MAX_PATH: Final = 4096

_REASONS: Final = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "cannot be read: permission denied",
    errno.EISDIR: "is a directory, not a file",
}

ParsedT = TypeVar("ParsedT")


class LoadContext:
    """What validators need besides the values: the directory, the variables, and the content of named files."""

    def __init__(self, directory: Path, environ: Mapping[str, str], path: Path | None = None) -> None:
        self.directory = directory
        self.environ = environ
        self.path = path
        self._parsed: dict[tuple[Path, Any], Any] = {}
        self._contents = hashlib.sha256()

    def fingerprint(self) -> str:
        """Return a digest of the contents of the files read."""
        return self._contents.hexdigest()

    def resolve(self, value: Any) -> Any:
        """Return the path that a setting names; values other than text are left to pydantic.

        Raises:
            ValueError: It cannot be the path of a file.
        """
        if value is None or value == "":
            raise ValueError(EMPTY)
        if not isinstance(value, str):
            return value
        if len(value) > MAX_PATH or not value.isprintable():
            raise ValueError(f"must be the path of a file, in up to {MAX_PATH} printable characters")
        return self.directory / value

    def read(self, path: Path, parse: Callable[[bytes], ParsedT]) -> ParsedT:
        """Read and parse a file, once even if thousands of clusters share it.

        Raises:
            ValueError: With the file's path and what is wrong with the file.
        """
        if (path, parse) not in self._parsed:
            try:
                content = read_bytes(path, MAX_FILE_BYTES)
                self._contents.update(hashlib.sha256(content).digest())
                self._parsed[path, parse] = parse(content)
            except ValueError as error:
                raise ValueError(f"{printable(str(path))} {error}") from None
        parsed: ParsedT = self._parsed[path, parse]
        return parsed


def read_bytes(path: Path, limit: int, *, regular: bool = True) -> bytes:
    """Read a file of up to `limit` bytes, if `regular` only a regular file: a pipe could block forever.

    Raises:
        ValueError: It is missing, unreadable or too large; the message does not contain its name.
    """
    try:
        if regular and stat.S_IFMT(path.stat().st_mode) not in {stat.S_IFREG, stat.S_IFDIR}:
            raise ValueError("is not a regular file")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or f"cannot be read: {error.strerror or 'unknown reason'}"
        raise ValueError(reason) from None
    if len(content) > limit:
        raise ValueError(f"is larger than {limit:,} bytes")
    return content


def decode(content: bytes) -> str:
    """Decode UTF-8, without a byte order mark; raises `ValueError`."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
    # Raised here, because the decoder's error would carry the whole file along.
    raise ValueError(f"is not UTF-8 text (line {line})")


def text_of(content: bytes) -> str:
    """Return the secret in a file, without the white space around it; raises `ValueError`."""
    if len(content) > MAX_SECRET_BYTES:
        raise ValueError(f"is larger than {MAX_SECRET_BYTES:,} bytes")
    text = decode(content).strip()
    if not text:
        raise ValueError("is empty")
    return text


def _pem(what: str, content: bytes) -> bytes:
    if not re.search(rb"-----BEGIN ([A-Z0-9]+ )?%b-----" % what.upper().encode(), content):
        raise ValueError(f"contains no {what} in PEM format (-----BEGIN …)")
    if what == "private key" and re.search(rb"-----BEGIN ENCRYPTED|^Proc-Type: 4,ENCRYPTED", content, re.MULTILINE):
        raise ValueError("is encrypted; it must be a key without a password")
    return content


certificate_of: Final = functools.partial(_pem, "certificate")
private_key_of: Final = functools.partial(_pem, "private key")
"""Return the content of a PEM file that must contain a certificate, or a key; raise `ValueError`."""
