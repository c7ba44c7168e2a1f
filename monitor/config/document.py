"""YAML as plain data with line numbers, environment variables, and bounds on everything that a file can make grow.

Scalars stay text: what `0123` or `no` means is for the setting to decide, not for YAML.
"""

from __future__ import annotations

import re
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml

from monitor.config.errors import ConfigError, dotted, printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from monitor.config.errors import Path

MAX_NODES: Final = 1_000_000
"""Keys and values in one file after every alias is expanded: 20,000 clusters with 25 settings each."""

MAX_DEPTH: Final = 32
"""Nested lists and mappings; the config needs four."""

MAX_SCALAR: Final = 32_768
"""Characters of one value; the longest API keys (tokens) have a few thousand."""

MAX_REPORTED: Final = 20
"""Problems that are spelled out; the rest are counted, so that a broken template does not fill the terminal."""

REFERENCE: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
"""A reference to an environment variable, as a regular expression for Python and for JSON Schema."""

UNRESOLVED: Final = object()
"""Replaces a value whose problem is reported already, so that no other problem of it is reported."""

# The base loaders leave every scalar as text. The one in pure Python is only used on platforms without libyaml.
LOADER: Final[Any] = getattr(yaml, "CBaseLoader", yaml.BaseLoader)

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})?")
_INDENTED: Final = "; the line is indented differently from its neighbours"


class Document:
    """A file as plain lists, mappings and text, and the problems that are found in it.

    Args:
        source: Name of the file in messages.
    """

    def __init__(self, source: str) -> None:
        self.data: Any = None
        self.lines: dict[Path, int] = {}  # of an alias only its own line, not those of what is in it
        self._source = printable(source)
        self._problems: list[tuple[int, str]] = []
        self._included: list[str] = []

    def line(self, path: Path) -> int:
        """Return the line of a value, or of the nearest section around it that is in the file."""
        return next(self.lines[path[:size]] for size in range(len(path), -1, -1) if path[:size] in self.lines)

    def add(self, path: Path, text: str, line: int | None = None) -> None:
        """Add a problem of a setting; `line` is that of the setting by default, and 0 for the file as a whole."""
        line = self.line(path) if line is None else line
        position = f"{self._source}:{line}" if line else self._source
        self._problems.append((line, ": ".join(filter(None, (position, dotted(path), text)))))

    def include(self, error: ConfigError) -> None:
        """Add the problems of another file that this file names."""
        self._included += error.problems

    def refuse(self, line: int, text: str) -> NoReturn:
        """Raise the error now: the rest of the file cannot be checked."""
        self.add((), text, line)
        raise self.error()

    def has_problems(self) -> bool:
        """Return whether the file cannot be used."""
        return bool(self._problems or self._included)

    def error(self) -> ConfigError:
        """Return the error to raise, with the problems in the order of the lines."""
        problems = [text for _, text in sorted(self._problems, key=itemgetter(0))]
        if more := len(problems[MAX_REPORTED:]):
            problems[MAX_REPORTED:] = [f"and {more} more problem{'s' if more > 1 else ''}"]
        return ConfigError((*problems, *self._included))


def read_document(
    text: str, source: str, environ: Mapping[str, str] | None, needs: str, list_key: str = ""
) -> Document:
    """Read one YAML document and fill in the variables; duplicate keys and missing variables are problems of it.

    Without `environ`, `${` has no meaning. With a `list_key`, a list at the top counts as the value of that key.

    Raises:
        ConfigError: It is not YAML, exceeds a bound, or is not a mapping; then the message says what it `needs`.
    """
    document = Document(source)
    problem = None
    try:
        document.data = _Builder(document, environ, yaml.parse(text, Loader=LOADER)).root(list_key)
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        problem = _syntax_problem(error, text)
    # Raised here, because an error raised while another is handled would carry that one along, and the text with it.
    if problem:
        document.refuse(*problem)
    if document.data is None:
        document.refuse(0, f"the file is empty; it needs at least {needs}")
    if document.data is UNRESOLVED:
        raise document.error()
    if list_key and isinstance(document.data, list):
        document.data = {list_key: document.data}
    if not isinstance(document.data, dict):
        document.refuse(document.line(()), f"the file must be a mapping of settings, with {needs}")
    return document


def _syntax_problem(error: Exception, text: str) -> tuple[int, str]:
    if not isinstance(error, yaml.MarkedYAMLError):
        # The two parsers report the position in different units, so it is searched for.
        match = yaml.reader.Reader.NON_PRINTABLE.search(text)
        line = text.count("\n", 0, match.start()) + 1 if match else 0
        return line, "a control character or half of a surrogate pair is not allowed in YAML"
    line, column = (error.problem_mark.line, error.problem_mark.column) if error.problem_mark else (0, 0)
    problem = str(error.problem)
    if "nesting depth" in problem:  # the parser of PyYAML 6.0.4 has a limit of its own and reads ahead
        return line + 1, f"nested deeper than {MAX_DEPTH} levels"
    written = "".join(text.splitlines()[line : line + 1])
    before, rest = written[:column], written[column:]
    hint = ""
    if rest.startswith("\t"):
        hint = "; indent with spaces, not tabs"
    elif problem.startswith("mapping values"):
        hint = '; quote a value that contains ": "' if ": " in before else _INDENTED
    elif "expected" in problem and rest.strip() and not before.strip(" -"):
        hint = _INDENTED
    return line + 1, f"not valid YAML at column {column + 1}: {problem}{hint}"


