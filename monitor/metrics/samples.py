"""Lines of the text format, which OpenMetrics reads as well."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from monitor.metrics.families import FAMILIES

INDEX: Final = {family.name: index for index, family in enumerate(FAMILIES)}

Line = tuple[int, str]
"""The index of a family in ``FAMILIES``, and a line of it."""


def labels(*pairs: tuple[str, str]) -> str:
    """Return label pairs, escaped and joined, without braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)


def _escaped(value: str) -> str:
    if value.isalnum():
        return value
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def line(family: str, label_text: str, value: float, suffix: str = "") -> Line:
    """Return one line."""
    number = str(value) if isinstance(value, int) else repr(value)
    return INDEX[family], f"milvus_import_{family}{suffix}{{{label_text}}} {number}\n"


class Columns:
    """Families of which things of one kind have a text each, perhaps an empty one.

    Args:
        families: Their names.
    """

    def __init__(self, *families: str) -> None:
        self._indexes = tuple(INDEX[family] for family in families)

    def texts(self, lines: Iterable[Line]) -> "Rendered":
        """Return the texts of one thing from its lines."""
        texts = dict.fromkeys(self._indexes, "")
        series = 0
        for index, text in lines:
            texts[index] += text
            series += 1
        return Rendered(tuple(texts.values()), series)

    def add(self, things: Iterable["Rendered"], texts: list[str]) -> None:
        """Add the texts of several things to those of all families."""
        for index, column in zip(self._indexes, zip(*[thing.texts for thing in things], strict=True), strict=False):
            texts[index] += "".join(column)


@dataclass(frozen=True, slots=True)
class Rendered:
    """One thing, rendered.

    Attributes:
        texts: Its lines, by the families of its kind.
        series: How many lines there are.
    """

    texts: tuple[str, ...]
    series: int


def empty() -> list[str]:
    """Return an empty text for each of ``FAMILIES``."""
    return [""] * len(FAMILIES)


def encoded(texts: Iterable[str]) -> tuple[bytes, ...]:
    """Return the texts as they are sent; half a character becomes ``?``."""
    return tuple([text.encode(errors="replace") for text in texts])


class Budget:
    """How many series may still be shown, and how many were left out."""

    def __init__(self, series: int) -> None:
        self.left = series
        self.dropped = 0

    def takes(self, series: int) -> bool:
        """Say whether so many series of one job or collection may be shown, all or none; once not, then never more."""
        if series > self.left:
            self.left = 0
            self.dropped += series
            return False
        self.left -= series
        return True


Facts = TypeVar("Facts")
Made = TypeVar("Made")


class Memo:
    """What was made of jobs and collections last time, for as long as the facts are the same."""

    def __init__(self) -> None:
        self._before: dict[Hashable, tuple[Any, Any]] = {}
        self._now: dict[Hashable, tuple[Any, Any]] = {}

    def begin(self) -> None:
        """Begin to render; what is not asked for from now on is forgotten at the next beginning."""
        self._before, self._now = self._now, {}

    def made(self, key: Hashable, facts: Facts, make: Callable[[Facts], Made]) -> Made:
        """Return what is made of the facts about something.

        Args:
            key: Which thing it is.
            facts: All that is shown of it.
            make: Makes it, where the facts are not those of last time.
        """
        known = self._before.get(key)
        if known is None or not (known[0] is facts or known[0] == facts):
            known = (facts, make(facts))
        self._now[key] = known
        made: Made = known[1]
        return made
