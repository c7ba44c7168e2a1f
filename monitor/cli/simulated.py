"""``demo`` and ``simulate``: the monitor on simulated clusters, and the simulated clusters alone."""

import asyncio
import signal
from contextlib import closing
from pathlib import Path
from typing import Annotated, Final

import typer

from monitor.cli.given import address, overridden, seconds
from monitor.cli.options import Clusters, For, Listen, LogFormat, LogLevel, Seed, fail, option
from monitor.cli.run import run_daemon
from monitor.config import parse
from monitor.simulator import SimulatorServer, World, snippet

_LISTEN_VARIABLE: Final = "MILVUS_IMPORT_MONITOR_SIMULATE_LISTEN"
"""Not that of the monitor, which would take the port from the simulator beside it."""

_DEMO: Final = """\
state: {{url: "memory://"}}
poll: {{interval: 1s, timeout: 5s, concurrency: 16, requests_per_second: 200}}
jobs: {{stall_after: 15s, pending_after: 40s, uncommitted_after: 30s, failed_retention: 10m}}
clusters:
{clusters}"""


def demo(
    clusters: Clusters = 5,
    listen: Listen = None,
    seed: Seed = 0,
    stop_after: For = None,
    log_format: LogFormat = None,
    log_level: LogLevel = None,
) -> None:
    """Watch simulated clusters: nothing to configure.

    Everything is embedded. Jobs run, stall, fail and vanish.
    """
    with closing(SimulatorServer(World(clusters, seed=seed))) as server:
        text = _DEMO.format(clusters="".join(_snippets(server)))
        config = overridden(parse(text, source="demo", directory=Path(), environ={}), listen, log_format, log_level)

        def announce(url: str) -> None:
            typer.echo(f"{clusters} simulated clusters; look at {url}/metrics or {url}/ . Ctrl-C ends it.", err=True)

        run_daemon(config, beside=[server.serve], stop_after=seconds("--for", stop_after), announce=announce)


def _snippets(server: SimulatorServer) -> list[str]:
    return [snippet(cluster, server.url) for cluster in server.world.clusters.values()]


def simulate(
    clusters: Clusters = 5,
    listen: Annotated[
        str, option("--listen", "Where to listen.", "HOST:PORT", variable=_LISTEN_VARIABLE)
    ] = "127.0.0.1:19596",
    seed: Seed = 0,
    stop_after: For = None,
) -> None:
    """Serve only the simulated import API.

    All generations of it, for rehearsing alerts and for other clients.
    """
    host, port = address(listen, _LISTEN_VARIABLE)
    asyncio.run(_simulate(World(clusters, seed=seed), host, port, seconds("--for", stop_after)))


async def _simulate(world: World, host: str, port: int, stop_after: float | None) -> None:
    try:
        server = SimulatorServer(world, host, port)
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror or error}; --listen says where", code=1)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    if stop_after is not None:
        loop.call_later(stop_after, server.stop)
    typer.echo(f"The simulated import API is at {server.url}; {server.url}/simulator shows how to script it.", err=True)
    typer.echo("clusters:\n" + "".join(_snippets(server)))
    await server.serve()
