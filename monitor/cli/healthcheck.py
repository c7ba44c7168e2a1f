"""``healthcheck``: for the health check of a container."""

from typing import Annotated

import typer

from monitor.cli import monitor_client as http
from monitor.cli.options import fail, option


def healthcheck(
    url: Annotated[str, http.url_option("URL of the monitor.")] = http.DEFAULT_URL,
    username: http.Username = None,
    password_file: http.PasswordFile = None,
    ca_file: http.CaFile = None,
    insecure: http.Insecure = False,
    alive: Annotated[bool, option("--alive", "Check that it works, not that it is ready.")] = False,
) -> None:
    """Exit with 0 if a monitor is ready.

    It is ready once it has tried to poll every cluster.

    Exit codes: 0 ready, or working with --alive; 1 not; 2 invalid input.
    """
    path, status = ("/-/healthy", "healthy") if alive else ("/-/ready", "ready")
    try:
        with http.monitor_client(url, username, password_file, ca_file, insecure=insecure) as client:
            client.get(path)
    except http.MonitorError as error:
        fail(str(error), code=1)
    typer.echo(status)
