"""The web config file: TLS, users and headers, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from monitor.config import files, values
from monitor.config.document import UNRESOLVED
from monitor.config.errors import Report, SettingsError, nearest, printable
from monitor.config.files import LoadContext
from monitor.config.tls import CIPHERS, CIPHERS_13, CURVES, VERSIONS, server_context
from monitor.config.validation import read_settings
from monitor.config.values import Section

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Mapping

ClientAuth: TypeAlias = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
Version: TypeAlias = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

HEADERS: Final = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
"""The headers that the format has, and the values that it allows; no values are any value."""

MAX_HEADER: Final = 8192
"""Characters of one header's value."""

MIN_COST: Final = 4
MAX_COST: Final = 16
"""Of bcrypt; each step doubles the time of a check, and this one takes about four seconds."""

_VALID_HEADERS: Final = ", ".join(HEADERS)
_REQUIRED: Final = "RequireAndVerifyClientCert"
_HASH: Final = re.compile(r"\$2[abxy]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_USER: Final = re.compile(r"[^:\x00-\x1f\x7f]{1,256}")
_HEADER: Final = re.compile(r"[ -~]*")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """TLS, users and headers of the monitor's own pages.

    Attributes:
        context: TLS with the certificate as it was when the file was read; None for plain HTTP.
        client_names: Of a client's certificate one of these must be a subject alternative name; empty for any.
        requires_certificate: Whether a client must show a certificate that is trusted.
        users: Name and bcrypt hash; empty for no basic auth.
        headers: Added to every answer.
        fingerprint: Differs where the file, or a file it names, has other contents.
    """

    context: ssl.SSLContext | None = field(default=None, compare=False)
    client_names: frozenset[str] = frozenset()
    requires_certificate: bool = False
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""

    def has_auth(self) -> bool:
        """Return whether clients have to authenticate."""
        return bool(self.users) or self.requires_certificate


def _client_auth(value: Any) -> Any:
    if value in ("RequestClientCert", "RequireAnyClientCert"):
        raise ValueError(f"is not supported here, because it accepts any certificate unchecked; use {_REQUIRED}")
    return value


def _one_of(what: str, names: Collection[str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"is not one of the supported {what}: {', '.join(names)}")
        return name

    return AfterValidator(check)


def _single(curves: tuple[str, ...]) -> tuple[str, ...]:
    if len(curves) > 1:
        raise ValueError("must name a single curve, or be left out for all of them; several are not supported")
    return curves


def _user(name: str, hashed: Any) -> str | None:
    """Return what is wrong with a user, or None."""
    match = _HASH.fullmatch(hashed) if isinstance(hashed, str) else None
    if not _USER.fullmatch(name):
        return "a user's name must be 1 to 256 characters without a colon or a control character"
    if match is None:
        return "must be a bcrypt hash, as printed by: htpasswd -nBC 10 \"\" | tr -d ':\\n'"
    if not MIN_COST <= int(match["cost"]) <= MAX_COST:
        return f"must have a bcrypt cost from {MIN_COST} to {MAX_COST}"
    return None


def _header(name: str, value: Any) -> str | None:
    """Return what is wrong with a header, or None."""
    if name not in HEADERS:
        meant = nearest(name, tuple(HEADERS))
        return (
            f'unknown header; did you mean "{meant}"?' if meant else f"unknown header; valid ones are {_VALID_HEADERS}"
        )
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _HEADER.fullmatch(value) or len(value) > MAX_HEADER:
        return f"must be up to {MAX_HEADER:,} visible ASCII characters on one line"
    if HEADERS[name] and value not in HEADERS[name]:
        return f"must be one of {', '.join(HEADERS[name])}"
    return None


def _checked(problem: Callable[[str, Any], str | None]) -> BeforeValidator:
    """Check each entry of a mapping for itself."""

    def check(value: Any) -> Any:
        if not value or not isinstance(value, dict):
            return {} if value is None else value
        if len(value) > values.MAX_ITEMS:
            raise ValueError(f"has {len(value):,} entries; at most {values.MAX_ITEMS:,} are allowed")
        resolved = {name: entry for name, entry in value.items() if entry is not UNRESOLVED}
        problems = [((name,), text) for name, entry in resolved.items() if (text := problem(name, entry))]
        if problems:
            raise SettingsError(*problems)
        return resolved

    return BeforeValidator(check)


class TlsServer(Section):
    """TLS of the monitor's own pages."""

    unsupported: ClassVar = {
        "cert": "is not supported here; write the certificate to a file and name it in cert_file",
        "key": "is not supported here; write the key to a file and name it in key_file",
        "client_ca": "is not supported here; write the certificates to a file and name it in client_ca_file",
    }

    cert_file: Annotated[Path, values.readable_as(files.certificate_of)]
    """PEM file with the certificate, and those between it and its root."""
    key_file: Annotated[Path, values.readable_as(files.private_key_of)]
    """PEM file with its key."""
    client_auth_type: Annotated[ClientAuth, BeforeValidator(_client_auth)] = "NoClientCert"
    """Whether clients show a certificate."""
    client_ca_file: values.CertificateFile = None
    """PEM file with the certificates that vouch for clients."""
    client_allowed_sans: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), max_length=values.MAX_ITEMS
    )
    """Of a client's certificate one of these must be a subject alternative name."""
    min_version: Version = "TLS12"
    """The oldest version of TLS."""
    max_version: Version = "TLS13"
    """The newest version of TLS."""
    cipher_suites: tuple[Annotated[str, _one_of("cipher suites", (*CIPHERS, *CIPHERS_13))], ...] = ()
    """Cipher suites up to TLS 1.2, by Go's names."""
    prefer_server_cipher_suites: bool = True
    """Whether their order counts, or that of the client."""
    curve_preferences: Annotated[tuple[Annotated[str, _one_of("curves", CURVES)], ...], AfterValidator(_single)] = ()
    """The curve of the key exchange."""

    def requires_certificate(self) -> bool:
        """Return whether a client must show a certificate that is trusted."""
        return self.client_auth_type == _REQUIRED

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = []
        if self.client_auth_type != "NoClientCert" and not self.client_ca_file:
            problems.append((("client_auth_type",), "needs client_ca_file as well"))
        if self.client_ca_file and self.client_auth_type == "NoClientCert":
            problems.append((("client_ca_file",), f"needs client_auth_type: {_REQUIRED} as well"))
        if self.client_allowed_sans and not self.requires_certificate():
            problems.append((("client_allowed_sans",), f"needs client_auth_type: {_REQUIRED} as well"))
        if VERSIONS[self.min_version] > VERSIONS[self.max_version]:
            problems.append((("max_version",), f"must not be older than min_version, which is {self.min_version}"))
        if problems:
            raise SettingsError(*problems)
        return self


