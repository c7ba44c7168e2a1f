"""Lays out rows as a table of a given width: ids stay whole, and no cell is broken inside a word.

What does not fit gives way in this order: long names are shortened, the least important columns are left out, names are
shortened further and left out. Sentences of the last column are wrapped between words, below their row if need be.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len
from rich.text import Text

_GAP: Final = 2
_INDENT: Final = 4
_SHORT, _SHORTEST = 20, 8
"""Columns to which a name is shortened before other columns are left out, and after that."""

_SENTENCE_WIDTH: Final = 32
"""Columns that sentences need at the end of their rows; with fewer they are below."""


class Column(NamedTuple):
    """A column: its title, and how it gives way.

    Attributes:
        rank: Columns of a higher rank are left out first; one of 0 stays.
        is_name: Its cells can be shortened; it is left out last.
        is_sentence: Its cells can be wrapped between words; the last column only.
    """

    title: str
    rank: int = 0
    is_name: bool = False
    is_sentence: bool = False


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
    beside = max(longest, cell_len(title)) <= room or (room >= _SENTENCE_WIDTH and max(words) <= room)
    header = [Text(column.title, style="bold") for column in columns]
    lines = [_line(header, widths)]
    if has_sentences and beside:
        lines[0] = _joined(lines[0], begin, Text(title, style="bold"))
    for row, sentence in zip(rows, sentences or [Text("")] * len(rows), strict=True):
        line = _line(row, widths)
        if beside:
            first, *more = wrapped(sentence, room)
            lines.append(_joined(line, begin, first))
        else:
            lines.append(line)
            more = wrapped(sentence, width - _INDENT) if sentence.plain else []
        lines += [_joined(Text(""), begin if beside else _INDENT, text) for text in more]
    for line in lines:
        line.rstrip()
    return lines


def _give_way(columns: Sequence[Column], widths: dict[int, int], width: int) -> None:
    names = [index for index, column in enumerate(columns) if column.is_name]
    others = [index for index, column in enumerate(columns) if column.rank and not column.is_name]
    for shortest, optional in ((_SHORT, others), (_SHORTEST, names)):
        shorten(widths, [index for index in names if index in widths], shortest, _total(widths) - width)
        for index in sorted(optional, key=lambda index: columns[index].rank, reverse=True):
            if _total(widths) > width:
                del widths[index]


def shorten(widths: dict[int, int], names: Iterable[int], shortest: int, excess: int) -> None:
    """Take `excess` columns from the widest of these names, as long as they are wider than `shortest`."""
    names = list(names)
    while excess > 0 and names and max(widths[index] for index in names) > shortest:
        widths[max(names, key=widths.__getitem__)] -= 1
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


def _joined(line: Text, begin: int, text: Text) -> Text:
    """Return a line with another text from a column on."""
    line.append(" " * (begin - line.cell_len))
    return line.append_text(text)


def wrapped(text: Text, width: int) -> list[Text]:
    """Return the lines of a text, broken between words only: a longer word has a line of its own."""
    lines, line = [], ""
    for word in text.plain.split():
        if line and cell_len(line) + 1 + cell_len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".lstrip()
    return [Text(part, style=text.style) for part in (*lines, line)]
