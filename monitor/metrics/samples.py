"""Lines of the text format, which OpenMetrics reads as well."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import accumulate, compress, count
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


Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class Sheet(Generic[Key, Item]):
    """Families of which each of several jobs or collections has a line, or none.

    An item has the same labels in every family, and most of its values are those of many others: a state, a time. So
    what is kept is a row of both for each item, one row behind the other, and the text of a family is joined of them.

    Args:
        families: The families.
        row: Makes the row of an item: its labels, with the brace before them; and what follows them in each family, up
            to the end of the line, nothing where it has no line. It is told the key, the item, what was shown in its
            place or None, and the row of that.

    Attributes:
        pieces: The text of each family.
        series: How many lines there are.
    """

    __slots__ = ("_cells", "_families", "_items", "_places", "_row", "_width", "pieces", "series")

    def __init__(
        self, families: Sequence[str], row: Callable[[Key, Item, Item | None, Sequence[bytes]], Sequence[bytes]]
    ) -> None:
        self._families = [(INDEX[name], encoded(f"milvus_import_{name}")) for name in families]
        self._row = row
        self._items: Mapping[Key, Item] = {}
        self._places: dict[Key, int] = {}
        self._cells: list[bytes] = []
        self._width = 1 + len(families)
        self.pieces: Sequence[Piece] = ()
        self.series = 0

    def show(
        self, items: Mapping[Key, Item], touched: Collection[Key] | None = None
    ) -> tuple[Sequence[Key], Sequence[Key]]:
        """Show some items in the place of those shown so far.

        Args:
            items: The items, which do not change any more. One that is the very same object as before has the same row.
            touched: The keys of those that may not be the same, each once; None for any.

        Returns:
            The keys of those that are shown no more, and of those that are new or not the same. The rows have the order
            of a dictionary from which the first are taken before the others are put into it.
        """
        shown, cells, width = self._items, self._cells, self._width
        if items is shown:
            return (), ()
        if touched is None:
            touched = {**shown, **items}
        gone = [key for key in touched if key in shown and key not in items]
        changed = [key for key in touched if key in items and items[key] is not shown.get(key)]
        if gone:
            for place in sorted([self._places[key] for key in gone], reverse=True):
                del cells[place * width : (place + 1) * width]
            self._places = dict(zip(filter(items.__contains__, self._places), count(), strict=False))
        for key in changed:
            start = self._places.setdefault(key, len(self._places)) * width
            row = slice(start, start + width)
            cells[row] = self._row(key, items[key], shown.get(key), cells[row])
        if gone or changed:
            self._join()
        self._items = items
        return gone, changed

    def _join(self) -> None:
        cells, labels, pieces, series = self._cells, self.labels, [], 0
        for column, (index, name) in enumerate(self._families, 1):
            having, values = labels, cells[column :: self._width]
            if not all(values):
                having, values = [*compress(labels, values)], [*filter(None, values)]
            pieces.append((index, text_of(name, having, values)))
            series += len(values)
        self.pieces, self.series = pieces, series

    @property
    def labels(self) -> list[bytes]:
        """The labels of each item, in the order of the rows."""
        return self._cells[:: self._width]


def text_of(name: bytes, labels: Sequence[bytes], values: Sequence[bytes]) -> bytes:
    """Return the lines of a family: for each of its labels its name, the labels, and a value."""
    if labels and values.count(values[0]) == len(values):  # as states often are
        return b"".join([name, (values[0] + name).join(labels), values[0]])
    parts = [name] * (3 * len(labels))
    parts[1::3], parts[2::3] = labels, values
    return b"".join(parts)


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
