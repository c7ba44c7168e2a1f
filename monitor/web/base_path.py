"""The path below which a reverse proxy serves the pages: every link begins with it."""

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.config import parse_path_prefix

_OWN_FOLDERS: Final = ("/api/v1/", "/static/", "/-/")  # of the app, below whatever prefix


class BasePath:
    """Sets ``request.state.base``, the beginning of every link: a path with a slash at both ends.

    It is the path of ``external_url``, or without that setting the header ``X-Forwarded-Prefix`` of a proxy at a
    loopback or private address. A request whose path still has the prefix of ``external_url`` is accepted as well, so
    that a proxy need not remove it.
    """

    def __init__(self, app: ASGIApp, external_url: Callable[[], str]) -> None:
        self._app = app
        self._external_url = external_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if external_url := self._external_url():
            prefix, path = urlsplit(external_url).path, scope["path"]
            if prefix and path.startswith(f"{prefix}/") and not path.startswith(_OWN_FOLDERS):
                scope["path"] = path.removeprefix(prefix)
        else:
            prefix = _forwarded_prefix(scope)
        scope.setdefault("state", {})["base"] = f"{prefix}/"
        await self._app(scope, receive, send)


def _forwarded_prefix(scope: Scope) -> str:
    """Return the prefix that a proxy removed, empty where there is none or it cannot be trusted."""
    written = Headers(scope=scope).getlist("x-forwarded-prefix")
    with suppress(ValueError):
        if len(written) == 1 and scope.get("client") and _is_internal(scope["client"][0]):
            return parse_path_prefix(written[0])
    return ""


def _is_internal(host: str) -> bool:
    """Return whether an address is a loopback or private one; raises ``ValueError``."""
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_private
