"""``completion``: shell completion."""

from typing import Annotated

import typer

from monitor.cli.options import fail, option


def completion(show: Annotated[bool, option("--show", "Print the script instead of installing it.")] = False) -> None:
    """Install completion for the current shell.

    Names of clusters and ids of jobs are completed, too. It takes effect in the next shell that is started.

    Exit codes: 0 success; 1 the shell is unknown, or its files cannot be written.
    """
    action = "--show-completion" if show else "--install-completion"
    helper = typer.Typer(rich_markup_mode=None)
    helper.command()(lambda: None)
    try:
        typer.main.get_command(helper).main([action], prog_name="milvus-import-monitor")
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}; --show prints the script instead", code=1)
