"""Who may request anything: basic auth against bcrypt hashes, with a bounded cost, and no page of another site."""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from typing import Final

import bcrypt
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.config import WebConfig
from monitor.web.browsers import SAFE_METHODS, HostNames, is_cross_site, may_be_browser
from monitor.web.errors import BusyError
from monitor.web.limits import WebLimits, WorkerPool

BCRYPT_BYTES: Final = 72
"""bcrypt uses no more of a password than this; programs that make hashes truncate it, and so must we."""

NO_DIGEST: Final = b"." * 31
"""The end of the hashes for unknown users: nobody knows a password that has one, and it would be refused as well."""

UNKNOWN_HOST: Final = (
    "the monitor does not know this host name: set external_url in its config to the address of these pages, "
    "or use its IP address\n"
)

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="milvus-import-monitor", charset="UTF-8"'}


class BasicAuth:
    """Passes requests on to an app, or refuses them.

    bcrypt takes a twentieth of a second to seconds, so it runs in one thread, and after a wrong password that thread
    sleeps for as long as the check took: guessing costs at most half a core, and no scrape waits for it.
    """

    def __init__(self, app: ASGIApp, web: WebConfig, limits: WebLimits, host_names: HostNames) -> None:
        self._app = app
        self._host_names = host_names
        self._limits = limits
        self._secret = secrets.token_bytes(32)
        self._thread = WorkerPool(1, limits.waiting_passwords)
        self._verified: dict[str, bytes] = {}
        self._checks: dict[bytes, tuple[str, asyncio.Task[bool]]] = {}
        self.apply_web_config(web)

    def apply_web_config(self, web: WebConfig) -> None:
        """Apply other users; a verified password need not be checked again while its hash is unchanged."""
        self._has_auth = web.has_auth()
        self._users = {name: text.replace("$2y$", "$2b$", 1).encode() for name, text in web.users}
        self._decoys = [bcrypt.gensalt(int(hashed[4:6])) + NO_DIGEST for hashed in self._users.values()]
        self._verified = {name: digest for name, digest in self._verified.items() if name in self._users}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        headers = Headers(scope=scope)
        refusal = await self._authenticate(scope, headers) if self._users else None
        if refusal is None:
            refusal = self._refuse_foreign_page(scope, headers)
        await (refusal or self._app)(scope, receive, send)

    def _refuse_foreign_page(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the response to a request on behalf of a page that is not the monitor's, None for any other."""
        changes = scope["method"] not in SAFE_METHODS
        if changes and is_cross_site(headers):
            return PlainTextResponse("a page of another site may not request this\n", 403)
        if (
            self._has_auth
            or not (changes or may_be_browser(headers))
            or self._host_names.includes(headers.get("host", ""))
        ):
            return None
        return PlainTextResponse(UNKNOWN_HOST, 403)

    async def _authenticate(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the response to a request without a valid password, None for any other."""
        credential = _credential(headers.get("authorization", ""))
        address = scope["client"][0] if scope.get("client") else ""
        try:
            if credential is not None and await self._verify(*credential, address):
                return None
        except BusyError as error:
            return PlainTextResponse("too many passwords are being checked\n", error.status, error.headers)
        return PlainTextResponse("a user name and a password are required\n", 401, _CHALLENGE)

    async def _verify(self, name: str, password: bytes, address: str) -> bool:
        """Return whether a password is valid, immediately if it was verified before; raises ``BusyError``."""
        hashed = self._users.get(name) or self._decoy(name)
        digest = self._digest(b"\0".join((name.encode(), hashed, password)))  # with the hash: it may be replaced
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
            valid = await self._thread.run(lambda: _matches(password, hashed)) and self._users.get(name) == hashed
            if valid:
                self._verified[name] = digest  # one per user, so that it is bounded
            return valid
        finally:
            del self._checks[digest]

    def _decoy(self, name: str) -> bytes:
        """Return the hash to check for an unknown user: always the same, with the cost of some real user's hash.

        So the time of a response does not show whether a name exists, even when hashes differ in cost.
        """
        return self._decoys[int.from_bytes(self._digest(name.encode())) % len(self._decoys)]

    def _digest(self, text: bytes) -> bytes:
        return hmac.digest(self._secret, text, hashlib.sha256)


def _matches(password: bytes, hashed: bytes) -> bool:
    """Return whether a password has a hash; if not, sleep for as long as the check took."""
    started = time.monotonic()
    if bcrypt.checkpw(password, hashed):
        return True
    time.sleep(time.monotonic() - started)
    return False


def _credential(authorization: str) -> tuple[str, bytes] | None:
    """Return the user and the password of a header, None if it has none."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded.strip(), validate=True).partition(b":")
        return (name.decode(), password[:BCRYPT_BYTES]) if colon and scheme.lower() == "basic" else None
    except ValueError:
        return None
