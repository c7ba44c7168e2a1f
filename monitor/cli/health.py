"""``healthcheck``: for the health check of a container."""

from typing import Annotated

import requests
import typer

from monitor.cli.options import fail, option
from monitor.cli.reaching import HERE, TIMEOUT, CaFile, Insecure, PasswordFile, Username, no_answer, reaching, refused


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
        fail(no_answer(url, error), code=1)
    if not response.ok or response.is_redirect:
        fail(refused(session, url, response.status_code, response.text.strip() or response.reason), code=1)
    typer.echo(good)
