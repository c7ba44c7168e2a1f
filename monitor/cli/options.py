"""The options that several commands have, each also an environment variable, and how a command says what is wrong."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer

BAD_INPUT: Final = 2
"""Exit code for bad input: a wrong config file, a wrong option."""


def option(
    name: str, means: str, metavar: str | None = None, *, short: str = "", variable: str = "", **more: Any
) -> Any:
    """Return an option for a command's signature.

    Args:
        name: Its name, with two dashes.
        means: Its help.
        metavar: What stands for its value in the help.
        short: Its name with one dash, if it has one.
        variable: Its environment variable, where that is not the one of its name.
        **more: What else typer is to know.
    """
    names = (name, short) if short else (name,)
    return typer.Option(*names, metavar=metavar, envvar=variable or variable_of(name), help=means, **more)


def variable_of(name: str) -> str:
    """Return the environment variable of an option."""
    return "MILVUS_IMPORT_MONITOR_" + name.removeprefix("--").replace("-", "_").upper()


_JOB_STATE: Final = variable_of("--job-state")
"""Not ``…_STATE``: that says where the state is kept, and the container image sets it."""

_INSTEAD: Final = "instead of what is configured."
_SEVERAL: Final = "can be given several times."

ConfigFile = Annotated[Path, option("--config", "The config file.", "FILE", short="-c", readable=False)]
Listen = Annotated[str | None, option("--listen", f"Where to listen, {_INSTEAD}", "HOST:PORT")]
LogFormat = Annotated[
    str | None,
    option("--log-format", f"{_INSTEAD.capitalize()[:-1]}; auto is console on a terminal.", "auto|json|console"),
]
LogLevel = Annotated[str | None, option("--log-level", _INSTEAD.capitalize(), "debug|info|warning|error")]
State = Annotated[str | None, option("--state", f"Where the state is kept, {_INSTEAD}", "URL")]
Store = Annotated[
    str | None, option("--store", f"Where the state is kept, {_INSTEAD}", "URL", variable=variable_of("--state"))
]
For = Annotated[str | None, option("--for", "End by itself after this time, such as 30s.", "DURATION")]
Clusters = Annotated[int, option("--clusters", "How many clusters are simulated.", min=1, max=10_000)]
Seed = Annotated[int, option("--seed", "The same seed gives the same jobs.")]
ClusterName = Annotated[str | None, option("--cluster", "Only this cluster.", "NAME")]
JobStates = Annotated[
    list[str] | None, option("--state", f"Only jobs in this state; {_SEVERAL}", "STATE", variable=_JOB_STATE)
]
FailOn = Annotated[
    list[str] | None, option("--fail-on", f"Exit with 1 when a job is in this state; {_SEVERAL}", "STATE")
]
Output = Annotated[str, option("--output", "How to print them.", "table|json|csv", short="-o")]


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Say what is wrong on standard error and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def wrong(name: str, value: object, message: str, *, variable: str = "") -> NoReturn:
    """Say what is wrong with the value of an option, by the name under which it came, and exit with 2.

    Args:
        name: The option.
        value: What it was given.
        message: What is wrong.
        variable: Its environment variable, where that is not the one of its name.
    """
    fail(f"{given_as(name, value, variable=variable)}: {message}")


def given_as(name: str, value: object, *, variable: str = "") -> str:
    """Return the name under which the value of an option came: the option's, or that of its environment variable.

    Args:
        name: The option.
        value: What it was given.
        variable: Its environment variable, where that is not the one of its name.
    """
    variable = variable or variable_of(name)
    came_from_there = str(value) in (os.environ.get(variable), *os.environ.get(variable, "").split())
    return variable if came_from_there else name


def is_from_variable(context: typer.Context, parameter: str) -> bool:
    """Say whether the value of a parameter came from its environment variable."""
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == "ENVIRONMENT"


_Choice = TypeVar("_Choice", bound=str)


def one_of(name: str, value: str, choices: Iterable[_Choice], *, variable: str = "") -> _Choice:
    """Return the choice that a value names, or say which there are and exit with 2."""
    known = list(choices)
    for choice in known:
        if choice == value:
            return choice
    wrong(name, value, f"expected one of {', '.join(known)}, not {value!r}", variable=variable)


def some_of(
    name: str, values: list[str] | None, choices: Iterable[_Choice], *, variable: str = ""
) -> frozenset[_Choice]:
    """Return the choices that some values name; none where there are no values."""
    known = list(choices)
    return frozenset(one_of(name, value, known, variable=variable) for value in values or ())


def states_of(values: list[str] | None, choices: Iterable[_Choice]) -> frozenset[_Choice]:
    """Return the states that ``--state`` names, for the commands in which it chooses jobs."""
    return some_of("--state", values, choices, variable=_JOB_STATE)