class HttpServer(Section):
    """HTTP of the monitor's own pages."""

    http2: bool = True
    """Without effect: the monitor speaks HTTP/1.1."""
    headers: Annotated[dict[str, Any], _checked(_header)] = Field(default_factory=dict)
    """Headers added to every answer."""


class WebFile(Section):
    """The web config file."""

    unsupported: ClassVar = {"rate_limit": "is not supported here; the cost of unauthenticated requests is bounded"}

    tls_server_config: TlsServer | None = None
    """TLS; without it, the monitor speaks plain HTTP."""
    http_server_config: HttpServer = HttpServer()
    """Headers."""
    basic_auth_users: Annotated[dict[str, Any], _checked(_user)] = Field(default_factory=dict)
    """Names, each with the bcrypt hash of a password; without any, there is no authentication."""


def load_web(path: Path, environ: Mapping[str, str]) -> WebConfig:
    """Read a web config file, and the certificates it names.

    Raises:
        ValueError: The file itself cannot be read.
        ConfigError: With everything that is wrong in it, up to a bound.
    """
    try:
        text = files.decode(files.read_bytes(path, files.MAX_CONFIG_BYTES))
    except ValueError as error:
        raise ValueError(f"{printable(str(path))} {error}") from None
    report = Report(str(path))
    context = LoadContext(path.parent, environ)
    web, document = read_settings(WebFile, text, context, report, "tls_server_config or basic_auth_users")
    if web is None or document is None or report:
        raise report.error()
    tls = web.tls_server_config
    digest = hashlib.sha256(repr((text, document.data)).encode("utf-8", "surrogatepass"))
    ssl_context = None
    if tls:
        digest.update(
            context.read(tls.cert_file, files.certificate_of) + context.read(tls.key_file, files.private_key_of)
        )
        client_ca = context.read(tls.client_ca_file, files.certificate_of) if tls.client_ca_file else b""
        digest.update(client_ca)
        try:
            ssl_context = server_context(tls, client_ca)
        except SettingsError as error:
            for where, problem in error.problems:
                report.add(document.line(where), where, problem)
    if report:
        raise report.error()
    return WebConfig(
        context=ssl_context,
        client_names=frozenset(tls.client_allowed_sans) if tls else frozenset(),
        requires_certificate=tls is not None and tls.requires_certificate(),
        users=tuple(web.basic_auth_users.items()),
        headers=tuple((name, value) for name, value in web.http_server_config.headers.items() if value),
        fingerprint=digest.hexdigest(),
    )
