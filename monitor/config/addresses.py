"""Addresses: the URL of a cluster, the address to listen on, the URL of the state."""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

LAST_PORT: Final = 65_535
MAX_URL: Final = 2048
MAX_PREFIX: Final = 256
ALL_INTERFACES: Final = "0.0.0.0"  # noqa: S104  # only if the config leaves the host out

_NO_URL: Final = "must be a URL that begins with http:// or https://, such as https://api.cloud.zilliz.com"
_NO_STATE: Final = (
    "must be sqlite:///state.db, sqlite:////absolute/path/state.db, postgresql://user:password@host/database, "
    "or memory://"
)

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")
_URL: Final = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash, which clients disagree about
_API_PATH: Final = re.compile(r"/(v2/vectordb|v1/vector|api/v1/import)\b")
# No character that two parsers of URLs could read as the end of different parts: a password must not become a host.
_POSTGRESQL_HOST: Final = r"(?:[A-Za-z0-9_.%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_POSTGRESQL: Final = re.compile(
    r"postgres(ql)?://(?:[^\s/?#\[\]@:]+(?::[^\s/?#\[\]@:]*)?@)?"
    rf"(?:{_POSTGRESQL_HOST}(?:,{_POSTGRESQL_HOST})*)?/[^\s/?#@]+(?:\?[^\s#]*)?"
)
_EXTERNAL_URL: Final = re.compile(
    r"(?P<origin>[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)(?P<path>/.*)?"
)
# Nothing that means anything in HTML or in a URL; no segment begins with a dot, as "." and ".." do.
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")
_LISTEN: Final = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:]*)):(?P<port>[0-9]{1,6})")


class Address(NamedTuple):
    """An address to listen on: a host name or address, IPv6 without brackets, and a port, 0 for any free one."""

    host: str
    port: int


def parse_url(written: str) -> str:
    """Return the base URL of a cluster without a slash at its end; raises `ValueError`."""
    if "@" in written:
        # Anywhere: if a password contains a slash, urlsplit returns the user as the host.
        raise ValueError("must not contain credentials (@); use api_key")
    if "?" in written or "#" in written:
        raise ValueError("must not contain a query (?) or a fragment (#)")
    # Before urlsplit, which removes line breaks silently.
    if len(written) > MAX_URL or not _URL.fullmatch(written):
        raise ValueError(_NO_URL)
    try:
        parts = urlsplit(written)
        is_usable = parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError("must have a host and, if there is a colon after it, a port from 1 to 65535")
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not (":" in host or _HOST.fullmatch(host)):
        raise ValueError(_NO_URL)
    if api_path := _API_PATH.search(parts.path):
        raise ValueError(f"must end before {api_path[0]}; the monitor adds the path of the API itself")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def parse_inventory_url(written: str) -> str:
    """Return the URL of a list of clusters, which may have a query; raises `ValueError`."""
    base, question_mark, query = written.partition("?")
    if "@" in written:
        raise ValueError("must not contain credentials (@); use api_key")
    if len(written) > MAX_URL or (query and not _URL.fullmatch(query)) or "#" in written:
        raise ValueError("must be a URL such as https://inventory.example/clusters, without a fragment (#)")
    parsed = parse_url(base)
    slash = "/" if base.endswith("/") else ""
    return f"{parsed}{slash}{question_mark}{query}"


def parse_path_prefix(written: str) -> str:
    """Return the path of a base URL without a slash at its end, empty for the root; raises `ValueError`."""
    if len(written) > MAX_PREFIX or not _PREFIX.fullmatch(written):
        raise ValueError("the path must be made of letters, digits and . _ ~ - between single slashes")
    return written.rstrip("/")


def parse_external_url(written: str) -> str:
    """Return the URL of the pages without a slash at its end; raises `ValueError`."""
    match = _EXTERNAL_URL.fullmatch(written) if len(written) <= MAX_URL else None
    try:
        is_usable = match is not None and urlsplit(match["origin"]).port != 0
    except ValueError:
        is_usable = False
    if match is None or not is_usable:
        raise ValueError("must be a URL such as https://ops.example/imports/, without credentials")
    return match["origin"] + parse_path_prefix(match["path"] or "")


def parse_listen(written: str) -> Address:
    """Read `host:port`, where an IPv6 address is in brackets and no host means all interfaces; raises `ValueError`."""
    match = _LISTEN.fullmatch(written)
    if match is None:
        raise ValueError("must be host:port, such as 127.0.0.1:19595, [::1]:19595 or :19595 for all interfaces")
    if int(match["port"]) > LAST_PORT:
        raise ValueError("the port must be 1-65535, or 0 for any free port")
    host = match["host"] or ALL_INTERFACES
    if match["v6"] is not None:
        try:
            host = str(ipaddress.IPv6Address(match["v6"]))
        except ValueError:
            raise ValueError("must have an IPv6 address between the brackets, such as [::1]:19595") from None
    elif not _HOST.fullmatch(host):
        raise ValueError("must have a host name or an address before the colon")
    return Address(host, int(match["port"]))


def parse_state_url(written: str) -> str:
    """Return the URL of the state in the form the store expects, without white space around it; raises `ValueError`."""
    url = written.strip()  # files and variables often end with a line break
    if url.startswith("sqlite:///") and url != "sqlite:///":
        if "?" in url:
            raise ValueError("must be sqlite:/// and a path, without parameters")
        return url
    if url.startswith(("postgresql://", "postgres://")):
        if not _POSTGRESQL.fullmatch(url):
            expected = "must be postgresql://user:password@host/database"
            raise ValueError(f"{expected}, with special characters of the password as %XX")
        url = "postgresql://" + url.partition("://")[2]
        _check_parameters(url)
        return url
    if url != "memory://":
        raise ValueError(_NO_STATE)
    return url


def _check_parameters(url: str) -> None:
    """Raise `ValueError` if libpq, PostgreSQL's own client, does not understand a URL: it knows all parameters.

    It checks ports only when it connects, each of which may be empty.
    """
    import psycopg  # noqa: PLC0415 - 40 ms that a state in SQLite does not need
    from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415

    try:
        parameters = conninfo_to_dict(url)
    except psycopg.Error:  # its message can hold the password
        parameters = None
    if parameters is None:
        raise ValueError(
            "the URL of PostgreSQL cannot be understood: write special characters as %XX, and only parameters of libpq"
        )
    ports = str(parameters.get("port", "")).split(",")
    if not all(port == "" or (port.isascii() and port.isdigit() and 0 < int(port) <= LAST_PORT) for port in ports):
        raise ValueError("the port of PostgreSQL must be 1-65535")
