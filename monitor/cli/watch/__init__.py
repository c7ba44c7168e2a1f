"""``watch``: live progress bars in the terminal."""

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from monitor.cli.monitor_client import CaFile, Insecure, PasswordFile, Username, monitor_client, url_option
from monitor.cli.options import ClusterName, ConfigFile, fail, is_from_environment, source_of
from monitor.cli.output import iso_time
from monitor.cli.watch.keys import QUIT, keyboard, scroll
from monitor.cli.watch.painter import Painter
from monitor.cli.watch.remote import RemoteSource
from monitor.cli.watch.render import changes, screen
from monitor.cli.watch.state import View

_INTERVAL: Final = 0.25
"""Seconds between two frames, at least."""

_HINT: Final = " · ↑ ↓ PgUp PgDn scroll, q quits"
_REST: Final = 4.0
"""Nothing is drawn for this many times as long as the last frame took: a fifth of a core at most."""


def watch(
    context: typer.Context,
    config: ConfigFile = None,
    url: Annotated[str | None, url_option("URL of a running monitor, instead of a config.")] = None,
    cluster: ClusterName = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    insecure: Insecure = False,
) -> None:
    """Show live progress bars of the jobs.

    Polls the clusters of a config, or follows a running monitor. Problems come first. Arrow keys, PgUp, PgDn, Home and
    End scroll; stop with q or Ctrl-C. In a pipe, each change of a state is one line.

    Exit codes: 0 after q, Ctrl-C or SIGTERM; 1 no monitor responds at --url; 2 invalid input.
    """
    previous_handler = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the terminal is restored
    try:
        with ExitStack() as stack:
            if url is not None and _is_remote(context, config, url):
                client = monitor_client(url, username, password_file, ca_file, insecure=insecure)
                _show(RemoteSource(stack.enter_context(client), cluster))
            else:
                # Imported here because a watch with --url needs neither.
                from monitor.cli.config_options import load_config, select_clusters  # noqa: PLC0415
                from monitor.cli.watch.local import local_source  # noqa: PLC0415

                loaded = load_config(config)
                _show(stack.enter_context(local_source(loaded, select_clusters(loaded, cluster))))
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, previous_handler)


def _is_remote(context: typer.Context, config: Path | None, url: str) -> bool:
    """Return whether the URL is used; an option on the command line takes precedence over the environment."""
    if config is None:
        return True
    config_from_environment, url_from_environment = (is_from_environment(context, name) for name in ("config", "url"))
    if config_from_environment is url_from_environment:
        sources = f"{source_of('--config', config)} and {source_of('--url', url)}"
        fail(f"{sources} cannot be combined: poll the clusters of a config, or follow a running monitor")
    return config_from_environment


def _show(source: Callable[[], View]) -> None:
    """Draw frames on a terminal; elsewhere print a line for each change."""
    console = Console()
    if console.is_terminal and not console.is_dumb_terminal:
        _draw(source, console)
        return
    previous = View()
    while True:
        view = source()
        for line in changes(previous, view):
            typer.echo(f"{iso_time(time.time())} {line}")
        previous = view
        time.sleep(_INTERVAL)


def _draw(source: Callable[[], View], console: Console) -> None:
    """Draw frames, and scroll, until a key or a signal ends it."""
    offset = 0
    with console.screen(), keyboard() as keys:
        painter = Painter(console)
        while True:
            view, started = source(), time.thread_time()
            hint = _HINT if keys.is_connected else ""
            frame = screen(view, console.width, console.height, time.time(), offset=offset, hint=hint)
            painter.paint(frame.lines)
            offset = frame.offset
            # CPU time counts, so that a terminal that blocks its writer does not.
            for key in keys.pressed(max(_INTERVAL, _REST * (time.thread_time() - started))):
                if key == QUIT:
                    return
                offset = scroll(offset, key, frame.page)
