"""``simulate``: the simulated import API alone."""

import asyncio
import signal
from typing import Annotated, Any

import typer

from monitor.cli.config_options import For, address_option
from monitor.cli.options import fail, option
from monitor.simulator import SimulatorServer, World, snippet

Clusters = Annotated[int, option("--clusters", "Number of simulated clusters.", "N", min=1, max=10_000)]
Seed = Annotated[int, option("--seed", "Seed; the same one gives the same jobs.", "N")]
# Not the variable of the monitor, which may run in the same environment and needs a port of its own.
SimulatorListen = Annotated[Any, address_option("Address to listen on.", variable="simulate-listen")]


def simulate(
    clusters: Clusters = 5,
    listen: SimulatorListen = "127.0.0.1:19596",
    seed: Seed = 0,
    stop_after: For = None,
) -> None:
    """Serve only the simulated import API.

    All generations of the API, to rehearse alerts and to test other clients.

    Exit codes: 0 after SIGINT, SIGTERM or the time of --for; 1 it cannot listen; 2 invalid input.
    """
    try:
        server = SimulatorServer(World(clusters, seed=seed), listen.host, listen.port)
    except OSError as error:
        problem = error.strerror or error
        fail(f"cannot listen on {listen.host}:{listen.port}: {problem}; choose another --listen", code=1)
    typer.echo(f"simulated import API: {server.url} ({server.url}/simulator shows how to script it)", err=True)
    typer.echo("clusters:\n" + "".join(snippet(cluster, server.url) for cluster in server.world.clusters.values()))
    asyncio.run(_serve(server, stop_after))


async def _serve(server: SimulatorServer, stop_after: float | None) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    if stop_after is not None:
        loop.call_later(stop_after, server.stop)
    await server.serve()
