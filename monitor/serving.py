"""Serves a daemon until it is stopped: its pages, signals, and certificates that change in their files."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Final
from urllib.parse import urlsplit

import structlog

from monitor.config import load_web
from monitor.daemon import Daemon, log_warnings
from monitor.key_files import KEY_CHECK_INTERVAL
from monitor.web import AddressError, Server, bound_socket, create_app, is_loopback

RESERVED_FILES: Final = 128
"""Open files reserved for other than HTTP connections, besides two for each poll: its connection and the store's."""

_log: Final[structlog.stdlib.BoundLogger] = structlog.get_logger("monitor.daemon")


async def serve(
    daemon: Daemon,
    *,
    background_tasks: Iterable[Callable[[], Awaitable[None]]] = (),
    stop_after: float | None = None,
    on_ready: Callable[[str], None] = lambda _url: None,
) -> int:
    """Run a daemon until SIGINT or SIGTERM, or for `stop_after` seconds; SIGHUP reloads its config.

    Meanwhile `background_tasks` run in the same event loop. `on_ready` is called with the URL once it is served.

    Returns:
        How many threads still hang on a server that does not respond.

    Raises:
        AddressError: The address cannot be listened on.
    """
    config = daemon.config
    sock = bound_socket(config.listen.host, config.listen.port)
    app = create_app(daemon)
    server = daemon.server = Server(
        app,
        config.web,
        end_streams=app.state.streams.end,
        reserved_files=RESERVED_FILES + 2 * config.poll.concurrency,
        host_names=lambda: (config.listen.host, urlsplit(daemon.external_url).hostname or ""),
    )
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[str | None]] = set()

    def reload() -> None:
        task = loop.create_task(daemon.reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that came during the start reloads now
    if stop_after is not None:
        loop.call_later(stop_after, server.stop)
    tasks = [asyncio.ensure_future(run()) for run in (*background_tasks, daemon.watch_clock)]
    tasks.append(loop.create_task(_watch_certificates(server, daemon.reloader)))
    host, port = sock.getsockname()[:2]
    scheme = "http" if config.web.context is None else "https"
    url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    daemon.start()
    _log.info("monitor_started", version=version("milvus-import-monitor"), listen=url, clusters=len(daemon.fleet.names))
    if not (config.web.has_auth() or is_loopback(host)):
        _log.warning("listening_without_auth", listen=url)
    log_warnings(config)
    on_ready(url)
    try:
        await server.serve(sockets=[sock])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        hanging = daemon.stop()
        if daemon.store.is_busy:
            message = "the disk of the store does not answer: the system keeps the process until it does"
            _log.warning("monitor_stopped", hanging_polls=hanging, message=message)
        else:
            _log.info("monitor_stopped", hanging_polls=hanging)
    busy: int = sum(pool.pending for pool in app.state.pools)
    return hanging + busy


async def _watch_certificates(server: Server, executor: ThreadPoolExecutor) -> None:
    """Use certificates and keys of the pages that have changed in their files; settings wait for a reload."""
    problem = None
    while True:
        await asyncio.sleep(KEY_CHECK_INTERVAL)
        current, previous_problem, problem = server.web_config, problem, None
        if current.path is None or current.context is None:
            continue
        loop = asyncio.get_running_loop()
        try:
            web = await loop.run_in_executor(executor, load_web, current.path, os.environ)
            if web.settings == current.settings and web.fingerprint != current.fingerprint:
                await server.apply_web_config(web)
                _log.info("certificates_reloaded", file=str(current.path))
        except (ValueError, AddressError) as error:
            problem = str(error)
            if problem != previous_problem:
                _log.warning("certificates_unreadable", file=str(current.path), message=problem)
        except Exception:  # noqa: BLE001 - a fault of ours must not end these checks: it is logged, the old ones stay
            _log.exception("keys_not_reloaded")
