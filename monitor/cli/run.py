"""``run``: the daemon."""

import asyncio
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from monitor.cli.config_options import Listen, LogFormat, LogLevel, State, config_path, load_config, override
from monitor.cli.options import ConfigFile, exit_process, fail
from monitor.config import Config, load
from monitor.daemon import Daemon
from monitor.log import configure
from monitor.log_writer import LogWriter
from monitor.redaction import Redactor
from monitor.serving import serve
from monitor.store import NewerSchemaError, StoreError
from monitor.web import AddressError

_GC_THRESHOLD: Final = 50_000
"""New objects after which the garbage collector searches them for cycles, of which the monitor makes next to none.
With Python's 700 it took a sixth of the time of the polls of 1,500 clusters."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.cli")


def run(
    config: ConfigFile = None,
    listen: Listen = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
    state: State = None,
) -> None:
    """Monitor the clusters of a config file.

    Runs until SIGINT or SIGTERM; SIGHUP reloads the config file.

    Exit codes: 0 after SIGINT or SIGTERM; 1 it cannot start, or crashed; 2 invalid input, or the store is unusable.
    """

    def overridden(loaded: Config) -> Config:
        return override(loaded, listen, log_format, log_level, state)

    path = config_path(config)
    run_daemon(overridden(load_config(path, warn=False)), lambda: overridden(load(path, os.environ)))


def run_daemon(
    config: Config,
    reload: Callable[[], Config] | None = None,
    *,
    background_tasks: Iterable[Callable[[], Awaitable[None]]] = (),
    stop_after: float | None = None,
    on_ready: Callable[[str], None] = lambda _url: None,
) -> None:
    """Run the daemon until it stops, see `monitor.serving.serve`.

    Exit with 2 where the store of the config cannot be used, with 1 where it cannot start otherwise, or crashes.
    """
    redactor = Redactor(config.secrets())
    log_writer = LogWriter(sys.stderr)
    configure(config.log.format, config.log.level, redactor, log_writer)
    try:
        daemon = Daemon(config, reload, redactor, log_writer)
        # Garbage collection stops every thread for 27 ms while it goes through the 66,000 objects of the libraries.
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        gc.enable()
        running = serve(daemon, background_tasks=background_tasks, stop_after=stop_after, on_ready=on_ready)
        hanging = asyncio.run(running)
    except (AddressError, NewerSchemaError) as error:  # the latter is a StoreError, too
        fail(str(error), code=1)
    except StoreError as error:
        fail(str(error))
    except Exception:  # noqa: BLE001 - Python's own traceback would not mask the secrets that may be in it
        _log.exception("monitor_crashed")
        raise SystemExit(1) from None
    finally:
        log_writer.close()
    if hanging:
        exit_process()
