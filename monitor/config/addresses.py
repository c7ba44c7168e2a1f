"""Where things are reached: the URL of a cluster, the address to listen on, the place of the state."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from monitor.config.values import Kind, text

LAST_PORT: Final = 65_535
MAX_URL: Final = 2048
ALL_INTERFACES: Final = "0.0.0.0"  # noqa: S104  # only when the file says so by leaving the host out

_NO_URL: Final = "must be a URL that begins with http:// or https://, such as https://api.cloud.zilliz.com"
_NO_PORT: Final = "must have a host and, if there is a colon after it, a port from 1 to 65535"

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})")
_URL: Final = re.compile(r"[!-\[\]-~]+")  # visible ASCII without the backslash, which clients disagree about
_API_PATH: Final = re.compile(r"/(v2/vectordb|v1/vector|api/v1/import)\b")
# Nothing that two readers of URLs could take for the end of different parts: a password must not become a host.
_POSTGRESQL: Final = re.compile(
    r"postgres(ql)?://(?:[^\s/?#\[\]@:]+(?::[^\s/?#\[\]@:]*)?@)?(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
    r"/[^\s/?#@]+(?:\?[^\s#]*)?"
)
_LISTEN: Final = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^:]*)):(?P<port>[0-9]{1,6})")


def _url(value: Any) -> str:
    written = text(value)
    if "@" in written:
        # Wherever it stands: after a password with a slash in it, urlsplit takes the user for the host.
        raise ValueError("must not contain credentials (@); use api_key")
    if "?" in written or "#" in written:
        raise ValueError("must not contain a query (?) or a fragment (#)")
    parts = _split_url(written)
    host = parts.hostname or ""
    if parts.scheme not in {"http", "https"} or not (":" in host or _HOST.fullmatch(host)):
        raise ValueError(_NO_URL)
    path_of_the_api = _API_PATH.search(parts.path)
    if path_of_the_api:
        raise ValueError(f"must end before {path_of_the_api[0]}; the monitor adds the path of the API itself")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _split_url(written: str) -> SplitResult:
    # urlsplit drops line breaks in silence, so it only gets to see what has none.
    if len(written) > MAX_URL or not _URL.fullmatch(written):
        raise ValueError(_NO_URL)
    try:
        parts = urlsplit(written)
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(_NO_PORT)
    return parts


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; the port is 0 for any free one."""

    host: str
    port: int


def parse_listen(value: Any) -> Address:
    """Return where to listen.

    Raises:
        ValueError: It is no such address; the text says what one looks like.
    """
    written = text(value)
    match = _LISTEN.fullmatch(written)
    if match is None:
        raise ValueError("must be host:port, such as 127.0.0.1:19595, [::1]:19595 or :19595 for all interfaces")
    if int(match["port"]) > LAST_PORT:
        raise ValueError("the port must be 1-65535, or 0 for any free port")
    if match["v6"] is not None:
        try:
            host = str(ipaddress.IPv6Address(match["v6"]))
        except ValueError:
            raise ValueError("must have an IPv6 address between the brackets, such as [::1]:19595") from None
    else:
        host = match["host"] or ALL_INTERFACES
        if not _HOST.fullmatch(host):
            raise ValueError("must have a host name or an address before the colon")
    return Address(host, int(match["port"]))


def parse_state_url(value: Any) -> str:
    """Return where the state is kept, in the one spelling that the store knows.

    Raises:
        ValueError: It is no such place; the text says what one looks like.
    """
    written = text(value)
    if written == "memory://":
        return written
    if written.startswith("sqlite:///") and written != "sqlite:///":
        if "?" in written:
            raise ValueError("must be sqlite:/// and a path, without parameters")
        return written
    if written.startswith(("postgresql://", "postgres://")):
        if not _POSTGRESQL.fullmatch(written):
            raise ValueError(
                "must be postgresql://user:password@host/database, with special characters of the password as %XX"
            )
        return "postgresql://" + written.partition("://")[2]
    raise ValueError(
        "must be sqlite:///state.db, sqlite:////absolute/path/state.db, postgresql://user:password@host/database, "
        "or memory://"
    )


URL: Final = Kind(_url, {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+(/[^?#]*)?$"})
LISTEN: Final = Kind(parse_listen, {"type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):[0-9]{1,5}$"})
STATE_URL: Final = Kind(parse_state_url, {"type": "string", "pattern": "^(memory://|sqlite:///.+|postgres(ql)?://.+)$"})
