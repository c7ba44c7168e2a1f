"""YAML with line numbers, and with bounds on everything a file can make grow.

The parser's events are read one by one instead of through PyYAML's own constructors, because those forget line numbers,
let the second of two equal keys win in silence, expand aliases without a bound and recurse as deep as the file does.
Scalars stay text: what `0123` or `no` means is for the setting to say, not for YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from monitor.config.problems import Path, Report

MAX_NODES: Final = 1_000_000
"""Keys and values in one file after every alias is expanded: 20,000 clusters with 25 settings each."""

MAX_DEPTH: Final = 32
"""Lists and mappings within each other; the config needs four."""

MAX_SCALAR: Final = 32_768
"""Characters of one value; the longest API keys (tokens) have a few thousand."""

# The pure Python parser is about thirty times slower and is only there for platforms without libyaml.
FASTEST_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE: Final = "<<"


@dataclass(slots=True, eq=False)
class Node:
    """One value of the file.

    Attributes:
        line: Where it starts, counted from 1.
        content: Text, None for an empty value, or the nodes inside.
        size: Values in it, itself included, with what its aliases stand for.
        height: Levels of lists and mappings in it, itself included; 0 for a scalar.
        anchored: Whether an alias may point to it, so that it can stand at several places.
    """

    line: int
    content: str | list[Node] | dict[str, Entry] | None
    size: int = 1
    height: int = 0
    anchored: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A key's value in a mapping, and the line of the key."""

    line: int
    node: Node


class RefusedDocumentError(Exception):
    """The text cannot be read as a config document at all; no further problem of it is worth telling."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


def read_document(
    text: str, report: Report, *, loader: Any = FASTEST_LOADER, needs: str = "a list of clusters"
) -> Node:
    """Read one YAML document.

    Args:
        text: The file's text.
        report: Is told of duplicate keys; the first of them counts.
        loader: The PyYAML loader class whose parser is used.
        needs: What an empty file lacks.

    Returns:
        The root of the document.

    Raises:
        RefusedDocumentError: When it is no YAML, is empty, or is beyond a bound.
    """
    builder = _Builder(report)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise RefusedDocumentError(*_syntax_problem(error, text)) from None
    except (yaml.YAMLError, UnicodeEncodeError):
        raise RefusedDocumentError(*_character_problem(text)) from None
    if builder.root is None or (builder.root.content is None):
        raise RefusedDocumentError(0, f"the file is empty; it needs at least {needs}")
    return builder.root


def line_of(root: Node, path: Path) -> int:
    """Return the line of the setting at `path`, or of the nearest thing around it that is in the file."""
    line, node = root.line, root
    for part in path:
        content = node.content
        if isinstance(content, dict) and part in content:
            entry = content[str(part)]
            line, node = entry.line, entry.node
        elif isinstance(content, list) and isinstance(part, int) and part < len(content):
            node = content[part]
            line = node.line
        else:
            break
    return line


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    mark = error.problem_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    written = "".join(text.splitlines()[line : line + 1])
    hint = "; indent with spaces, not tabs" if written[column : column + 1] == "\t" else ""
    return line + 1, f"not valid YAML at column {column + 1}: {error.problem}{hint}"


def _character_problem(text: str) -> tuple[int, str]:
    # The two parsers report the place in different units, so it is looked up here.
    allowed = yaml.reader.Reader.NON_PRINTABLE
    match = allowed.search(text)
    line = text.count("\n", 0, match.start()) + 1 if match else 0
    return line, "a control character or half of a surrogate pair is not allowed in YAML"


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not come yet."""

    node: Node
    content: list[Node] | dict[str, Entry]
    anchor: str | None
    key: str | None = None
    key_line: int = 0
    is_merge: bool = False
    merges: list[tuple[int, Node]] = field(default_factory=list)

    def awaits_key(self) -> bool:
        return isinstance(self.content, dict) and self.key is None


