"""What a browser may request on behalf of the pages that it has open: only pages of the monitor may."""

import ipaddress
import re
import socket
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_HOST: Final = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9_.-]{1,255}))(?::[0-9]{1,5})?")
_PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".internal", ".svc")  # nobody can register such a name
_BROWSER_HEADERS: Final = frozenset({"accept-language", "origin", "referer", "sec-fetch-site", "cookie"})


class HostNames:
    """The names under which the monitor is known.

    Without authentication, another name in a browser may be one that a page has rebound to the monitor's address (DNS
    rebinding): for the browser the monitor then belongs to that page. Known are IP addresses and names that cannot
    be registered: without a dot, as in Compose and Kubernetes, or with a suffix for private use. The others are the
    machine's name and what ``configured`` returns.
    """

    def __init__(self, configured: Callable[[], Collection[str]]) -> None:
        self._configured = configured

    def includes(self, host: str) -> bool:
        """Return whether the value of a ``Host`` header is one of them."""
        match = _HOST.fullmatch(host)
        if match is None:
            return not host  # of HTTP/1.0, which no browser uses
        name = (match["name"] or "").lower().rstrip(".")
        if match["v6"] or (name and "." not in name) or name.endswith(_PRIVATE_SUFFIXES):
            return True
        with suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return name in {known.lower() for known in (socket.gethostname(), *self._configured()) if known}


def may_be_browser(headers: Headers) -> bool:
    """Return whether a request may come from a browser: it has a header that a page can set, but not remove."""
    return any(name in headers for name in _BROWSER_HEADERS) or "mozilla" in headers.get("user-agent", "").lower()


def is_cross_site(headers: Headers) -> bool:
    """Return whether a browser sends a request on behalf of another site; other programs send no such headers."""
    if site := headers.get("sec-fetch-site"):
        return site not in {"same-origin", "none"}
    try:
        return "origin" in headers and urlsplit(headers["origin"]).netloc != headers.get("host", "")
    except ValueError:  # not an origin of ours in any case
        return True
