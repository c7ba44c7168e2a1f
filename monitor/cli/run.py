"""``run``: the daemon."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from monitor.cli.given import loaded, overridden
from monitor.cli.memory import keep_little, loading
from monitor.cli.options import ConfigFile, Listen, LogFormat, LogLevel, State, fail
from monitor.config import Config, load
from monitor.daemon import Daemon, serve
from monitor.log import configure
from monitor.redaction import Redactor
from monitor.store import NewerSchemaError, StoreError
from monitor.web import AddressError

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.cli")


def run(
    config: ConfigFile,
    listen: Listen = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
    state: State = None,
) -> None:
    """Watch the clusters of a config file.

    Until SIGINT or SIGTERM; SIGHUP loads the file anew.
    """
    change = partial(overridden, listen=listen, log_format=log_format, log_level=log_level, state=state)
    run_daemon(change(loaded(config)), partial(_load_again, config, change))


def run_daemon(
    config: Config,
    load_again: Callable[[], Config] | None = None,
    *,
    beside: Iterable[Callable[[], Awaitable[None]]] = (),
    stop_after: float | None = None,
    announce: Callable[[str], None] = lambda _url: None,
) -> None:
    """Run the daemon on a config, to its end and to that of the process."""
    keep_little()
    redactor = Redactor()
    configure(config.log.format, config.log.level, redactor)
    try:
        with loading():
            daemon = Daemon(config, load_again, redactor)
        hanging = asyncio.run(serve(daemon, beside=beside, stop_after=stop_after, announce=announce))
    except (AddressError, StoreError, NewerSchemaError) as error:
        fail(str(error), code=1)
    except Exception:  # noqa: BLE001 - Python's own traceback would not mask the secrets that may be in it
        _log.exception("monitor_crashed")
        raise SystemExit(1) from None
    if hanging:
        # Their threads wait for servers that do not answer, and Python would wait for the threads.
        sys.stdout.flush()
        os._exit(0)


def _load_again(path: Path, change: Callable[[Config], Config]) -> Config:
    return change(load(path, os.environ))
