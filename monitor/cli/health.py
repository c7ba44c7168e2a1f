"""``healthcheck``: for the health check of a container."""

from typing import Annotated

import requests
import typer

from monitor.cli.options import fail, option
from monitor.cli.reaching import HERE, TIMEOUT, CaFile, Insecure, PasswordFile, Username, masking_of, reaching


def healthcheck(
    url: Annotated[str, option("--url", "Where the monitor is.", "URL")] = HERE,
    username: Username = None,
    password_file: PasswordFile = None,
    ca_file: CaFile = None,
    insecure: Insecure = False,
    alive: Annotated[bool, option("--alive", "Ask whether it works, instead of whether it is ready.")] = False,
) -> None:
    """Exit with 0 when the monitor is ready.

    That is when it has polled every cluster at least once, with success or without.
    """
    path, good = ("/-/healthy", "healthy") if alive else ("/-/ready", "ready")
    try:
        with reaching(url, username, password_file, ca_file, insecure=insecure) as session:
            response = session.get(url.rstrip("/") + path, timeout=TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        fail(f"{url}: no answer ({type(error).__name__})", code=1)
    if not response.ok or response.is_redirect:
        masking = masking_of(session)
        says = masking.text(response.text.strip())[:200] or masking.text(response.reason)
        fail(f"{url}: {says} (HTTP {response.status_code})", code=1)
    typer.echo(good)
