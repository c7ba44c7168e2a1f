"""The page about the benches: its tables are made of the file with their results."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

from tests.bench.rows import HEAD, Run, lines, run_from

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FILE: Final = "performance.json"
PAGE: Final = "performance.md"

_SECTION: Final = "<!-- {name} -->\n{text}<!-- end of {name} -->\n"


def keep(docs: Path, run: Run, order: Iterable[str]) -> None:
    """Put a run in the place of the same bench's older one, and the page's tables in the place of older ones.

    Args:
        docs: The folder of both files.
        run: The run.
        order: The benches' names, as the page shows them.
    """
    known = {each.bench: each for each in load(docs)} | {run.bench: run}
    runs = [known[name] for name in order if name in known]
    text = json.dumps([each.as_json() for each in runs], indent=1, ensure_ascii=False)
    (docs / FILE).write_text(f"{text}\n", encoding="utf-8")
    page = docs / PAGE
    page.write_text(with_tables(page.read_text(encoding="utf-8"), runs), encoding="utf-8")


def load(docs: Path) -> list[Run]:
    """Return the runs that are kept."""
    return [run_from(stored) for stored in json.loads((docs / FILE).read_text(encoding="utf-8"))]


def with_tables(page: str, runs: Iterable[Run]) -> str:
    """Return the page with the tables of these runs between its marks."""
    for name, table in (("results", results(runs)), ("runs", _runs(runs))):
        text = "".join(f"{line}\n" for line in ("", *table, ""))
        pattern = re.escape(_SECTION).replace(r"\{name\}", name).replace(r"\{text\}", "(?s:.*?)")
        page, count = re.subn(pattern, lambda _: _SECTION.format(name=name, text=text), page)  # noqa: B023 - used at once
        assert count == 1, f"the page has no place for its {name}"
    return page


def results(runs: Iterable[Run]) -> list[str]:
    """Return the table of all numbers."""
    return [*HEAD, *(line for run in runs for line in lines(run))]


def _runs(runs: Iterable[Run]) -> list[str]:
    head = ["| Bench | Where | When | Took |", "|---|---|---|--:|"]
    sizes = {True: ", with small sizes", False: ""}
    return head + [
        f"| {run.bench} | {run.machine} | {run.date}{sizes[run.quick]} | {run.seconds:.0f} s |" for run in runs
    ]
