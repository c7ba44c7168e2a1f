"""Problems of a config file, reported in one line each."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_REPORTED: Final = 20
"""Problems that are spelled out; the rest are counted, so that a broken template does not fill the terminal."""

Path: TypeAlias = tuple[str | int, ...]
"""Position of a value in the file: `("clusters", 0, "url")`."""

# Only what looks like a setting is repeated in a message: a key that is long, or has other characters or several
# digits in it, may be a secret that slipped to the wrong side of the colon.
_REPEATABLE_KEY: Final = re.compile(r"(?!(?:[^0-9]*[0-9]){4})[A-Za-z_][A-Za-z0-9_.-]{0,31}")


class ConfigError(ValueError):
    """A config file that cannot be used.

    Attributes:
        problems: One sentence each, with file, line and key; at most `MAX_REPORTED`, then how many more there are.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class SettingsError(ValueError):
    """Problems of a section as a whole, each with the path of a setting in it and a sentence."""

    def __init__(self, *problems: tuple[Path, str]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = problems


class Report:
    """Collects the problems of a file, so that all of them are reported at once.

    Args:
        source: Name of the file in messages.
    """

    def __init__(self, source: str) -> None:
        self._source = printable(source)
        self._problems: list[tuple[int, Path, str]] = []
        self._included: list[str] = []

    def __len__(self) -> int:
        return len(self._problems) + len(self._included)

    def add(self, line: int, path: Path, text: str) -> None:
        """Add a problem; its line counts from 1 and is 0 when it is about the file as a whole."""
        self._problems.append((line, path, text))

    def include(self, error: ConfigError) -> None:
        """Add the problems of another file that this one names."""
        self._included += error.problems

    def error(self) -> ConfigError:
        """Return the error to raise, with the problems in the order of the lines."""
        ordered = sorted(self._problems, key=lambda problem: problem[0])
        lines = []
        for line, path, text in ordered[:MAX_REPORTED]:
            position = f"{self._source}:{line}" if line else self._source
            lines.append(": ".join(filter(None, (position, dotted(path), text))))
        if more := len(ordered) - len(lines):
            lines.append(f"and {more} more problem{'s' if more > 1 else ''}")
        return ConfigError((*lines, *self._included))


def dotted(path: Path) -> str:
    """Write a path as `clusters[0].tls.ca_file`.

    It ends at the first part that must not be repeated: what is in an `api_key`, and keys that do not look like one.
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
    """Return the candidate that a mistyped one was probably meant to be, or None."""
    if not _REPEATABLE_KEY.fullmatch(key):
        return None
    by_spelling = {name.lower(): name for name in candidates}
    matches = difflib.get_close_matches(key.lower().replace("-", "_"), by_spelling, n=1)
    matches = matches or difflib.get_close_matches(key.lower(), by_spelling, n=1)
    return by_spelling[matches[0]] if matches else None


def printable(text: str) -> str:
    """Escape the control characters of a file name, so that it fits on one line of a terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
