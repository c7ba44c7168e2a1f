"""What is wrong with a config file, said in one line each."""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass
from typing import Final, TypeAlias

MAX_REPORTED: Final = 20
"""Problems that are spelled out; the rest are counted, so that a broken template does not fill the terminal."""

Path: TypeAlias = tuple[str | int, ...]
"""Where a value stands in the file: `("clusters", 0, "url")`."""

# Only what looks like a setting is repeated in a message: a key that is long, or has other characters or several
# digits in it, may be a secret that slipped to the wrong side of the colon.
_REPEATABLE_KEY: Final = re.compile(r"(?!(?:[^0-9]*[0-9]){4})[A-Za-z_][A-Za-z0-9_.-]{0,31}")


class ConfigError(Exception):
    """The config file cannot be used.

    Attributes:
        problems: One sentence each, with file, line and setting; at most `MAX_REPORTED`, then how many more there are.
    """

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the file.

    Attributes:
        line: Counted from 1; 0 when it is about the file as a whole.
        path: The setting; empty when it is about the file as a whole.
        text: What is wrong and what is expected.
    """

    line: int
    path: Path
    text: str


class Report:
    """Collects the problems of one file, so that all of them are told at once."""

    def __init__(self, source: str) -> None:
        self._source = printable(source)
        self._problems: list[Problem] = []

    def __len__(self) -> int:
        return len(self._problems)

    def add(self, line: int, path: Path, text: str) -> None:
        """Note one problem; `line` and `path` as in `Problem`."""
        self._problems.append(Problem(line, path, text))

    def error(self) -> ConfigError:
        """Return the error to raise, with every problem noted so far in the order of the lines."""
        ordered = sorted(self._problems, key=lambda problem: problem.line)
        lines = [self._sentence(problem) for problem in ordered[:MAX_REPORTED]]
        if more := len(ordered) - len(lines):
            lines.append(f"and {more} more problem{'s' if more > 1 else ''}")
        return ConfigError(tuple(lines))

    def _sentence(self, problem: Problem) -> str:
        place = f"{self._source}:{problem.line}" if problem.line else self._source
        setting = dotted(problem.path)
        return f"{place}: {setting}: {problem.text}" if setting else f"{place}: {problem.text}"


def dotted(path: Path) -> str:
    """Write a path as people do: `clusters[0].tls.ca_file`.

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


@functools.lru_cache(maxsize=1024)
def nearest(key: str, known: tuple[str, ...]) -> str | None:
    """Return the known key that a mistyped one was probably meant to be, or None."""
    if not _REPEATABLE_KEY.fullmatch(key):
        return None
    matches = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return matches[0] if matches else None


def printable(text: str) -> str:
    """Make a file name fit for one line of a terminal: control characters are written as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
