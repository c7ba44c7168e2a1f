"""`${NAME}` in the values of the config file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, final

from monitor.config.document import MAX_SCALAR, Entry, Node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from monitor.config.problems import Path, Report

REFERENCE: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"
"""A reference to an environment variable, as a regular expression for Python and for JSON Schema."""

_PART: Final = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)\})?")


@final
class Unresolved:
    """Stands for a value whose variable is not set; that is reported already, so nothing else complains about it."""


UNRESOLVED: Final = Unresolved()


class VariableError(ValueError):
    """An environment variable has no value."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"environment variable {name} {problem}")
        self.name = name


class Resolver:
    """Turns nodes into plain lists, dicts and text, with the variables filled in."""

    def __init__(self, environ: Mapping[str, str], report: Report) -> None:
        self._environ = environ
        self._report = report
        # What an anchor stands for is worked out, and complained about, once, however many aliases point to it.
        self._anchored: dict[int, Any] = {}
        # A variable is missing once, and not again for each of the thousand clusters that share the key.
        self._missing: set[str] = set()

    def resolve(self, node: Node, path: Path = (), line: int | None = None) -> Any:
        """Return the plain value of a node.

        Args:
            node: Bounded in depth and size by `read_document`.
            path: Where it stands, for messages.
            line: The line to name in messages; the node's own when None.

        Returns:
            Text, None, a list, a dict, or `UNRESOLVED` where a variable is missing (which the report was told).
        """
        if node.anchored and id(node) in self._anchored:
            return self._anchored[id(node)]
        value = self._value(node, path, node.line if line is None else line)
        if node.anchored:
            self._anchored[id(node)] = value
        return value

    def _value(self, node: Node, path: Path, line: int) -> Any:
        content = node.content
        if isinstance(content, dict):
            return {key: self._entry(entry, (*path, key)) for key, entry in content.items()}
        if isinstance(content, list):
            return [self.resolve(item, (*path, index)) for index, item in enumerate(content)]
        if content is None or "${" not in content:
            return content
        try:
            return substitute(content, self._environ)
        except VariableError as error:
            if error.name not in self._missing:
                self._report.add(line, path, str(error))
            self._missing.add(error.name)
        except ValueError as error:
            self._report.add(line, path, str(error))
        return UNRESOLVED

    def _entry(self, entry: Entry, path: Path) -> Any:
        return self.resolve(entry.node, path, entry.line)


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Fill in the environment variables of one value.

    Args:
        text: `${NAME}` is a variable and `$${` a literal `${`; any other `$` is itself.
        environ: The variables; their values are taken as they are, without a second round.

    Returns:
        The text with every variable filled in.

    Raises:
        VariableError: When a variable is not set, or empty.
        ValueError: With one plain sentence, when `${` is not followed by `NAME}` or the text becomes too long.
    """
    parts: list[str] = []
    length = start = 0
    for match in _PART.finditer(text):
        name = match["name"]
        value = "${"
        if name is not None:
            value = _variable(name, environ)
        elif match[0] == "${":
            raise ValueError("${ must be followed by the name of an environment variable and }; write $${ to mean ${")
        length += len(value)
        if length > MAX_SCALAR:
            raise ValueError(f"is longer than {MAX_SCALAR:,} characters with its environment variables filled in")
        parts += (text[start : match.start()], value)
        start = match.end()
    return "".join((*parts, text[start:]))


def _variable(name: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if value is None:
        raise VariableError(name, "is not set")
    if not value:
        raise VariableError(name, "is empty")
    return value
