"""Options that are also environment variables, and errors for bad input."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from monitor.cli.complete import cluster_names

BAD_INPUT: Final = 2
"""Exit code for bad input: a bad config file, a bad option."""

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as that of a shell."""


def option(
    name: str, description: str, metavar: str | None = None, *, short: str = "", variable: str = "", **extra: Any
) -> Any:
    """Return an option for a command's signature; one without a value, a flag, has no `metavar`.

    Its environment variable follows from its name, unless `variable` gives another one. `extra` are further arguments
    of `typer.Option`.
    """
    names = (name, short) if short else (name,)
    variable = variable_of(variable or name)
    return typer.Option(*names, metavar=metavar, envvar=variable, show_envvar=False, help=description, **extra)


def variable_of(name: str) -> str:
    """Return the environment variable of an option."""
    return "MILVUS_IMPORT_MONITOR_" + name.removeprefix("--").replace("-", "_").upper()


ConfigFile = Annotated[Path | None, option("--config", "Config file.", "FILE", short="-c", readable=False)]
ClusterName = Annotated[str | None, option("--cluster", "Only this cluster.", "NAME", autocompletion=cluster_names)]


def print_error(message: str) -> None:
    """Print an error on standard error; each line of it is one."""
    for line in message.split("\n"):
        typer.echo(f"error: {line}", err=True)


def print_warning(message: str) -> None:
    """Print a warning on standard error."""
    typer.echo(f"warning: {message}", err=True)


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Print an error on standard error and exit."""
    print_error(message)
    raise typer.Exit(code)


def exit_process(code: int = 0) -> NoReturn:
    """Exit although threads wait for servers that do not respond; Python would wait for the threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def source_of(name: str, value: object) -> str:
    """Return where an option's value comes from: the name of the option or of its environment variable."""
    variable = variable_of(name)
    return variable if os.environ.get(variable) == str(value) else name


def is_from_environment(context: typer.Context, parameter: str) -> bool:
    """Return whether the value of a parameter comes from its environment variable."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "ENVIRONMENT"


@contextmanager
def usage_errors(commands: tuple[str, ...]) -> Iterator[None]:
    """Exit with 2 and one sentence when typer rejects the command line; typer itself would print the usage first."""
    try:
        yield
    except typer.TyperException as error:
        if error.exit_code != BAD_INPUT:
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "milvus-import-monitor"
        problem = _problem(error, commands).rstrip(".")
        fail(f"{problem}{' See' if problem.endswith('?') else '; see'} {path} --help")


def _problem(error: Any, commands: tuple[str, ...]) -> str:
    message, parameter = str(error.format_message()), getattr(error, "param", None)
    if parameter is not None and error.message:  # a value that is rejected
        name = parameter.envvar if is_from_environment(error.ctx, parameter.name) else parameter.opts[0]
        return f"{name}: {error.message.removeprefix('Value error, ').removeprefix('Input ')}"
    if message.startswith("No such command") and not message.endswith("?"):
        return f"{message.rstrip('.')}; the commands are {', '.join(commands)}"
    return message