def as_mapping(value: Any) -> Mapping[str, Any]:
    """Return a section as it is written, or an empty mapping if it is not a mapping."""
    return value if isinstance(value, dict) else {}


class _Builder:
    """Builds the data from the events of a parser, and stops at the first event that exceeds a bound."""

    def __init__(self, document: Document, environ: Mapping[str, str] | None, events: Iterator[Any]) -> None:
        self._document = document
        self._environ = environ
        self._events = events
        self._anchors: dict[str, tuple[Any, int]] = {}  # the value of each, and its number of nodes
        self._nodes = 0
        self._missing: set[str] = set()

    def root(self, list_key: str) -> Any:
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and self._nodes:
                self._document.refuse(_line(event), "a second YAML document starts here; only one is allowed")
            if isinstance(event, yaml.NodeEvent):
                is_list = list_key and isinstance(event, yaml.SequenceStartEvent)
                self._document.lines[()] = _line(event)
                root = self._value(event, (list_key,) if is_list else ())
        return root

    def _value(self, event: Any, path: Path) -> Any:
        line = self._document.lines.setdefault(path, _line(event))  # of its key, if it has one
        before = self._nodes
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                self._document.refuse(line, "an alias (*) points to an anchor (&) that is not complete above it")
            value, size = self._anchors[event.anchor]
            self._count(size, line)
            return value
        self._check(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif len(path) == MAX_DEPTH:
            self._document.refuse(line, f"nested deeper than {MAX_DEPTH} levels")
        else:
            value = self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._list(path)
        if event.anchor:
            self._anchors[event.anchor] = value, self._nodes - before
        return value

    def _check(self, event: Any) -> None:
        self._count(1, _line(event))
        if event.tag is not None:
            self._document.refuse(_line(event), "YAML tags (!) are not supported; remove the tag")
        if event.anchor in self._anchors:
            self._document.refuse(_line(event), "this anchor (&) is defined twice")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_SCALAR:
            self._document.refuse(_line(event), f"a value is longer than {MAX_SCALAR:,} characters")

    def _count(self, nodes: int, line: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            message = f"the file holds more than {MAX_NODES:,} keys and values, counting what its aliases stand for"
            self._document.refuse(line, message)

    def _list(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.CollectionEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(key := next(self._events), yaml.CollectionEndEvent):
            line = _line(key)
            if not isinstance(key, yaml.ScalarEvent):
                self._document.refuse(line, "a key must be text, not a list, a mapping or an alias")
            self._check(key)
            inner = (*path, key.value)
            first = self._document.lines.setdefault(inner, line)
            value = self._value(next(self._events), inner)
            if _is_plain(key, {"<<"}):
                for source in value if isinstance(value, list) else [value]:
                    if not isinstance(source, dict):
                        self._document.refuse(line, 'a merge key ("<<") needs an alias of a mapping, or a list of them')
                    merged = source | merged
            elif key.value in mapping:
                self._document.add(inner, f"duplicate key; it is first given on line {first}", line)
            else:
                mapping[key.value] = value
        return merged | mapping

    def _scalar(self, event: Any, path: Path) -> Any:
        if _is_plain(event, _NULLS):
            return None
        text: str = event.value
        if self._environ is None or "${" not in text:
            return text
        environ = self._environ
        names = [match["name"] for match in _REFERENCE.finditer(text) if match[0] != "$${"]
        missing = dict.fromkeys(name for name in names if not name or not environ.get(name))
        if None in missing:
            problems = ["${ must be followed by the name of an environment variable and }; write $${ to mean ${"]
        elif missing:
            problems = [
                f"environment variable {name} is {'empty' if name in environ else 'not set'}"
                for name in missing
                if name not in self._missing  # reported once, not for each of the thousand clusters that use it
            ]
            self._missing.update(missing)
        elif sum(len(environ[name]) for name in names) > MAX_SCALAR:
            problems = [f"is longer than {MAX_SCALAR:,} characters with its environment variables filled in"]
        else:
            return _REFERENCE.sub(lambda match: environ[match["name"]] if match["name"] else "${", text)
        for problem in problems:
            self._document.add(path, problem)
        return UNRESOLVED


def _is_plain(event: Any, values: Collection[str]) -> bool:
    return isinstance(event, yaml.ScalarEvent) and not event.style and event.value in values


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
