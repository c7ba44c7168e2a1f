"""Problems of a config file, reported in one line each."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

EMPTY: Final = "is empty; write a value or remove the key"

Path: TypeAlias = tuple[str | int, ...]
"""Position of a value in the file: `("clusters", 0, "url")`."""

Problem: TypeAlias = tuple[Path, str]
"""The path of a setting, and what is wrong with it."""

# Only what looks like a setting is repeated in a message: a key that is long, or has other characters or several
# digits in it, may be a secret that slipped to the wrong side of the colon.
_REPEATABLE_KEY: Final = re.compile(r"(?!(?:[^0-9]*[0-9]){4})[A-Za-z_][A-Za-z0-9_.-]{0,31}")


class ConfigError(ValueError):
    """A config file that cannot be used.

    Attributes:
        problems: One sentence each, with file, line and key; of many only the first, and the number of the rest.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def dotted(path: Path) -> str:
    """Write a path as `clusters[0].tls.ca_file`.

    It ends before a key that does not look like a key, and after an `api_key`, whose content may be a secret.
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _REPEATABLE_KEY.fullmatch(part):
            text += f".{part}" if text else part
        else:
            break
        if part == "api_key":
            break
    return text


def nearest(key: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that is most similar to a mistyped key, or None."""
    if not _REPEATABLE_KEY.fullmatch(key):
        return None
    by_spelling = {name.lower().replace("-", "_"): name for name in candidates}
    matches = difflib.get_close_matches(key.lower().replace("-", "_"), by_spelling, n=1)
    return by_spelling[matches[0]] if matches else None


def printable(text: str) -> str:
    """Escape the control characters of a file name, so that it fits on one line of a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
