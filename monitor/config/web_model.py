"""The shape of the web config file: what is understood of the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from monitor.config import values
from monitor.config.environment import UNRESOLVED
from monitor.config.model import Section

ClientAuth: TypeAlias = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
Version: TypeAlias = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
VERSIONS: Final = ("TLS10", "TLS11", "TLS12", "TLS13")

CIPHERS: Final = {
    f"TLS_{exchange}_WITH_{go}": f"{exchange.replace('_', '-')}-{openssl}"
    for exchange in ("ECDHE_ECDSA", "ECDHE_RSA")
    for go, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
    )
}
"""Go's names of the cipher suites up to TLS 1.2 that Go itself calls secure, and OpenSSL's."""

CIPHERS_13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""TLS 1.3 has these; like Go's, ours always offers all of them."""

CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

HEADERS: Final = {
    "Content-Security-Policy": (),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-Content-Type-Options": ("nosniff",),
    "X-XSS-Protection": (),
    "Strict-Transport-Security": (),
}
"""The headers that the format knows, and the values that it allows; no values are any value."""

UNSUPPORTED: Final = {
    "cert": "is not supported here; write the certificate to a file and name it in cert_file",
    "key": "is not supported here; write the key to a file and name it in key_file",
    "client_ca": "is not supported here; write the certificates to a file and name it in client_ca_file",
    "rate_limit": "is not supported here; what strangers may cost is bounded anyway",
}
"""Keys of newer versions of the format."""

MAX_ITEMS: Final = 1000
MAX_USERS: Final = 1000

_ANY_CERTIFICATE: Final = (
    "is not supported here, because any certificate would do and none be checked; use RequireAndVerifyClientCert"
)
_CLIENT_AUTH: Final = values.one_of("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")


def _client_auth(value: Any) -> Any:
    if value in {"RequestClientCert", "RequireAnyClientCert"}:
        raise ValueError(_ANY_CERTIFICATE)
    return _CLIENT_AUTH.read(value)


def _list_of(what: str, known: tuple[str, ...] = ()) -> values.Kind:
    """A list of words; of some, when only they are known."""

    def read(value: Any) -> tuple[str, ...]:
        if value is UNRESOLVED or (isinstance(value, list) and UNRESOLVED in value):
            raise values.UnresolvedError
        if not isinstance(value, list) or len(value) > MAX_ITEMS:
            raise ValueError(f"must be a list of {what}, of up to {MAX_ITEMS}")
        for number, item in enumerate(value, 1):
            try:
                word = values.text(item)
            except ValueError as error:
                raise ValueError(f"item {number} {error}") from None
            if known and word not in known:
                raise ValueError(f"item {number} is not one of the {what} known here: {', '.join(known)}")
        return tuple(value)

    return values.Kind(read, {"type": "array", "items": {"type": "string"}})


def _curve(value: Any) -> str | None:
    names = _list_of("curves", tuple(CURVES)).read(value)
    if len(names) > 1:
        raise ValueError("must name a single curve, or be left out for all of them; a choice of several cannot be made")
    return CURVES[names[0]] if names else None


def _mapping(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = values.section(value)
    return found


_MAPPING: Final = values.Kind(_mapping, {"type": "object"})
_SECTION: Final = BeforeValidator(values.section)


class TlsServerSection(Section):
    """TLS towards those who ask."""

    cert_file: Annotated[str, values.FILE]
    """PEM file with the certificate, and those between it and its root."""
    key_file: Annotated[str, values.FILE]
    """PEM file with its key."""
    client_auth_type: Annotated[ClientAuth, values.Kind(_client_auth, {"type": "string"})] = "NoClientCert"
    """Whether clients show a certificate."""
    client_ca_file: Annotated[str | None, values.FILE] = None
    """PEM file with the certificates that vouch for clients."""
    client_allowed_sans: Annotated[tuple[str, ...], _list_of("names")] = ()
    """Of a client's certificate one of these must be a subject alternative name."""
    min_version: Annotated[Version, values.one_of(*VERSIONS)] = "TLS12"
    """The oldest version spoken."""
    max_version: Annotated[Version, values.one_of(*VERSIONS)] = "TLS13"
    """The newest version spoken."""
    cipher_suites: Annotated[tuple[str, ...], _list_of("cipher suites", (*CIPHERS, *CIPHERS_13))] = ()
    """Cipher suites up to TLS 1.2, by Go's names."""
    prefer_server_cipher_suites: Annotated[bool, values.TRUE_OR_FALSE] = True
    """Whether their order counts, or that of the client."""
    curve_preferences: Annotated[str | None, values.Kind(_curve, {"type": "array"})] = None
    """The curve of the key exchange."""


class HttpServerSection(Section):
    """HTTP towards those who ask."""

    http2: Annotated[bool, values.TRUE_OR_FALSE] = True
    """Without effect: the monitor speaks HTTP/1.1."""
    headers: Annotated[dict[str, Any], _MAPPING] = Field(default_factory=dict)
    """Headers added to every answer."""


class WebFile(Section):
    """The web config file."""

    tls_server_config: Annotated[TlsServerSection | None, _SECTION] = None
    """TLS; without it, the monitor speaks plain HTTP."""
    http_server_config: Annotated[HttpServerSection, _SECTION] = Field(default_factory=HttpServerSection)
    """Headers."""
    basic_auth_users: Annotated[dict[str, Any], _MAPPING] = Field(default_factory=dict)
    """Names, each with the bcrypt hash of a password; without any, nobody is asked for one."""
