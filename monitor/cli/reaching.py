"""How a command reaches a running monitor: its URL, who asks, and whom to trust."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

import requests
import urllib3

from monitor.causes import in_words, root
from monitor.cli.options import option, wrong

if TYPE_CHECKING:
    from monitor.redaction import SecretMask

TIMEOUT: Final = 5.0
"""Seconds to wait for a connection, and for an answer to begin."""

_SAID: Final = 300
"""Characters of what a monitor says that are shown."""

HERE: Final = "http://127.0.0.1:19595"

Username = Annotated[str | None, option("--username", "A user of its web config.", "NAME")]
PasswordFile = Annotated[Path | None, option("--password-file", "The file with the user's password.", "FILE")]
CaFile = Annotated[
    Path | None, option("--ca-file", "PEM file with the certificates to trust instead of the usual ones.", "FILE")
]
Insecure = Annotated[bool, option("--insecure", "Skip TLS certificate verification (insecure).")]


@contextmanager
def reaching(
    url: str, username: str | None, password_file: Path | None, ca_file: Path | None, *, insecure: bool
) -> Iterator[requests.Session]:
    """Give a session for a running monitor; what is wrong with the options is said, and ends the program with 2."""
    if "@" in url:
        wrong("--url", url, "must not contain credentials (@); use --username and --password-file")
    if not _is_url(url):
        wrong("--url", url, f"expected http://HOST:PORT, not {url!r}")
    if ca_file is not None and not os.path.isfile(ca_file):  # noqa: PTH113 - Path.is_file raises in a folder that cannot be searched
        wrong("--ca-file", ca_file, f"{ca_file} is not a file")
    if insecure and ca_file is not None:
        wrong("--ca-file", ca_file, "is of no use beside --insecure; keep one of them")
    credential = _credential(username, password_file)
    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    with requests.Session() as session:
        session.trust_env = False  # the monitor is beside us: no proxy lies between
        session.verify = not insecure if insecure or ca_file is None else str(ca_file)
        session.auth = credential
        yield session


def no_answer(url: str, error: requests.RequestException) -> str:
    """Return why nobody answered at a URL, and what to do about it."""
    cause = root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"{in_words(cause)}; --ca-file names the certificate to trust, --insecure takes any"
    elif isinstance(cause, ssl.SSLError):
        why = in_words(cause)
    elif isinstance(cause, HTTPException):
        # Also where it hangs up, as a port with TLS does; what it wrote stays unsaid.
        why = "what is there does not speak HTTP" + (": is it https://?" if urlsplit(url).scheme == "http" else "")
    else:
        late = isinstance(cause, TimeoutError) or isinstance(error, requests.Timeout)
        why = f"{'nothing came in time' if late else in_words(cause)}; --url says where the monitor is"
    return f"{url}: no answer: {why}"


def refused(session: requests.Session, url: str, status: int, says: str) -> str:
    """Return that a monitor refused, with what it says and what to do about it; without the password."""
    what = " ".join(masking_of(session).text(says).split())[:_SAID]
    if status == requests.codes.unauthorized:
        given = session.auth is not None
        what += "; those given are not right" if given else "; give --username and --password-file"
    return f"{url}: {what} (HTTP {status})"


def masking_of(session: requests.Session) -> "SecretMask":
    """Return what keeps the password out of what an answer makes us say, alone and beside its user."""
    from monitor.redaction import SecretMask  # noqa: PLC0415 - a health check that goes well starts without it

    if not isinstance(session.auth, tuple):
        return SecretMask()
    username, password = (part.encode("latin-1").decode("utf-8", "replace") for part in session.auth)
    return SecretMask([password, f"{username}:{password}"])


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _credential(username: str | None, password_file: Path | None) -> tuple[str, str] | None:
    """Return the credential; in UTF-8, though requests would write it in Latin-1."""
    if username is None and password_file is None:
        return None
    if password_file is None:
        wrong("--username", username, "needs --password-file beside it")
    if username is None:
        wrong("--password-file", password_file, "needs --username beside it")
    try:
        password = password_file.read_bytes().strip()
    except OSError as error:
        wrong("--password-file", password_file, f"{password_file}: {error.strerror}")
    return username.encode().decode("latin-1"), password.decode("latin-1")
