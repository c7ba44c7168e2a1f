"""Rows for people (a table), for programs (JSON) and for spreadsheets (CSV)."""

import csv
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.jobs import JobState

COLOURS: Final = {
    JobState.FAILED: "red",
    JobState.VANISHED: "red",
    JobState.COMPLETED: "green",
    JobState.UNCOMMITTED: "yellow",
    JobState.UNKNOWN: "yellow",
}

_PIPE_WIDTH: Final = 10_000
"""Columns where nobody looks: a program wants a whole row on its line."""

Row = Mapping[str, str | float | int | bool | None]


class Output(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def print_rows(
    output: Output, columns: Sequence[str], rows: Sequence[Row], shown: Mapping[str, Sequence[Text]]
) -> None:
    """Print rows on standard output.

    Args:
        output: How.
        columns: The names of what each row has, for programs.
        rows: Every row, for programs.
        shown: Title and cells of each column of the table, for people.
    """
    if output is Output.JSON:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif output is Output.CSV:
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        _print_table(shown)


def _print_table(shown: Mapping[str, Sequence[Text]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in shown:
        table.add_column(title, overflow="fold", no_wrap=title in ("AT", "JOB", "STATE", "FROM", "TO"))
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH).print(table)


def in_colour(state: str) -> Text:
    """Return a state in the colour that it has everywhere."""
    return Text(state, style=COLOURS.get(JobState(state), "") if state in set(JobState) else "")


def plain(text: object) -> Text:
    """Return a server's text as one line in which nothing can command the terminal; nothing for None."""
    return Text(harmless("" if text is None else str(text)))


def harmless(text: str) -> str:
    """Return a text on one line, with a mark in place of what is no character to print: servers could send anything."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def percent(progress: object) -> Text:
    """Return a progress from 0 to 1 for people; nothing where none is known."""
    return Text(f"{progress:.0%}" if isinstance(progress, float) else "")


def place(database: object, collection: object) -> Text:
    """Return where a job imports to."""
    return plain("/".join(str(part) for part in (database, collection) if part))


def iso(at: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the millisecond; None for none, and for one that no calendar has."""
    if at is None:
        return None
    try:
        text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return None
    return text.replace("+00:00", "Z")
