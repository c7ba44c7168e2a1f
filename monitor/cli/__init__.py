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
    help="Watches bulk-import jobs of Zilliz Cloud and Milvus; tells Prometheus and the log what became of them.",
    no_args_is_help=True,
    **STYLE,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"milvus-import-monitor {version('milvus-import-monitor')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Take the options of the program itself."""


def main() -> None:
    """Run the command line; a reader that hangs up on our output is no error."""
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - a traceback, or the error's text, could show a secret
        typer.echo(
            f"a fault of the monitor itself: {type(error).__name__} in {_place(error)}; please report it", err=True
        )
        sys.exit(1)


def _place(error: BaseException) -> str:
    """Say where an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(__file__).parents[1] in Path(frame.filename).parents]
    return f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "its libraries"
