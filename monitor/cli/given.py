"""The config that a command goes by: the file, and what the command line or the environment says instead."""

import os
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from monitor.cli.options import fail, given_as, one_of, wrong
from monitor.config import Address, Cluster, Config, ConfigError, load, parse_duration, parse_listen, parse_state_url

_NAMED: Final = 10


def loaded(path: Path) -> Config:
    """Return the config of a file, or say what is wrong with it and exit with 2."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where the folder cannot be searched
            where = given_as("--config", path)
            fail(str(error) if where == "--config" else f"{where}: {error}")
        fail(str(error))


def overridden(
    config: Config, listen: str | None, log_format: str | None, log_level: str | None, state: str | None = None
) -> Config:
    """Return a config with what the command line or the environment says instead."""
    updates: dict[str, dict[str, object]] = {"state": {}, "log": {}}
    if state is not None:
        updates["state"]["url"] = state_url("--state", state)
    if log_format is not None:
        updates["log"]["format"] = one_of("--log-format", log_format, ("auto", "json", "console"))
    if log_level is not None:
        updates["log"]["level"] = one_of("--log-level", log_level, ("debug", "info", "warning", "error"))
    sections = {name: getattr(config, name).model_copy(update=update) for name, update in updates.items()}
    if listen is not None:
        sections["listen"] = address(listen)
    return config.model_copy(update=sections)


def state_url(option: str, value: str) -> SecretStr:
    """Return where the state is kept, or say what such a place looks like and exit with 2."""
    try:
        return SecretStr(parse_state_url(value))
    except ValueError as error:
        wrong(option, value, str(error), variable="MILVUS_IMPORT_MONITOR_STATE")


def address(listen: str, variable: str = "") -> Address:
    """Return host and port of ``HOST:PORT``, where an IPv6 address stands in brackets and no host means every one."""
    try:
        return parse_listen(listen)
    except ValueError:
        expected = "expected HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:19595 or [::1]:19595"
        wrong("--listen", listen, f"{expected}, not {listen!r}", variable=variable)


def seconds(option: str, value: str | None) -> float | None:
    """Return a duration in seconds, or say what one looks like and exit with 2."""
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        wrong(option, value, str(error))


def chosen(config: Config, path: Path, name: str | None) -> tuple[Cluster, ...]:
    """Return the clusters that ``--cluster`` chooses, all of them without it; exit with 2 where there is none."""
    clusters = tuple(one for one in config.clusters if name in (None, one.name))
    if not clusters:
        wrong("--cluster", name, lacks(config, path, name))
    return clusters


def lacks(config: Config, path: Path, name: str | None) -> str:
    """Return in words that a config has no cluster of a name, and which ones it has."""
    return f"{path} has no cluster {name!r}; it has {', '.join(one.name for one in config.clusters[:_NAMED])}"
