"""``watch``: the jobs as they go, in the terminal."""

import signal
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.live import Live

from monitor.cli.bars import changes, screen
from monitor.cli.board import Board, Snapshot
from monitor.cli.options import ClusterName, fail, given_as, is_from_variable, option
from monitor.cli.printing import iso
from monitor.cli.reaching import CaFile, Insecure, PasswordFile, Username, reaching
from monitor.cli.remote import remote

_FRAME: Final = 0.1
"""Seconds from one picture to the next, at least."""

_TICK: Final = 0.5
"""Seconds after which the picture is drawn anew though nothing has changed: time runs, windows change their size."""


_REST: Final = 4.0
"""Times as long as drawing took nothing is drawn, so that it takes a fifth of a core at most."""

_LONGEST_REST: Final = 5.0
"""Seconds from one picture to the next, at most."""

_LONG: Final = 3600.0


def watch(
    context: typer.Context,
    config: Annotated[
        Path | None,
        option(
            "--config", "The config file: its clusters are polled by this command.", "FILE", short="-c", readable=False
        ),
    ] = None,
    url: Annotated[
        str | None, option("--url", "A running monitor, such as http://127.0.0.1:19595, instead of a config.", "URL")
    ] = None,
    cluster: ClusterName = None,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    insecure: Insecure = False,
) -> None:
    """Show jobs as they go, with progress bars.

    Either the clusters of a config are polled, or a running monitor is asked. What is in trouble comes first. Ctrl-C
    ends it. In a pipe each change of a state is a line.
    """
    board = Board()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the terminal is left as it was
    try:
        with ExitStack() as stack:
            if _is_remote(context, config, url):
                session = reaching(str(url), username, password_file, ca_file, insecure=insecure)
                stack.enter_context(remote(stack.enter_context(session), str(url), board, cluster))
            elif config is not None:
                stack.enter_context(_polling(config, cluster, board))
            _show(board)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_remote(context: typer.Context, config: Path | None, url: str | None) -> bool:
    """Say whether a running monitor is asked; what stands on the command line counts more than the environment."""
    if config is None and url is None:
        fail("give --config FILE, to poll its clusters, or --url URL, to ask a running monitor")
    if config is None or url is None:
        return url is not None
    from_variables = {name: is_from_variable(context, name) for name in ("config", "url")}
    if from_variables["config"] is from_variables["url"]:
        given = f"{given_as('--config', config)} and {given_as('--url', url)}"
        fail(f"{given} exclude each other: poll the clusters, or ask a running monitor")
    return from_variables["config"]


def _polling(config: Path, cluster: str | None, board: Board) -> AbstractContextManager[None]:
    from monitor.cli.given import chosen, loaded  # noqa: PLC0415 - who asks a running monitor needs none of it
    from monitor.cli.polled import polled  # noqa: PLC0415

    found = loaded(config)
    return polled(found, chosen(found, config, cluster), board)


def _show(board: Board) -> None:
    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        _tell_changes(board)
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        seen = 0
        while True:
            begun = time.thread_time()
            picture = screen(board.snapshot(), console.width, console.height, board.clock())
            live.update(picture, refresh=True)
            _breathe(begun)
            seen = board.wait(_TICK, seen)


def _tell_changes(board: Board) -> None:
    before, seen = Snapshot(), 0
    while True:
        begun = time.thread_time()
        after = board.snapshot()
        for line in changes(before, after):
            typer.echo(f"{iso(board.clock())} {line}")
        before = after
        _breathe(begun)
        seen = board.wait(_LONG, seen)


def _breathe(begun: float) -> None:
    """Wait for a frame, or longer where there is so much to show that it takes a while.

    What counts is the work, not the time for which a terminal that nobody reads from holds up who writes to it.
    """
    time.sleep(min(max(_FRAME, _REST * (time.thread_time() - begun)), _LONGEST_REST))
