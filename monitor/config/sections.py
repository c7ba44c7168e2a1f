"""Sections of a file, checked setting by setting: each mistake goes to the report, and the reading goes on."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

from pydantic import ValidationError

from monitor.config.document import Node, line_of
from monitor.config.model import OVERRIDES, Section
from monitor.config.problems import Path, Report, nearest
from monitor.config.values import UnresolvedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

MAX_SUGGESTIONS: Final = 1000
"""Problems after which nearest keys are no longer looked for; only the first few problems are shown anyway."""

SectionT = TypeVar("SectionT", bound=Section)


class SectionReader:
    """Reads the sections of one document.

    Args:
        root: The document.
        report: Is told what is wrong.
        unsupported: Keys that exist elsewhere and not here, each with a sentence about it.
    """

    def __init__(self, root: Node, report: Report, unsupported: Mapping[str, str] = MappingProxyType({})) -> None:
        self.root = root
        self.report = report
        self.unsupported = unsupported

    def section(
        self,
        model: type[SectionT],
        raw: dict[str, Any],
        path: Path,
        shape: type[Section],
        stand_ins: Mapping[str, Any] = MappingProxyType({}),
    ) -> tuple[SectionT, frozenset[str]]:
        """Check a mapping setting by setting.

        Args:
            model: What is checked.
            raw: The mapping.
            path: Where it stands.
            shape: Where the known keys are, which may be more than those of `model`.
            stand_ins: For required settings that are missing or wrong, so that the rest can still be checked.

        Returns:
            The section, and the keys that are wrong, missing or probably meant by a mistyped one; those have defaults.
        """
        try:
            return model.model_validate(raw), frozenset()
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
        broken = self._explain(details, path, shape)
        kept = {key: value for key, value in raw.items() if key in model.model_fields and key not in broken}
        return model.model_validate({**stand_ins, **kept}), broken

    def _explain(self, details: list[ErrorDetails], path: Path, shape: type[Section]) -> frozenset[str]:
        broken: set[str] = set()
        for detail in details:
            if detail["type"] == "extra_forbidden":
                broken |= self._unknown_key(detail["loc"], path, shape)
        for detail in details:
            location = detail["loc"]
            if detail["type"] == "missing" and (len(location) > 1 or location[0] not in broken):
                self.add((*path, *location), "is required")
            elif detail["type"] == "value_error":
                reason = detail["ctx"]["error"]
                if not isinstance(reason, UnresolvedError):
                    self.add((*path, *location), str(reason))
            broken.add(str(location[0]))
        return frozenset(broken)

    def _unknown_key(self, location: Path, path: Path, shape: type[Section]) -> set[str]:
        """Report an unknown key, and return the top-level keys that are in doubt because of it."""
        key = str(location[-1])
        if key in self.unsupported:
            self.add((*path, *location), self.unsupported[key])
            return set()
        known = _known_keys(shape, location[:-1])
        meant = nearest(key, known) if len(self.report) < MAX_SUGGESTIONS else None
        advice = f'did you mean "{meant}"?' if meant else f"the keys known here are {', '.join(known)}"
        self.add((*path, *location), f"unknown key; {advice}")
        return {meant} if meant and len(location) == 1 else set()

    def add(self, path: Path, text: str) -> None:
        """Note what is wrong with the setting at `path`."""
        self.report.add(self.line(path), path, text)

    def line(self, path: Path) -> int:
        """Return the line of the setting at `path`."""
        return line_of(self.root, path)


def _known_keys(shape: type[Section], location: Path) -> tuple[str, ...]:
    model: Any = shape
    for name in location:
        annotation = model.model_fields[name].annotation
        model = next((one for one in get_args(annotation) if one is not type(None)), annotation)  # X of X | None
    # A cluster's own keys first: they are the ones that somebody who writes a cluster looks for.
    return tuple(sorted(model.model_fields, key=OVERRIDES.__contains__))
