"""The command line."""

import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from monitor.cli.commands import STYLE, Commands

app = typer.Typer(
    name="milvus-import-monitor",
    cls=Commands,
    help="Monitors bulk-import jobs of Zilliz Cloud and Milvus for Prometheus.",
    no_args_is_help=True,
    **STYLE,
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(f"milvus-import-monitor {version('milvus-import-monitor')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Define the options of the program itself."""


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BrokenPipeError:  # the reader of our output has closed it, such as head
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - a traceback, or the error's text, could show a secret
        package = Path(__file__).parents[1]
        frames = [
            frame for frame in traceback.extract_tb(error.__traceback__) if package in Path(frame.filename).parents
        ]
        location = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        typer.echo(f"internal error: {type(error).__name__} in {location}; please report it", err=True)
        sys.exit(1)
