"""The config of a command: its file, and the options that override it."""

import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Final

from pydantic import SecretStr

from monitor.cli.discovered import polled_clusters
from monitor.cli.options import fail, option, print_warning, source_of
from monitor.config import Address, Cluster, Config, ConfigError, load, parse_duration, parse_listen, parse_state_url
from monitor.config import LogFormat as Format
from monitor.config import LogLevel as Level
from monitor.log import configure
from monitor.redaction import Redactor

DEFAULT_FILES: Final = (Path("milvus-import-monitor.yml"), Path("/etc/milvus-import-monitor/config.yml"))
"""Config files that are used without ``--config``: the first one that exists."""

_CLUSTERS_NAMED: Final = 10
"""Clusters that a message names at most."""

address_option: Final = partial(option, "--listen", metavar="HOST:PORT", parser=parse_listen)
duration_option: Final = partial(option, metavar="DURATION", parser=parse_duration)
_store_option: Final = partial(
    option,
    description="URL of the store; overrides the config.",
    metavar="URL",
    variable="state",
    parser=parse_state_url,
)

Listen = Annotated[Address | None, address_option("Address to listen on; overrides the config.")]
LogFormat = Annotated[
    Format | None, option("--log-format", "auto, json, logfmt or console; overrides the config.", "FORMAT")
]
LogLevel = Annotated[
    Level | None, option("--log-level", "debug, info, warning or error; overrides the config.", "LEVEL")
]
State = Annotated[str | None, _store_option("--state")]
Store = Annotated[str | None, _store_option("--store")]
For = Annotated[float | None, duration_option("--for", "Stop after this time, such as 30s.")]


def config_path(path: Path | None) -> Path:
    """Return the given config file or else the first default one, or exit with 2 if there is none."""
    path = path or default_file()
    if path is None:
        fail(f"no config file: give --config FILE, or create {' or '.join(map(str, DEFAULT_FILES))}")
    return path


def default_file() -> Path | None:
    """Return the first default config file that exists."""
    return next((file for file in DEFAULT_FILES if _may_exist(file)), None)


def _may_exist(file: Path) -> bool:
    """Return whether there is a file, or a folder that may have it and cannot be searched."""
    try:
        return stat.S_ISREG(file.stat().st_mode)
    except OSError as error:
        return isinstance(error, PermissionError)


def load_config(path: Path | None, *, warn: bool = True) -> Config:
    """Return the config of a file, or exit with 2 and what is wrong with it; `warn` of what is doubtful in it.

    From then on only errors are logged, with its secrets masked: what polls report is printed by the commands.
    """
    path = config_path(path)
    try:
        config = load(path, os.environ)
    except ConfigError as error:
        source = source_of("--config", path)
        from_environment = source != "--config" and not (os.access(path, os.R_OK) and path.is_file())
        fail(f"{source}: {error}" if from_environment else str(error))
    configure(config.log.format, "error", Redactor(config.secrets()))
    for warning in config.warnings() if warn else ():
        print_warning(warning)
    return config


def override(
    config: Config, listen: Address | None, log_format: str | None, log_level: str | None, state: str | None = None
) -> Config:
    """Return a config with the values of options in place of its own."""
    log = {"format": log_format or config.log.format, "level": log_level or config.log.level}
    state_changes = {} if state is None else {"url": SecretStr(state), "url_file": None}
    changes = {
        "listen": listen or config.listen,
        "log": config.log.model_copy(update=log),
        "state": config.state.model_copy(update=state_changes),
    }
    return config.model_copy(update=changes)


def select_clusters(config: Config, name: str | None, store_url: str | None = None) -> tuple[Cluster, ...]:
    """Return the clusters that ``--cluster`` selects, all of them without it; exit with 2 if there is none.

    Clusters that a discovery finds are included; where one has to be asked and fails, the command exits with 1.
    """
    clusters = tuple(cluster for cluster in config.clusters if name == cluster.name)
    if not clusters:
        candidates = polled_clusters(config, store_url)
        clusters = tuple(cluster for cluster in candidates if name in (None, cluster.name))
        if not clusters and name is None:
            fail(f"{config.path}: the discoveries have found no cluster", code=1)
        if not clusters:
            fail(f"{source_of('--cluster', name)}: {unknown_cluster(config.path, candidates, name)}")
    return clusters


def unknown_cluster(path: Path | None, clusters: Sequence[Cluster], name: str | None) -> str:
    """Return the sentence that a config has no cluster of a name, with the names that it has."""
    names = ", ".join(cluster.name for cluster in clusters[:_CLUSTERS_NAMED])
    return f"{path} has no cluster {name!r}; it has {names or 'none'}"
