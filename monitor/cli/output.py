"""Prints rows as a table for people, and as JSON or CSV for programs."""

import csv
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from monitor.cli.options import option
from monitor.cli.table import Column, table_lines
from monitor.config import format_duration
from monitor.jobs import JobState, normalize_state, whole_percent

COLOURS: Final = {
    JobState.FAILED: "red",
    JobState.VANISHED: "red",
    JobState.COMPLETED: "green",
    JobState.UNCOMMITTED: "yellow",
    JobState.UNKNOWN: "yellow",
}

_PIPE_WIDTH: Final = 10_000
"""Columns of a table that is not printed on a terminal: a program expects each row on one line."""

_TITLES: Final = {"job_id": "JOB", "from_state": "FROM", "to_state": "TO", "eta_seconds": "LEFT"}
_STATES: Final = ("state", "from_state", "to_state")
_NAMES: Final = ("collection", "name", "cluster")
"""Columns with names of any length; the last of them is the first that is left out of a narrow table."""

_OPTIONAL: Final = ("progress", "age", "eta_seconds", "from_state", "discovery", "project", "region", "plan")
"""Columns that a narrow table leaves out, the last ones first."""

_FORMULA: Final = ("=", "+", "-", "@", "\t")
"""Characters with which a formula of a spreadsheet starts."""

_MINUTE: Final = 60.0
_UNIT: Final = re.compile("[0-9]+[a-z]+")

Value = str | float | int | bool | Mapping[str, str] | None
Fields = Mapping[str, Callable[..., Value]]
"""Each field of a row, and the function that returns its value."""


class OutputFormat(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def parse_state(text: str) -> JobState:
    """Return a state by its name in any case, or by one of the words of the API; raises `ValueError`."""
    word = text.strip().lower()
    state = JobState(word) if word in set(JobState) else normalize_state(word)
    if state is JobState.UNKNOWN and word != JobState.UNKNOWN:
        raise ValueError(f"{text!r} is not one of {', '.join(f'{str(state)!r}' for state in JobState)}")
    return state


Output = Annotated[OutputFormat, option("--output", "table, json or csv.", "FORMAT", short="-o")]


def _states(incomplete: str) -> list[str]:
    return [state.value for state in JobState if state.value.startswith(incomplete)]


state_option: Final = partial(option, metavar="STATE", parser=parse_state, autocompletion=_states)
JobStates = Annotated[  # not ``…_STATE``, which is the URL of the store: the container image sets it
    list[JobState] | None, state_option("--state", "Only jobs in this state; repeatable.", variable="job-state")
]


def print_rows(output: OutputFormat, items: Iterable[tuple[Any, ...]], fields: Fields, columns: Sequence[str]) -> None:
    """Print a row for each item, which are the arguments of the fields' functions; a table has only some columns."""
    rows = [{field: value(*item) for field, value in fields.items()} for item in items]
    if output is OutputFormat.JSON:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif output is OutputFormat.CSV:
        writer = csv.DictWriter(sys.stdout, list(fields), lineterminator="\n")
        writer.writeheader()
        writer.writerows({field: _csv_cell(value) for field, value in row.items()} for row in rows)
    else:
        now = time.time()
        cells = [[_table_cell(row, column, now) for column in columns] for row in rows]
        console = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH)
        with console.capture() as printed:
            for line in table_lines([_table_column(column) for column in columns], cells, console.width):
                console.print(line, soft_wrap=True)
        typer.echo(printed.get(), nl=False)


def _csv_cell(value: Value) -> Value:
    """Return a value, with a quote before text that a spreadsheet would run as a formula; labels as ``a=b,c=d``."""
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={text}" for name, text in value.items())
    if not isinstance(value, str):
        return value
    text = value.replace("\r", " ")  # which the writer would not quote
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _table_column(name: str) -> Column:
    """Return how a column gives way in a narrow table."""
    order = _NAMES if name in _NAMES else _OPTIONAL
    rank = order.index(name) + 1 if name in order else 0
    return Column(_TITLES.get(name, name.upper()), rank, name in _NAMES, name == "reason")


def _table_cell(row: Mapping[str, Value], column: str, now: float) -> Text:
    if column == "age":
        created = row["created_at"] or row["first_seen"]
        age = now - datetime.fromisoformat(created).timestamp() if isinstance(created, str) else None
        return Text("" if age is None else short_duration(age))
    value = row[column]
    if column in _STATES:
        return coloured_state(str(value))
    if column == "progress":
        return Text(percent(value) if isinstance(value, float) else "")
    if column == "eta_seconds":
        return Text(f"~{rough_duration(value)}" if isinstance(value, float) else "")
    if column == "at":
        return Text(str(value)[:19] + "Z")
    if column == "collection":
        value = qualified_name(row["database"], value)
    return Text(printable("" if value is None else str(value)))


def coloured_state(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=COLOURS.get(JobState(state), "") if state in set(JobState) else "")


def qualified_name(database: object, collection: object) -> str:
    """Return ``database/collection``, or the part that is not empty."""
    return "/".join(str(part) for part in (database, collection) if part)


def printable(text: str) -> str:
    """Return a text on one line, with control characters replaced: a server's text must not control the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(text.split()))


def percent(ratio: float) -> str:
    """Return a ratio in percent; less than 100 % until it is 1."""
    return f"{whole_percent(ratio)}%"


def rough_duration(seconds: float) -> str:
    """Return a duration to the second, and to the minute from an hour on."""
    step = 1.0 if seconds < 60 * _MINUTE else _MINUTE
    return format_duration(round(seconds / step) * step)


def short_duration(seconds: float) -> str:
    """Return a duration in its two largest units, and never a negative one."""
    return "".join(_UNIT.findall(format_duration(max(0, round(seconds))))[:2])


def iso_time(at: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC, to the millisecond."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
