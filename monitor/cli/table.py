"""Lays out rows as a table of a given width: ids stay whole, and no cell is broken inside a word.

What does not fit gives way in this order: long names are shortened, the least important columns are left out, names are
shortened further and left out. Sentences of the last column are wrapped between words, below their row if need be.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from rich.cells import cell_len
from rich.text import Text

K = TypeVar("K")

_GAP: Final = 2
_INDENT: Final = 4
_SHORT, _SHORTEST = 20, 8
"""Columns to which a name is shortened before other columns are left out, and after that."""

_SENTENCE_WIDTH: Final = 32
"""Columns that sentences need at the end of their rows; with fewer they are below."""


class Column(NamedTuple):
    """A column: its title, and how it gives way."""

    title: str
    rank: int = 0  # columns of a higher rank are left out first; one of 0 stays
    is_name: bool = False  # its cells can be shortened; it is left out last
    is_sentence: bool = False  # its cells can be wrapped between words; the last column only


def table_lines(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int) -> list[Text]:
    """Return the lines of a table with its header, without empty optional columns and without blanks at the ends."""
    is_empty = [column.rank and not any(row[index] for row in rows) for index, column in enumerate(columns)]
    columns = [column for column, empty in zip(columns, is_empty, strict=True) if not empty]
    rows = [[cell for cell, empty in zip(row, is_empty, strict=True) if not empty] for row in rows]
    has_sentences = columns[-1].is_sentence
    title = columns[-1].title
    sentences = [row[-1] for row in rows] if has_sentences else []
    columns = columns[:-1] if has_sentences else columns
    widths = {
        index: max([cell_len(column.title), *(row[index].cell_len for row in rows)])
        for index, column in enumerate(columns)
    }
    _give_way(columns, widths, width)
    begin = _total(widths) + _GAP
    room = width - begin
    words = (cell_len(word) for text in sentences for word in text.plain.split())
    longest = max((text.cell_len for text in sentences), default=0)
    in_row = max(longest, cell_len(title)) <= room or (room >= _SENTENCE_WIDTH and max(words) <= room)
    indent = begin if in_row else _INDENT
    header = [Text(column.title, style="bold") for column in columns]
    lines = [_line(header, widths)]
    if has_sentences and in_row:
        _append_at(lines[0], begin, Text(title, style="bold"))
    for row, sentence in zip(rows, sentences or [Text("")] * len(rows), strict=True):
        line, parts = _line(row, widths), _wrapped(sentence, width - indent)
        if in_row and parts:
            _append_at(line, begin, parts.pop(0))
        lines += [line, *(_append_at(Text(""), indent, part) for part in parts)]
    for line in lines:
        line.rstrip()
    return lines


def _give_way(columns: Sequence[Column], widths: dict[int, int], width: int) -> None:
    names = [index for index, column in enumerate(columns) if column.is_name]
    optional = [index for index, column in enumerate(columns) if column.rank and not column.is_name]
    for shortest, removable in ((_SHORT, optional), (_SHORTEST, names)):
        shorten(widths, [index for index in names if index in widths], shortest, _total(widths) - width)
        for index in sorted(removable, key=lambda index: columns[index].rank, reverse=True):
            if _total(widths) > width:
                del widths[index]


def shorten(widths: dict[K, int], names: Iterable[K], shortest: int, excess: int) -> None:
    """Take `excess` columns from the widest of these names, as long as they are wider than `shortest`."""
    names = list(names)
    while excess > 0 and names and widths[widest := max(names, key=widths.__getitem__)] > shortest:
        widths[widest] -= 1
        excess -= 1


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _line(cells: Sequence[Text], widths: dict[int, int]) -> Text:
    line = Text()
    for index, width in widths.items():
        if line.plain:
            line.append(" " * _GAP)
        line.append_text(fitted(cells[index], width))
    return line


def fitted(text: Text, width: int) -> Text:
    """Return a text in exactly so many columns: shortened with an ellipsis, or with blanks."""
    text = text.copy()
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def _append_at(line: Text, begin: int, text: Text) -> Text:
    """Append a text to a line, from a column on, and return the line."""
    line.append(" " * (begin - line.cell_len))
    return line.append_text(text)


def _wrapped(text: Text, width: int) -> list[Text]:
    """Return the lines of a text, broken between words only: a longer word has a line of its own; none if empty."""
    lines, line = [], ""
    for word in text.plain.split():
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".lstrip()
    return [Text(part, style=text.style) for part in (*lines, line) if part]
