"""``completion``: shell completion."""

from pathlib import Path
from typing import Annotated, Final

import typer

from monitor.cli.options import fail, option

_PROGRAM: Final = "milvus-import-monitor"

_ZSH_FILE: Final = f".zfunc/_{_PROGRAM}"
"""Where typer installs the completion of zsh, below the home directory."""

_ZSH_FIRST_TAB: Final = f"""
if [[ ${{funcstack[1]}} == _{_PROGRAM} ]]; then
  _milvus_import_monitor_completion
fi
"""
"""zsh runs the file at the first TAB, at which typer's script only defines the function for the following ones."""


def completion(show: Annotated[bool, option("--show", "Print the script instead of installing it.")] = False) -> None:
    """Install completion for the current shell.

    Names of clusters and ids of jobs are completed, too. It takes effect in the next shell that is started.

    Exit codes: 0 success; 1 the shell is unknown, or its files cannot be written.
    """
    try:
        _show_or_install("--show-completion" if show else "--install-completion")
    except OSError as error:
        fail(f"{error.filename} cannot be written: {error.strerror}; --show prints the script instead", code=1)


def _show_or_install(action: str) -> None:
    helper = typer.Typer(rich_markup_mode=None)
    helper.command()(lambda: None)
    try:
        typer.main.get_command(helper).main([action], prog_name=_PROGRAM)
    finally:  # typer ends with SystemExit
        if action == "--install-completion":
            _complete_at_first_tab(Path.home() / _ZSH_FILE)


def _complete_at_first_tab(zsh_file: Path) -> None:
    if zsh_file.exists() and _ZSH_FIRST_TAB not in (script := zsh_file.read_text(encoding="utf-8")):
        zsh_file.write_text(f"{script}\n{_ZSH_FIRST_TAB}", encoding="utf-8")
