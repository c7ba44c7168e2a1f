"""YAML with line numbers and environment variables, and with bounds on everything that a file can make grow.

Scalars stay text: what `0123` or `no` means is for the setting to decide, not for YAML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from monitor.config.errors import Path, Report

MAX_NODES: Final = 1_000_000
"""Keys and values in one file after every alias is expanded: 20,000 clusters with 25 settings each."""

MAX_DEPTH: Final = 32
"""Nested lists and mappings; the config needs four."""

MAX_SCALAR: Final = 32_768
"""Characters of one value; the longest API keys (tokens) have a few thousand."""

REFERENCE: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
"""A reference to an environment variable, as a regular expression for Python and for JSON Schema."""

UNRESOLVED: Final = object()
"""Stands for a value whose variable is missing; that is reported already, so nothing else complains about it."""

# The base loaders leave every scalar as text. The one in pure Python is only used on platforms without libyaml.
LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_PART: Final = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})?")
_INDENTED: Final = "; the line is indented differently from its neighbours"


class RefusedDocumentError(Exception):
    """Text that cannot be read as a config document at all, so that no further problem of it matters."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line
        self.text = text


@dataclass(frozen=True, slots=True)
class Document:
    """Plain lists, mappings and text, with the line of each value."""

    data: Any
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of a setting, or of the nearest thing around it that is in the file."""
        return next(self.lines[path[:size]] for size in range(len(path), -1, -1) if path[:size] in self.lines)


def read_document(text: str, environ: Mapping[str, str], report: Report, needs: str) -> Document:
    """Read one YAML document and fill in the variables; the report gets duplicate keys and missing variables.

    Raises:
        RefusedDocumentError: When it is no YAML, is empty, which says what it `needs`, or is beyond a bound.
    """
    try:
        _check_bounds(text)
        root = yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        refused = _syntax_problem(error, text)
    except (yaml.YAMLError, UnicodeEncodeError):
        # The two parsers report the position in different units, so it is searched for.
        match = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, match.start()) + 1 if match else 0
        message = "a control character or half of a surrogate pair is not allowed in YAML"
        refused = RefusedDocumentError(line, message)
    else:
        if root is None or _is_plain(root, _NULLS):
            raise RefusedDocumentError(0, f"the file is empty; it needs at least {needs}")
        converter = _Converter(environ, report)
        return Document(converter.convert(root, (), _line(root)), converter.lines)
    raise refused


def _check_bounds(text: str) -> None:
    """Refuse what would be too large or too deep for the recursion of `yaml.compose`, without building anything."""
    nodes = 0
    opened: list[tuple[str | None, int]] = []  # anchor of each open list or mapping, and the nodes before it
    sizes: dict[str, int] = {}  # of anchors that are complete
    for event in yaml.parse(text, Loader=LOADER):
        line = event.start_mark.line + 1  # type: ignore[union-attr]  # every event of a parser has a mark
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor or ""] = nodes - before
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise RefusedDocumentError(line, "an alias (*) points to an anchor (&) that is not complete above it")
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            _check_node(event, line)
            if isinstance(event, yaml.CollectionStartEvent):
                opened.append((event.anchor, nodes - 1))
            else:
                sizes[event.anchor or ""] = 1
        elif isinstance(event, yaml.DocumentStartEvent) and nodes:
            raise RefusedDocumentError(line, "a second YAML document starts here; only one is allowed")
        if nodes > MAX_NODES:
            message = f"the file holds more than {MAX_NODES:,} keys and values, counting what its aliases stand for"
            raise RefusedDocumentError(line, message)
        if len(opened) > MAX_DEPTH:
            raise RefusedDocumentError(line, f"nested deeper than {MAX_DEPTH} levels")


def _check_node(event: Any, line: int) -> None:
    if event.tag is not None:
        raise RefusedDocumentError(line, "YAML tags (!) are not supported; remove the tag")
    if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_SCALAR:
        raise RefusedDocumentError(line, f"a value is longer than {MAX_SCALAR:,} characters")


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> RefusedDocumentError:
    line, column = (error.problem_mark.line, error.problem_mark.column) if error.problem_mark else (0, 0)
    problem = "this anchor (&) is defined twice" if error.context and "anchor" in error.context else str(error.problem)
    written = "".join(text.splitlines()[line : line + 1])
    before, rest = written[:column], written[column:]
    hint = ""
    if rest.startswith("\t"):
        hint = "; indent with spaces, not tabs"
    elif problem.startswith("mapping values"):
        hint = '; quote a value that contains ": "' if ": " in before else _INDENTED
    elif "expected" in problem and rest.strip() and not before.strip(" -"):
        hint = _INDENTED
    return RefusedDocumentError(line + 1, f"not valid YAML at column {column + 1}: {problem}{hint}")


@dataclass(slots=True)
class _Converter:
    """Turns nodes, whose size and depth are checked, into plain data.

    Anchored nodes are converted, and complained about, once, however many aliases point to them.
    """

    environ: Mapping[str, str]
    report: Report
    lines: dict[Path, int] = field(default_factory=dict)
    converted: dict[int, Any] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)

    def convert(self, node: yaml.Node, path: Path, line: int) -> Any:
        self.lines[path] = line
        if isinstance(node, yaml.MappingNode):
            return {key: value for key, (_, value) in self._entries(node, path).items()}
        if id(node) not in self.converted:
            self.converted[id(node)] = (
                self._scalar(node, path, line)
                if isinstance(node, yaml.ScalarNode)
                else [self.convert(item, (*path, index), _line(item)) for index, item in enumerate(node.value)]
            )
        return self.converted[id(node)]

    def _entries(self, node: yaml.MappingNode, path: Path) -> dict[str, tuple[int, Any]]:
        """Return the line and the value of each key, with the entries of merge keys filled in."""
        entries: dict[str, tuple[int, Any]] = self.converted.get(id(node), {})
        if entries:
            return entries
        merges: list[tuple[int, yaml.Node]] = []
        for key, value in node.value:
            line = _line(key)
            if not isinstance(key, yaml.ScalarNode):
                raise RefusedDocumentError(line, "a list or mapping cannot be a key")
            if _is_plain(key, {"<<"}):
                merges.append((line, value))
            elif key.value in entries:
                first = entries[key.value][0]
                self.report.add(line, (*path, key.value), f"duplicate key; it is first given on line {first}")
            else:
                entries[key.value] = line, self.convert(value, (*path, key.value), line)
        for line, source in merges:
            for mapping in source.value if isinstance(source, yaml.SequenceNode) else [source]:
                if not isinstance(mapping, yaml.MappingNode):
                    text = 'a merge key ("<<") needs an alias of a mapping, or a list of them'
                    raise RefusedDocumentError(line, text)
                merged = self._entries(mapping, (*path, "<<"))
                self.lines.update({(*path, name): entry[0] for name, entry in merged.items() if name not in entries})
                entries = merged | entries
        self.converted[id(node)] = entries
        return entries

    def _scalar(self, node: yaml.ScalarNode, path: Path, line: int) -> Any:
        if _is_plain(node, _NULLS):
            return None
        parts: list[str] = []
        length = start = 0
        for match in _PART.finditer(node.value):
            name = match["name"]
            value = "${" if name is None else self.environ.get(name, "")
            length += len(value)
            problem = ""
            if not value:
                problem = f"environment variable {name} is {'empty' if name in self.environ else 'not set'}"
            elif match[0] == "${":
                problem = "${ must be followed by the name of an environment variable and }; write $${ to mean ${"
            elif length > MAX_SCALAR:
                problem = f"is longer than {MAX_SCALAR:,} characters with its environment variables filled in"
            if problem:
                if name is None or name not in self.missing:  # once, not for each of the thousand clusters that use it
                    self.report.add(line, path, problem)
                self.missing.add(name or "")
                return UNRESOLVED
            parts += (node.value[start : match.start()], value)
            start = match.end()
        return "".join((*parts, node.value[start:]))


def _is_plain(node: yaml.Node, values: Collection[str]) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style and node.value in values


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
