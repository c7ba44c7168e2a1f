"""Lines of the text format, which OpenMetrics reads as well."""

from collections.abc import Callable, Hashable, Sequence
from typing import Final

from monitor.metrics.families import FAMILIES

INDEX: Final = {family.name: index for index, family in enumerate(FAMILIES)}

Line = tuple[int, str]
"""The index of a family in ``FAMILIES``, and a line of it."""


def labels(*pairs: tuple[str, str]) -> str:
    """Return label pairs, escaped and joined, without braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def line(family: str, label_text: str, value: float, suffix: str = "") -> Line:
    """Return one line."""
    number = str(value) if isinstance(value, int) else repr(value)
    return INDEX[family], f"milvus_import_{family}{suffix}{{{label_text}}} {number}\n"


class Samples:
    """Collects the lines of one cluster, by family."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[] for _ in FAMILIES]

    def add(self, *lines: Line) -> None:
        """Add lines."""
        for index, text in lines:
            self._lines[index].append(text)

    def text(self) -> tuple[bytes, ...]:
        """Return the lines of each family, in the order of ``FAMILIES``; half a character becomes ``?``."""
        return tuple("".join(lines).encode(errors="replace") for lines in self._lines)


class Budget:
    """How many series may still be shown, and how many were left out."""

    def __init__(self, series: int) -> None:
        self._left = series
        self.dropped = 0

    def add(self, samples: Samples, group: Sequence[Line]) -> None:
        """Add the lines of one job or collection, all or none."""
        if len(group) > self._left:
            self._left = 0
            self.dropped += len(group)
            return
        self._left -= len(group)
        samples.add(*group)


class Memo:
    """The lines of jobs and collections as they were rendered last time, for as long as what they show is the same."""

    def __init__(self) -> None:
        self._before: dict[Hashable, tuple[object, Sequence[Line]]] = {}
        self._now: dict[Hashable, tuple[object, Sequence[Line]]] = {}

    def begin(self) -> None:
        """Begin to render; what is not asked for from now on is forgotten at the next beginning."""
        self._before, self._now = self._now, {}

    def lines(self, key: Hashable, facts: object, render: Callable[[], Sequence[Line]]) -> Sequence[Line]:
        """Return the lines of something.

        Args:
            key: Which thing it is.
            facts: All that its lines show.
            render: Makes the lines, where the facts are not those of last time.
        """
        known = self._before.get(key)
        if known is None or known[0] != facts:
            known = (facts, render())
        self._now[key] = known
        return known[1]
