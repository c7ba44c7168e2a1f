"""``healthcheck``: for the health check of a container."""

from typing import Annotated, Final

import requests
import typer

from monitor.cli.options import fail

_TIMEOUT: Final = 5.0


def healthcheck(
    url: Annotated[
        str, typer.Option(metavar="URL", envvar="MILVUS_IMPORT_MONITOR_URL", help="Where the monitor is.")
    ] = "http://127.0.0.1:19595",
) -> None:
    """Exit with 0 when the monitor is ready.

    That is when it has polled every cluster at least once, with success or without.
    """
    if not url.startswith(("http://", "https://")):
        fail(f"--url: expected http://HOST:PORT, not {url!r}")
    try:
        with requests.Session() as session:
            session.trust_env = False  # the monitor is beside us: no proxy lies between
            response = session.get(url.rstrip("/") + "/-/ready", timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        fail(f"{url}: no answer ({type(error).__name__})", code=1)
    if not response.ok or response.is_redirect:
        fail(f"{url}: {response.text.strip()[:200] or response.reason} (HTTP {response.status_code})", code=1)
    typer.echo("ready")
