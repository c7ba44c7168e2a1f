"""The files that a config names: the config itself, keys, certificates."""

from __future__ import annotations

import errno
import re
import stat
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from monitor.config.problems import printable
from monitor.config.values import secret_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import SecretStr

Pem: TypeAlias = Literal["certificate", "private key"]

HOLDS: Final[Mapping[Pem, re.Pattern[bytes]]] = {
    "certificate": re.compile(rb"-----BEGIN ([A-Z0-9]+ )?CERTIFICATE-----"),
    "private key": re.compile(rb"-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----"),
}
"""How each begins in a file."""

MAX_CONFIG_BYTES: Final = 16 * 1024 * 1024
MAX_KEY_BYTES: Final = 64 * 1024
MAX_PEM_BYTES: Final = 4 * 1024 * 1024

_REASONS: Final = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "cannot be read: permission denied",
    errno.EISDIR: "is a directory, not a file",
}


class UnreadableError(Exception):
    """A file cannot be used; the text says why, without the file's name."""


def read_text(path: Path, limit: int) -> str:
    """Read a UTF-8 file of up to `limit` bytes; a byte order mark is left out.

    Raises:
        UnreadableError: When it is missing, unreadable, too large or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise UnreadableError(_reason(error)) from None
    if len(content) > limit:
        raise UnreadableError(f"is larger than {limit:,} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # The place is kept and the exception is not: it would carry the whole file along.
        line = content.count(b"\n", 0, error.start) + 1
    raise UnreadableError(f"is not UTF-8 text (line {line})")


def read_pem(path: Path) -> bytes:
    """Read a file of certificates or of a key.

    Raises:
        UnreadableError: When it is missing, unreadable, no regular file, or too large.
    """
    _require_regular(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_PEM_BYTES + 1)
    except OSError as error:
        raise UnreadableError(_reason(error)) from None
    if len(content) > MAX_PEM_BYTES:
        raise UnreadableError(f"is larger than {MAX_PEM_BYTES:,} bytes")
    return content


class NamedFiles:
    """Looks at the files that clusters name, each of them once however many clusters share it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keys: dict[str, SecretStr | str] = {}
        self._checked: dict[tuple[str, Pem], str | None] = {}

    def path(self, written: str) -> Path:
        """Return the path of a file; a relative one counts from the config file's directory."""
        return self._directory / written

    def key(self, written: str) -> SecretStr:
        """Return the key in a file, without the white space around it.

        Raises:
            UnreadableError: With the file's path and what is wrong with the file.
        """
        if written not in self._keys:
            self._keys[written] = self._read_key(self.path(written))
        found = self._keys[written]
        if isinstance(found, str):
            raise UnreadableError(found)
        return found

    def _read_key(self, path: Path) -> SecretStr | str:
        try:
            _require_regular(path)
            key = read_text(path, MAX_KEY_BYTES).strip()
            return secret_text(key) if key else f"{printable(str(path))} is empty; it must hold the key"
        except (UnreadableError, ValueError) as error:
            return f"{printable(str(path))} {error}"

    def problem(self, written: str, what: Pem) -> str | None:
        """Return why a file cannot be used for what it should hold, with its path; None when it can."""
        if (written, what) not in self._checked:
            path = self.path(written)
            problem = None
            try:
                if not HOLDS[what].search(read_pem(path)):
                    problem = f"holds no {what} in PEM format (-----BEGIN …)"
            except UnreadableError as error:
                problem = str(error)
            self._checked[written, what] = problem and f"{printable(str(path))} {problem}"
        return self._checked[written, what]


def _require_regular(path: Path) -> None:
    """Refuse what would block or never end when it is read, such as a named pipe.

    Raises:
        UnreadableError: When it is no regular file, or not there.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UnreadableError(_reason(error)) from None
    if stat.S_ISDIR(mode):
        raise UnreadableError(_REASONS[errno.EISDIR])
    if not stat.S_ISREG(mode):
        raise UnreadableError("is not a regular file")


def _reason(error: OSError) -> str:
    return _REASONS.get(error.errno or 0) or f"cannot be read: {error.strerror or 'unknown reason'}"
