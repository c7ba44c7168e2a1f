"""Lines of the text format, which OpenMetrics reads as well."""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Sequence
from io import BytesIO
from itertools import accumulate, count, repeat
from typing import Final, Generic, TypeVar

from monitor.metrics.families import JOB_FAMILIES

INDEX: Final = {family.name: index for index, family in enumerate(JOB_FAMILIES)}

Piece = tuple[int, bytes]
"""The index of a family in ``JOB_FAMILIES``, and lines of it."""

Counted = tuple[str, str, str]
"""A database, a collection in it, and a state."""


def labels(*pairs: tuple[str, str]) -> str:
    """Return label pairs, escaped and joined, without braces."""
    return ",".join([f'{name}="{escaped(value)}"' for name, value in pairs])


def escaped(value: str) -> str:
    """Return the value of a label as it stands between quotes."""
    if "\\" not in value and '"' not in value and "\n" not in value:
        return value
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def encoded(text: str) -> bytes:
    """Return a text as it is sent; half a character becomes ``?``."""
    return text.encode("utf-8", "replace")


def line(family: str, label_text: str, value: float) -> bytes:
    """Return one line."""
    return encoded(f"milvus_import_{family}{{{label_text}}} {value!r}\n")


def by_family(pieces: Iterable[Piece]) -> tuple[bytes, ...]:
    """Return the text of each of ``JOB_FAMILIES``, in their order."""
    found = [b""] * len(JOB_FAMILIES)
    for index, text in pieces:
        found[index] += text
    return tuple(found)


_NO_LINE: Final = b"\n"

Item = TypeVar("Item")


class Sheet(Generic[Item]):
    """Families of which each of several jobs or collections has a line, or none.

    Of a family, one text is kept, in which who has no line has an empty one. Where something has changed, the text is
    divided into its lines and put together anew: with cold caches that is quicker than to look for lines that are
    objects, and takes less memory.

    Args:
        families: The indexes of the families.
        render: Returns the lines of an item: one in each family, an empty one where it has none.
    """

    __slots__ = ("_empty", "_families", "_items", "_keys", "_render", "_texts")

    def __init__(self, families: Sequence[int], render: Callable[[Item], str]) -> None:
        self._families = families
        self._render = render
        self._items: Sequence[Item] = ()
        self._keys: Sequence[Hashable] = []
        self._texts = [b""] * len(families)
        self._empty = [0] * len(families)

    def show(self, items: Sequence[Item], keys: Sequence[Hashable]) -> tuple[list[Item], list[int]]:
        """Show some items, in this order, in the place of those shown so far.

        Args:
            items: The items.
            keys: What stands for each: an item with the key of one that is shown has its lines.

        Returns:
            The items whose keys are new; and for each item its place in the row of those shown so far, followed by
            those.
        """
        if keys == self._keys:
            return [], [*range(len(keys))]
        # Little is done for each item by its hash or in a line of Python: there are many, and few of them have changed.
        places = dict(zip(self._keys, count(), strict=False))
        order = [*map(places.get, keys, repeat(-1))]
        new = [place for place, known in enumerate(order) if known < 0]
        for known, place in enumerate(new, len(places)):
            order[place] = known
        changed = [items[place] for place in new]
        rendered = lines(encoded("".join(map(self._render, changed))))
        for family, text in enumerate(self._texts):
            added = rendered[family :: len(self._texts)]
            if self._empty[family] == len(places) and added.count(_NO_LINE) == len(added):
                self._empty[family], self._texts[family] = len(order), _NO_LINE * len(order)
                continue
            row = lines(text)
            row += added
            column = [*map(row.__getitem__, order)]
            self._empty[family] = column.count(_NO_LINE)
            self._texts[family] = b"".join(column)
        self._items, self._keys = items, keys  # an id is somebody else's once its item is gone
        return changed, order

    @property
    def series(self) -> int:
        """How many lines there are that are not empty."""
        return len(self._keys) * len(self._families) - sum(self._empty)

    def pieces(self) -> list[Piece]:
        """Return the text of each family."""
        return [*zip(self._families, map(self._text, self._texts, self._empty), strict=True)]

    def _text(self, text: bytes, empty: int) -> bytes:
        if not empty:
            return text
        return b"".join(filter(_NO_LINE.__ne__, lines(text))) if empty < len(self._keys) else b""


def lines(text: bytes) -> list[bytes]:
    """Return the lines of a text, with their ends."""
    return BytesIO(text).readlines()  # three times as fast as dividing it


class Budget:
    """How many series may still be shown, and how many were left out."""

    def __init__(self, series: int) -> None:
        self.left = series
        self.dropped = 0

    def fitting(self, items: Sequence[Item], series: Sequence[int]) -> Sequence[Item]:
        """Return the first items, as long as they fit, each whole; after them nothing more is to be shown.

        Args:
            items: The items, in the order of their importance.
            series: How many series each has.
        """
        whole = list(accumulate(series, initial=0))
        fitting = bisect_right(whole, self.left) - 1
        self.left = whole[fitting]
        self.dropped += whole[-1] - whole[fitting]
        return items[:fitting]
