"""HTTP client for a running monitor, for the commands with ``--url``."""

import os
import ssl
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import HTTPBasicAuth

from monitor.causes import in_words, root
from monitor.cli.options import fail, option, source_of

TIMEOUT: Final = 5.0
"""Seconds to wait for a connection, and for each part of a response."""

DEFAULT_URL: Final = "http://127.0.0.1:19595"

_MESSAGE_LIMIT: Final = 300
"""Characters of a response that an error shows."""


def _parse_url(url: str) -> str:
    if "@" in url:
        raise ValueError("must not contain credentials (@); use --username and --password-file")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError(f"expected http://HOST:PORT, not {url!r}")
    return url.rstrip("/")


def _parse_file(path: str) -> Path:
    """Return the path of a file; a pipe is left for the one who reads it."""
    file = Path(path)
    try:
        if stat.S_ISDIR(file.stat().st_mode):
            raise ValueError(f"{path!r} is a directory, not a file")
    except OSError as error:
        raise ValueError(f"file {path!r} {_file_problem(error)}") from None
    if not os.access(file, os.R_OK):
        raise ValueError(f"file {path!r} cannot be read: permission denied")
    return file


def _file_problem(error: OSError) -> str:
    missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    return "does not exist" if missing else f"cannot be read: {(error.strerror or 'unknown reason').lower()}"


url_option: Final = partial(option, "--url", metavar="URL", parser=_parse_url)
_file_option: Final = partial(option, metavar="FILE", parser=_parse_file)

Username = Annotated[str | None, option("--username", "User name for basic auth.", "NAME")]
PasswordFile = Annotated[Path | None, _file_option("--password-file", "File with the password.")]
CaFile = Annotated[Path | None, _file_option("--ca-file", "PEM file with the certificates to trust.")]
Insecure = Annotated[bool, option("--insecure", "Skip TLS certificate verification (insecure).")]


class MonitorError(Exception):
    """A monitor does not respond, or not as expected; the message says why and what to do."""


class MonitorClient:
    """Sends requests to the monitor at a URL; a ``MonitorError`` does not show `secrets`."""

    def __init__(self, url: str, session: requests.Session, secrets: tuple[str, ...] = ()) -> None:
        self.url = url
        self._session = session
        self._secrets = secrets

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> requests.Response:
        """Return the response with status 200 to a GET request; of the query, what is None is not sent."""
        try:
            response = self._session.get(self.url + path, params=query, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise MonitorError(f"{self.url}: no response: {self._reason(error)}") from None
        if response.status_code != requests.codes.ok:
            raise MonitorError(f"{self.url}: {self._refusal(response)} (HTTP {response.status_code})")
        return response

    def _reason(self, error: requests.RequestException) -> str:
        cause = root(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"{in_words(cause)}; give its certificate with --ca-file, or use --insecure"
        if isinstance(cause, ssl.SSLError):
            return in_words(cause)
        if isinstance(cause, HTTPException):  # also where it closes the connection, as a port with TLS does
            return "the response is not HTTP" + (": is it https://?" if self.url.startswith("http:") else "")
        timed_out = isinstance(cause, TimeoutError) or isinstance(error, requests.Timeout)
        return f"{'timed out' if timed_out else in_words(cause)}; set the monitor's address with --url"

    def _refusal(self, response: requests.Response) -> str:
        from monitor.redaction import SecretMask  # noqa: PLC0415 - a health check that succeeds starts without it

        try:
            body = response.json()
            text = f"{body['error']}; {body['hint']}" if body.get("hint") else str(body["error"])
        except (ValueError, KeyError, TypeError, AttributeError):
            text = response.text.strip() or response.reason
        text = " ".join(SecretMask(self._secrets).text(text).split())[:_MESSAGE_LIMIT]
        if response.status_code != requests.codes.unauthorized:
            return text
        hint = "user name or password is wrong" if self._secrets else "give --username and --password-file"
        return f"{text}; {hint}"


@contextmanager
def monitor_client(
    url: str, username: str | None, password_file: Path | None, ca_file: Path | None, *, insecure: bool
) -> Iterator[MonitorClient]:
    """Open a client for a monitor, or exit with 2 where the options do not fit together."""
    if insecure and ca_file is not None:
        fail(f"{source_of('--ca-file', ca_file)}: cannot be combined with --insecure; remove one of them")
    if username is not None and password_file is None:
        fail(f"{source_of('--username', username)}: needs --password-file as well")
    if password_file is not None and username is None:
        fail(f"{source_of('--password-file', password_file)}: needs --username as well")
    if insecure:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    secrets: tuple[str, ...] = ()
    with requests.Session() as session:
        session.trust_env = False  # no proxy, no .netrc: a monitor is in the same network
        session.verify = not insecure if insecure or ca_file is None else str(ca_file)
        if username is not None and password_file is not None:
            password = password_file.read_bytes().strip()
            session.auth = HTTPBasicAuth(username.encode(), password)  # bytes, because requests encodes text as Latin-1
            text = password.decode("utf-8", "replace")
            secrets = (text, f"{username}:{text}")
        yield MonitorClient(url, session, secrets)
