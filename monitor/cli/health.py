"""``healthcheck``: for the health check of a container."""

from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import requests
import typer
import urllib3

from monitor.cli.options import fail
from monitor.config import Masking

_TIMEOUT: Final = 5.0


def healthcheck(
    url: Annotated[
        str, typer.Option(metavar="URL", envvar="MILVUS_IMPORT_MONITOR_URL", help="Where the monitor is.")
    ] = "http://127.0.0.1:19595",
    username: Annotated[
        str | None,
        typer.Option(metavar="NAME", envvar="MILVUS_IMPORT_MONITOR_USERNAME", help="A user of its web config."),
    ] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", envvar="MILVUS_IMPORT_MONITOR_PASSWORD_FILE", help="The file with the user's password."
        ),
    ] = None,
    ca_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="MILVUS_IMPORT_MONITOR_CA_FILE",
            help="PEM file with the certificates to trust instead of the usual ones.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", envvar="MILVUS_IMPORT_MONITOR_INSECURE", help="Take any certificate of it for good."
        ),
    ] = False,
    alive: Annotated[
        bool,
        typer.Option(
            "--alive",
            envvar="MILVUS_IMPORT_MONITOR_ALIVE",
            help="Ask whether it works, instead of whether it is ready.",
        ),
    ] = False,
) -> None:
    """Exit with 0 when the monitor is ready.

    That is when it has polled every cluster at least once, with success or without.
    """
    if "@" in url:
        fail("--url: must not contain credentials (@); use --username and --password-file")
    if not _is_url(url):
        fail(f"--url: expected http://HOST:PORT, not {url!r}")
    if ca_file is not None and not ca_file.is_file():
        fail(f"--ca-file: {ca_file} is not a file")
    path, good = ("/-/healthy", "healthy") if alive else ("/-/ready", "ready")
    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    credential = _credential(username, password_file)
    masking = Masking(_forms(credential))
    try:
        with requests.Session() as session:
            session.trust_env = False  # the monitor is beside us: no proxy lies between
            session.verify = not insecure if insecure or ca_file is None else str(ca_file)
            session.auth = credential
            response = session.get(url.rstrip("/") + path, timeout=_TIMEOUT, allow_redirects=False)
    except requests.RequestException as error:
        fail(f"{url}: no answer ({type(error).__name__})", code=1)
    if not response.ok or response.is_redirect:
        says = masking.text(response.text.strip())[:200] or masking.text(response.reason)
        fail(f"{url}: {says} (HTTP {response.status_code})", code=1)
    typer.echo(good)


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _forms(credential: tuple[str, str] | None) -> list[str]:
    """Return what an answer must not repeat to our output: the password, alone and beside its user."""
    if credential is None:
        return []
    username, password = (part.encode("latin-1").decode("utf-8", "replace") for part in credential)
    return [password, f"{username}:{password}"]


def _credential(username: str | None, password_file: Path | None) -> tuple[str, str] | None:
    """Return the credential; in UTF-8, though requests would write it in Latin-1."""
    if username is None and password_file is None:
        return None
    if username is None or password_file is None:
        fail("--username and --password-file go together")
    try:
        password = password_file.read_bytes().strip()
    except OSError as error:
        fail(f"--password-file: {password_file}: {error.strerror}")
    return username.encode().decode("latin-1"), password.decode("latin-1")
