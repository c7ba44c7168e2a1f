"""``demo``: the monitor on simulated clusters."""

from contextlib import closing
from pathlib import Path
from typing import Final

import typer

from monitor.cli.config_options import For, Listen, LogFormat, LogLevel, override
from monitor.cli.run import run_daemon
from monitor.cli.simulate import Clusters, Seed
from monitor.config import parse
from monitor.simulator import SimulatorServer, World, snippet

_CONFIG: Final = """\
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
    """Monitor simulated clusters; nothing to configure.

    Everything is embedded. Jobs run, stall, fail and vanish.

    Exit codes: 0 after SIGINT, SIGTERM or the time of --for; 1 it cannot start, or crashed; 2 invalid input.
    """
    with closing(SimulatorServer(World(clusters, seed=seed))) as server:
        text = _CONFIG.format(
            clusters="".join(snippet(cluster, server.url) for cluster in server.world.clusters.values())
        )
        config = override(parse(text, source="demo", directory=Path(), environ={}), listen, log_format, log_level)

        def print_url(url: str) -> None:
            typer.echo(f"{clusters} simulated clusters at {url}/ and {url}/metrics; stop with Ctrl-C", err=True)

        run_daemon(config, background_tasks=[server.serve], stop_after=stop_after, on_ready=print_url)
