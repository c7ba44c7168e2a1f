"""Basic auth against bcrypt hashes, whose cost is paid once for each credential and bounded in all."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
import time
from typing import Final
from urllib.parse import urlsplit

import bcrypt
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.config import WebConfig
from monitor.web.context import WorkerPool
from monitor.web.errors import BusyError
from monitor.web.limits import WebLimits

RETRY_AFTER: Final = "2"
"""Seconds after which a client that was refused because too many passwords wait may try again."""

BCRYPT_BYTES: Final = 72
"""bcrypt uses no more of a password than this; programs that make hashes truncate it, and so must we."""

_ALPHABET: Final = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class BasicAuth:
    """Passes requests on to an app, or refuses them.

    bcrypt takes a twentieth of a second to seconds, so it runs in one thread, and after a wrong password that thread
    sleeps for as long as the check took: guessing costs at most half a core, and no scrape waits for it.
    """

    def __init__(self, app: ASGIApp, web: WebConfig, limits: WebLimits) -> None:
        self._app = app
        self._limits = limits
        self._secret = secrets.token_bytes(32)
        self._pool = WorkerPool(1, limits.waiting_passwords)
        self._users: dict[str, bytes] = {}
        self._decoys: list[bytes] = []
        self._verified: dict[str, bytes] = {}
        self._checks: dict[bytes, tuple[str, asyncio.Task[bool]]] = {}
        self.apply_web_config(web)

    def apply_web_config(self, web: WebConfig) -> None:
        """Apply other users; a verified password need not be checked again while its hash is unchanged."""
        self._users = {name: text.replace("$2y$", "$2b$", 1).encode() for name, text in web.users}
        self._decoys = [_hash_without_password(hashed[4:6]) for hashed in self._users.values()]
        self._verified = {name: digest for name, digest in self._verified.items() if name in self._users}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = Headers(scope=scope)
        refusal = await self._authenticate(scope, headers)
        if refusal is None and scope["method"] not in _SAFE_METHODS and _is_cross_site(headers):
            refusal = PlainTextResponse("a page of another site may not request this\n", 403)
        await (refusal or self._app)(scope, receive, send)

    async def _authenticate(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the response to a request without a valid password, None for any other."""
        if not self._users:
            return None
        credential = _credential(headers.get("authorization", ""))
        address = str((scope.get("client") or ("",))[0])
        try:
            if credential is not None and await self._verify(*credential, address):
                return None
        except BusyError:
            return PlainTextResponse("too many passwords are being checked\n", 503, {"Retry-After": RETRY_AFTER})
        challenge = {"WWW-Authenticate": 'Basic realm="milvus-import-monitor", charset="UTF-8"'}
        return PlainTextResponse("a user name and a password are required\n", 401, challenge)

    async def _verify(self, name: str, password: bytes, address: str) -> bool:
        """Return whether a password is valid; immediately if it was verified before.

        Raises:
            BusyError: Too many passwords are waiting.
        """
        # The digest covers the hash, so that a changed one is checked again.
        hashed = self._users.get(name) or self._decoy(name)
        digest = hmac.digest(self._secret, b"\0".join((name.encode(), hashed, password)), hashlib.sha256)
        if hmac.compare_digest(self._verified.get(name, self._secret), digest):
            return True
        if digest not in self._checks:
            same = sum(client == address for client, _ in self._checks.values())
            if same >= self._limits.waiting_passwords_per_address:
                raise BusyError
            self._checks[digest] = address, asyncio.ensure_future(self._check(digest, name, hashed, password))
        return await asyncio.shield(self._checks[digest][1])

    async def _check(self, digest: bytes, name: str, hashed: bytes, password: bytes) -> bool:
        try:
            valid = await self._pool.run(lambda: _matches(password, hashed)) and self._users.get(name) == hashed
            if valid:
                self._verified[name] = digest  # one per user, so that it is bounded
            return valid
        finally:
            del self._checks[digest]

    def _decoy(self, name: str) -> bytes:
        """Return the hash to check for an unknown user: always the same, with the cost of some real user's hash.

        So the time of an answer does not show whether a name exists, even when hashes differ in cost.
        """
        number = int.from_bytes(hmac.digest(self._secret, name.encode(), hashlib.sha256)[:8])
        return self._decoys[number % len(self._decoys)]


def _matches(password: bytes, hashed: bytes) -> bool:
    """Return whether a password has a hash; if not, sleep for as long as the check took."""
    started = time.monotonic()
    if bcrypt.checkpw(password, hashed):
        return True
    time.sleep(time.monotonic() - started)
    return False


def _hash_without_password(cost: bytes) -> bytes:
    """Return a hash of this cost that no password has."""
    return bcrypt.gensalt(int(cost)) + "".join(secrets.choice(_ALPHABET) for _ in range(31)).encode()


def _credential(authorization: str) -> tuple[str, bytes] | None:
    """Return the user and the password of a header, None if it has none."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password[:BCRYPT_BYTES]) if colon else None
    except (binascii.Error, ValueError):
        return None


def _is_cross_site(headers: Headers) -> bool:
    """Return whether a browser sends a request on behalf of another site; other programs send no such headers."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"same-origin", "none"}
    origin = headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc != headers.get("host", "")
    except ValueError:  # not an origin of ours in any case
        return True
