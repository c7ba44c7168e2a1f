"""Lines of the text format, which OpenMetrics reads as well."""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
    return INDEX[family], f"milvus_import_{family}{suffix}{{{label_text}}} {value!r}\n"


Thing = TypeVar("Thing")


class Columns:
    """Families of which things of one kind have a text each, perhaps an empty one.

    Args:
        families: Their names.
    """

    def __init__(self, *families: str) -> None:
        self._indexes = tuple(INDEX[family] for family in families)
        self._heads = tuple(f"milvus_import_{family}{{" for family in families)

    def rendered(self, *cells: tuple[str, float] | None) -> "Rendered":
        """Return one thing, rendered.

        Args:
            cells: The labels and the value for each family, None where it has none.
        """
        texts = [
            "" if cell is None else f"{head}{cell[0]}}} {cell[1]!r}\n"
            for head, cell in zip(self._heads, cells, strict=True)
        ]
        return Rendered(tuple(texts), len(cells) - cells.count(None))

    def text(self, things: Iterable["Rendered"], memo: "Memo") -> list[tuple[int, bytes]]:
        """Return the text of each family for several things, of which none may have been rendered otherwise."""
        columns = zip(*[thing.texts for thing in things], strict=True)
        return [
            (index, memo.made((self, index), column, joined))
            for index, column in zip(self._indexes, columns, strict=False)
        ]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One thing, rendered.

    Attributes:
        texts: Its lines, by the families of its kind.
        series: How many lines there are.
    """

    texts: tuple[str, ...]
    series: int


def joined(texts: Iterable[str]) -> bytes:
    """Return texts as they are sent; half a character becomes ``?``."""
    return "".join(texts).encode(errors="replace")


def by_family(texts: Iterable[tuple[int, bytes]]) -> tuple[bytes, ...]:
    """Return the text of each of ``FAMILIES``, in their order."""
    found = [b""] * len(FAMILIES)
    for index, text in texts:
        found[index] += text
    return tuple(found)


def lines_by_family(lines: Iterable[Line]) -> tuple[bytes, ...]:
    """Return the text of each of ``FAMILIES``, in their order, from single lines."""
    found: dict[int, list[str]] = {}
    for index, text in lines:
        found.setdefault(index, []).append(text)
    return by_family((index, joined(texts)) for index, texts in found.items())


class Budget:
    """How many series may still be shown, and how many were left out."""

    def __init__(self, series: int) -> None:
        self.left = series
        self.dropped = 0

    def fitting(self, things: Sequence[Thing], series: Sequence[int]) -> Sequence[Thing]:
        """Return the jobs or collections that may be shown: the first, as long as they fit, each whole.

        Args:
            things: In the order of their importance.
            series: How many series each has.
        """
        whole = list(accumulate(series))
        count = bisect_right(whole, self.left)
        if count == len(things):
            self.left -= whole[-1] if whole else 0
            return things
        self.dropped += sum(series[count:])
        self.left = 0
        return things[:count]


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
