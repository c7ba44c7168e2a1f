"""Options that several commands have, and how they are read. Each can come from the environment."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, NoReturn, TypeVar

import typer
from pydantic import SecretStr

from monitor.config import Config, ConfigError, load, parse_duration, parse_state_url

BAD_INPUT: Final = 2
"""Exit code for bad input: a wrong config file, a wrong option."""

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config", "-c", metavar="FILE", envvar="MILVUS_IMPORT_MONITOR_CONFIG", readable=False, help="The config file."
    ),
]
Listen = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="MILVUS_IMPORT_MONITOR_LISTEN",
        help="Where to listen, instead of what is configured.",
    ),
]
LogFormat = Annotated[
    str | None,
    typer.Option(
        metavar="auto|json|console",
        envvar="MILVUS_IMPORT_MONITOR_LOG_FORMAT",
        help="Instead of what is configured; auto is console on a terminal.",
    ),
]
LogLevel = Annotated[
    str | None,
    typer.Option(
        metavar="debug|info|warning|error",
        envvar="MILVUS_IMPORT_MONITOR_LOG_LEVEL",
        help="Instead of what is configured.",
    ),
]
State = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="MILVUS_IMPORT_MONITOR_STATE",
        help="Where the state is kept, instead of what is configured.",
    ),
]
For = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="DURATION",
        envvar="MILVUS_IMPORT_MONITOR_FOR",
        help="End by itself after this time, such as 30s.",
    ),
]
Clusters = Annotated[
    int,
    typer.Option(min=1, max=10_000, envvar="MILVUS_IMPORT_MONITOR_CLUSTERS", help="How many clusters are simulated."),
]
Seed = Annotated[int, typer.Option(envvar="MILVUS_IMPORT_MONITOR_SEED", help="The same seed gives the same jobs.")]

_PORTS: Final = range(2**16)


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Say what is wrong on standard error and exit."""
    typer.echo(message, err=True)
    raise typer.Exit(code)


def loaded(path: Path) -> Config:
    """Return the config of a file, or say what is wrong with it and exit with 2."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        fail(str(error))


def overridden(
    config: Config, listen: str | None, log_format: str | None, log_level: str | None, state: str | None = None
) -> Config:
    """Return a config with what the command line or the environment says instead."""
    if state is not None:
        try:
            config = replace(config, state_url=SecretStr(parse_state_url(state)))
        except ValueError as error:
            fail(f"--state: {error}")
    if listen is not None:
        host, port = address(listen)
        config = replace(config, listen_host=host, listen_port=port)
    if log_format is not None:
        config = replace(config, log_format=_one_of("--log-format", log_format, ("auto", "json", "console")))
    if log_level is not None:
        config = replace(config, log_level=_one_of("--log-level", log_level, ("debug", "info", "warning", "error")))
    return config


def address(listen: str) -> tuple[str, int]:
    """Return host and port of ``HOST:PORT``, where an IPv6 address stands in brackets and no host means every one."""
    host, colon, port = listen.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) not in _PORTS:
        fail(f"--listen: expected HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:19595, not {listen!r}")
    return host.removeprefix("[").removesuffix("]") or "0.0.0.0", int(port)  # noqa: S104 - the user asked for it


def seconds(option: str, value: str | None) -> float | None:
    """Return a duration in seconds, or say what one looks like and exit with 2."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        fail(f"{option}: {error}")


_Choice = TypeVar("_Choice", bound=str)


def _one_of(option: str, value: str, choices: tuple[_Choice, ...]) -> _Choice:
    for choice in choices:
        if choice == value:
            return choice
    fail(f"{option}: expected one of {', '.join(choices)}, not {value!r}")