class _Builder:
    """Puts the tree together, without recursion, from the parser's events."""

    def __init__(self, report: Report) -> None:
        self.root: Node | None = None
        self._report = report
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._nodes = 0

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1  # type: ignore[union-attr]  # every event of a parser has a mark
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._start(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._end()
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise RefusedDocumentError(line, "a second YAML document starts here; the config file is a single one")

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> None:
        _refuse_tag(event.tag, line)
        if len(event.value) > MAX_SCALAR:
            raise RefusedDocumentError(line, f"a value is longer than {MAX_SCALAR:,} characters")
        is_plain = event.style in (None, "")
        node = Node(line, None if is_plain and event.value in _NULLS else event.value)
        self._register(event.anchor, node)
        if is_plain and event.value == _MERGE and self._open and self._open[-1].awaits_key():
            self._open[-1].is_merge = True
        self._place(node, line)

    def _alias(self, event: yaml.AliasEvent, line: int) -> None:
        node = self._anchors.get(str(event.anchor))
        if node is None:
            raise RefusedDocumentError(line, "an alias (*) points to an anchor (&) that is not complete above it")
        if len(self._open) + node.height > MAX_DEPTH:
            raise RefusedDocumentError(line, f"nested deeper than {MAX_DEPTH} levels")
        self._place(node, line, cost=node.size)

    def _start(self, event: yaml.CollectionStartEvent, line: int) -> None:
        _refuse_tag(event.tag, line)
        if len(self._open) >= MAX_DEPTH:
            raise RefusedDocumentError(line, f"nested deeper than {MAX_DEPTH} levels")
        if self._open and self._open[-1].awaits_key():
            raise RefusedDocumentError(line, "a list or mapping cannot be a key")
        content: list[Node] | dict[str, Entry] = [] if isinstance(event, yaml.SequenceStartEvent) else {}
        self._open.append(_Open(Node(line, content, height=1), content, event.anchor))

    def _end(self) -> None:
        closed = self._open.pop()
        for line, source in closed.merges:
            _merge(closed, line, source)
        self._register(closed.anchor, closed.node)
        self._place(closed.node, closed.node.line)

    def _register(self, anchor: str | None, node: Node) -> None:
        if anchor is not None:
            node.anchored = True
            self._anchors[anchor] = node

    def _place(self, node: Node, line: int, *, cost: int = 1) -> None:
        self._nodes += cost
        if self._nodes > MAX_NODES:
            raise RefusedDocumentError(
                line, f"the file holds more than {MAX_NODES:,} keys and values, counting what its aliases stand for"
            )
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if isinstance(parent.content, list):
            parent.content.append(node)
            _grow(parent.node, node)
        else:
            self._place_in_mapping(parent, parent.content, node, line)

    def _place_in_mapping(self, parent: _Open, content: dict[str, Entry], node: Node, line: int) -> None:
        if parent.key is None:
            if isinstance(node.content, list | dict):
                raise RefusedDocumentError(line, "a list or mapping cannot be a key")
            parent.key, parent.key_line = node.content or "", line
            return
        key, parent.key = parent.key, None
        if parent.is_merge:
            parent.is_merge = False
            parent.merges.append((parent.key_line, node))
        elif key in content:
            path = (*self._path(), key)
            self._report.add(parent.key_line, path, f"duplicate key; it is first given on line {content[key].line}")
        else:
            content[key] = Entry(parent.key_line, node)
            _grow(parent.node, node)

    def _path(self) -> Path:
        """Where the innermost open list or mapping stands."""
        return tuple(
            len(outer.content) if isinstance(outer.content, list) else outer.key or "" for outer in self._open[:-1]
        )


def _merge(target: _Open, line: int, source: Node) -> None:
    """Fill what is not given in a mapping from the mapping, or list of mappings, of its `<<` key."""
    for mapping in source.content if isinstance(source.content, list) else [source]:
        if not isinstance(mapping.content, dict) or not isinstance(target.content, dict):
            raise RefusedDocumentError(line, 'a merge key ("<<") takes an alias of a mapping, or a list of them')
        for key, entry in mapping.content.items():
            if key not in target.content:
                target.content[key] = entry
                _grow(target.node, entry.node)


def _grow(parent: Node, child: Node) -> None:
    parent.size += child.size
    parent.height = max(parent.height, child.height + 1)


def _refuse_tag(tag: str | None, line: int) -> None:
    if tag is not None:
        raise RefusedDocumentError(line, "YAML tags (!) are not supported; remove the tag")
