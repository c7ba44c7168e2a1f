"""Lines of the text format, which OpenMetrics reads as well."""

from collections.abc import Sequence
from typing import Final

from monitor.metrics.families import FAMILIES

INDEX: Final = {family.name: index for index, family in enumerate(FAMILIES)}

Line = tuple[str, str, float]
"""Family, label text, value."""


def labels(*pairs: tuple[str, str]) -> str:
    """Return label pairs, escaped and joined, without braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Samples:
    """Collects the lines of one cluster, by family."""

    def __init__(self) -> None:
        self._lines: list[list[str]] = [[] for _ in FAMILIES]

    def add(self, family: str, label_text: str, value: float, suffix: str = "") -> None:
        """Add one line."""
        number = str(value) if isinstance(value, int) else repr(value)
        self._lines[INDEX[family]].append(f"milvus_import_{family}{suffix}{{{label_text}}} {number}\n")

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
        for line in group:
            samples.add(*line)
