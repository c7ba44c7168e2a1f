"""``jobs``: what is there now, printed once."""

import csv
import json
import os
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.cli.looking import look
from monitor.cli.options import ConfigFile, fail, loaded
from monitor.config import Cluster
from monitor.jobs import Job, JobState, classify

_COLOURS: Final = {
    JobState.FAILED: "red",
    JobState.VANISHED: "red",
    JobState.COMPLETED: "green",
    JobState.UNCOMMITTED: "yellow",
    JobState.UNKNOWN: "yellow",
}


_PIPE_WIDTH: Final = 10_000
"""Columns where nobody looks: a program wants a whole job on its line."""


class Output(StrEnum):
    """How the jobs are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def jobs(
    config: ConfigFile,
    cluster: Annotated[
        str | None,
        typer.Option(metavar="NAME", envvar="MILVUS_IMPORT_MONITOR_CLUSTER", help="Only this cluster."),
    ] = None,
    state: Annotated[
        list[JobState] | None,
        # Not …_STATE, which says where the state is kept, and which the image sets.
        typer.Option(
            envvar="MILVUS_IMPORT_MONITOR_JOB_STATE", help="Only jobs in this state; can be given several times."
        ),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", envvar="MILVUS_IMPORT_MONITOR_OUTPUT", help="How to print them.")
    ] = Output.TABLE,
    fail_on: Annotated[
        list[JobState] | None,
        typer.Option(
            envvar="MILVUS_IMPORT_MONITOR_FAIL_ON",
            help="Exit with 1 when a job is in this state; can be given several times.",
        ),
    ] = None,
) -> None:
    """Ask every cluster once and print its jobs.

    Exit with 1 when a job is in a state to fail on, or when a cluster cannot be asked.
    """
    loaded_config = loaded(config)
    clusters = [one for one in loaded_config.clusters if cluster in (None, one.name)]
    if not clusters:
        names = ", ".join(one.name for one in loaded_config.clusters[:10])
        fail(f"--cluster: {config} has no cluster {cluster!r}; it has {names}")
    looks = look(loaded_config, clusters)
    found = [(one.cluster, job) for one in looks if one.seen for job in one.seen.listed.values()]
    rows = [_row(where, job) for where, job in found if not state or job.state in state]
    _PRINTERS[output](rows)
    for one in looks:
        if one.error is not None:
            typer.echo(f"{one.cluster.name}: {one.error.kind.value}: {one.error}", err=True)
    if any(one.error for one in looks) or any(job.state in (fail_on or ()) for _, job in found):
        raise typer.Exit(1)


_Row = dict[str, str | float | int | None]


def _row(cluster: Cluster, job: Job) -> _Row:
    return {
        "cluster": cluster.name,
        "database": job.database,
        "collection": job.collection,
        "job_id": job.job_id,
        "state": job.state.value,
        "progress": job.progress,
        "imported_rows": job.imported_rows,
        "total_rows": job.total_rows,
        "created_at": _iso(job.created_at),
        "completed_at": _iso(job.completed_at),
        "failure": classify(job.reason).value if job.state is JobState.FAILED else None,
        "reason": job.reason or None,
    }


def _iso(at: float | None) -> str | None:
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def _print_json(rows: list[_Row]) -> None:
    typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))


def _print_csv(rows: list[_Row]) -> None:
    writer = csv.DictWriter(sys.stdout, list(_COLUMNS))
    writer.writeheader()
    writer.writerows(rows)


def _print_table(rows: list[_Row]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("CLUSTER", "COLLECTION", "JOB", "STATE", "PROGRESS", "REASON"):
        table.add_column(title, overflow="fold", no_wrap=title in ("JOB", "STATE"))
    for row in rows:
        progress = row["progress"]
        place = "/".join(str(part) for part in (row["database"], row["collection"]) if part)
        state = Text(str(row["state"]), style=_COLOURS.get(JobState(str(row["state"])), ""))
        names = (Text(str(name)) for name in (row["cluster"], place, row["job_id"]))
        table.add_row(*names, state, _percent(progress), Text(_one_line(row["reason"])))
    Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH).print(table)


def _percent(progress: float | str | None) -> str:
    return f"{progress:.0%}" if isinstance(progress, float) else ""


def _one_line(text: float | str | None) -> str:
    return " ".join(str(text or "").split())


_COLUMNS: Final = (
    "cluster",
    "database",
    "collection",
    "job_id",
    "state",
    "progress",
    "imported_rows",
    "total_rows",
    "created_at",
    "completed_at",
    "failure",
    "reason",
)
_PRINTERS: Final = {Output.TABLE: _print_table, Output.JSON: _print_json, Output.CSV: _print_csv}
