"""The command line."""

import sys
from importlib.metadata import version
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
