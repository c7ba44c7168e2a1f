"""Who may come in: basic auth against bcrypt hashes, whose cost is paid once for each credential and bounded in all."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.config import WebConfig

WAITING: Final = 16
"""Passwords that wait for their check at a time; one more is answered 503."""

WAITING_OF_ONE: Final = 4
"""The same of one address, so that who floods from one place keeps nobody else waiting long."""

RETRY_AFTER: Final = 2
"""Seconds after which whoever was not let in for want of room may try again."""

BCRYPT_BYTES: Final = 72
"""bcrypt looks at no more of a password than this; the programs that make hashes cut it, and so must we."""

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class _FullError(Exception):
    """Too many passwords wait for their check."""


class Door:
    """Lets requests through to an app, or turns them away.

    bcrypt takes a twentieth of a second to seconds, so it runs in one thread of its own, and a wrong password makes
    that thread rest as long as it took: whatever strangers try costs at most half a core, and no scrape waits for it.

    Args:
        app: What lies behind the door.
        web: The users.
    """

    def __init__(self, app: ASGIApp, web: WebConfig) -> None:
        self._app = app
        self._secret = secrets.token_bytes(32)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="door")  # no thread before the first password
        self._users: dict[str, bytes] = {}
        self._verified: dict[str, bytes] = {}
        self._checks: dict[bytes, asyncio.Future[bool]] = {}
        self._waiting: Counter[str] = Counter()
        self._nobody = b""
        self.take(web)

    def take(self, web: WebConfig) -> None:
        """Go by these users from now on; who was let in with an unchanged hash need not be checked again."""
        users = {name: hashed.replace("$2y$", "$2b$", 1).encode() for name, hashed in web.users}
        self._verified = {name: digest for name, digest in self._verified.items() if name in users}
        self._users = users
        if users:
            from monitor.web.passwords import hash_of_nobody  # noqa: PLC0415 - most have no users, and none of its memory

            self._nobody = hash_of_nobody(max(hashed[4:6] for hashed in users.values()))

    def close(self) -> None:
        """Check no password any more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or let the app do it."""
        headers = Headers(scope=scope)
        refused = await self._refused(scope, headers)
        if refused is None and scope["method"] not in _SAFE and _is_cross_site(headers):
            refused = PlainTextResponse("a page of another site may not ask for this\n", 403)
        await (refused or self._app)(scope, receive, send)

    async def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        """Return what turns a request away, or None for one that may come in."""
        if not self._users:
            return None
        credential = _credential(headers.get("authorization", ""))
        if credential is None:
            return _unauthorized()
        client = scope.get("client") or ("",)
        try:
            known = await self._knows(*credential, str(client[0]))
        except _FullError:
            return PlainTextResponse(
                "too many passwords wait for their check\n", 503, {"Retry-After": str(RETRY_AFTER)}
            )
        return None if known else _unauthorized()

    async def _knows(self, name: str, password: bytes, address: str) -> bool:
        """Say whether a user has a password; at once where it was right before.

        Raises:
            _FullError: It cannot be said now.
        """
        hashed = self._users.get(name)
        # The digest holds the hash, so that a changed one is checked anew.
        text = b"\0".join((name.encode(), hashed or self._nobody, password))
        digest = hmac.digest(self._secret, text, hashlib.sha256)
        if hmac.compare_digest(self._verified.get(name, self._secret), digest):
            return True
        check = self._checks.get(digest)
        if check is None:
            check = self._begin(digest, name, password, address)
        return await asyncio.shield(check) and hashed is not None

    def _begin(self, digest: bytes, name: str, password: bytes, address: str) -> "asyncio.Future[bool]":
        if len(self._checks) >= WAITING or self._waiting[address] >= WAITING_OF_ONE:
            raise _FullError
        from monitor.web.passwords import matches  # noqa: PLC0415 - loaded when there came to be users

        hashed = self._users.get(name)
        check = asyncio.get_running_loop().run_in_executor(self._thread, matches, password, hashed or self._nobody)
        self._checks[digest] = check
        self._waiting[address] += 1

        def end(done: "asyncio.Future[bool]") -> None:
            del self._checks[digest]
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]
            if done.cancelled() or done.exception():  # whoever asked may have gone, and nobody else would look at it
                return
            if done.result() and hashed is not None and self._users.get(name) == hashed:
                self._verified[name] = digest  # one a user, so that it is bounded; before anybody else can ask

        check.add_done_callback(end)
        return check


def _credential(authorization: str) -> tuple[str, bytes] | None:
    """Return the user and the password of a header, or None where it holds none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password[:BCRYPT_BYTES]) if colon else None
    except (binascii.Error, ValueError):
        return None


def _unauthorized() -> Response:
    challenge = {"WWW-Authenticate": 'Basic realm="milvus-import-monitor", charset="UTF-8"'}
    return PlainTextResponse("a user and a password are needed\n", 401, challenge)


def _is_cross_site(headers: Headers) -> bool:
    """Say whether a browser asks on behalf of a page of another site; other programs say nothing about it."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    except ValueError:  # it is no origin of ours, whatever it is
        return True
