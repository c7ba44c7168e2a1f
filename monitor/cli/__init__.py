"""The command line."""

import os
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from monitor.cli.commands import STYLE, Commands
from monitor.cli.options import print_error

PACKAGE: Final = str(Path(__file__).parents[1])

app = typer.Typer(name="milvus-import-monitor", cls=Commands, no_args_is_help=True, **STYLE)


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
    """Monitors bulk-import jobs of Zilliz Cloud and Milvus for Prometheus."""


def main() -> None:
    """Run the command line."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed when the process started
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end of the process
    try:
        app()
    except BrokenPipeError:  # the reader of our output has closed it, such as head
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - a traceback, or the error's text, could show a secret
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if PACKAGE in frame.filename]
        location = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        print_error(f"internal error: {type(error).__name__} in {location}; please report it")
        sys.exit(1)
