"""``healthcheck``: for the health check of a container."""

from typing import Annotated

import requests
import typer

from monitor.cli.options import fail, option
from monitor.cli.reaching import HERE, TIMEOUT, CaFile, Insecure, PasswordFile, Username, reaching


def healthcheck(
    url: Annotated[str, option("--url", "Where the monitor is.", "URL")] = HERE,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    insecure: Insecure = False,
) -> None:
    """Exit with 0 when the monitor is ready.

    That is when it has polled every cluster at least once, with success or without.
    """
    try:
        with reaching(url, username, password_file, ca_file, insecure=insecure) as session:
            response = session.get(url.rstrip("/") + "/-/ready", timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        fail(f"{url}: no answer ({type(error).__name__})", code=1)
    if not response.ok or response.is_redirect:
        fail(f"{url}: {response.text.strip()[:200] or response.reason} (HTTP {response.status_code})", code=1)
    typer.echo("ready")
