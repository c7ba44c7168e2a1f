"""The web config file: TLS, users and headers, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import re
import ssl
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias

from pydantic import Field, ValidationInfo, field_validator

from monitor.config import files
from monitor.config import setting_types as types
from monitor.config.document import as_mapping, read_document
from monitor.config.errors import printable
from monitor.config.validation import Section, validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.config.document import Document
    from monitor.config.errors import Problem

MAX_HEADER: Final = 8192
"""Characters of a header's value."""

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

_CIPHERS_13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
"""The suites of TLS 1.3; the server always offers all of them, as Go's does."""

_CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_REQUIRED: Final = "RequireAndVerifyClientCert"
_USER: Final = re.compile(r"[^:\x00-\x1f\x7f]{1,256}")
_HASH: Final = re.compile(r"\$2[abxy]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}")
"""The cost is bounded: each step doubles the time of a check, and 16 takes four seconds."""

_HEADER: Final = re.compile(rf"[ -~]{{0,{MAX_HEADER}}}")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """TLS, users and headers of the monitor's own pages."""

    context: ssl.SSLContext | None = field(default=None, compare=False)
    """TLS with the certificate as it was when the file was read; None for plain HTTP."""
    client_names: frozenset[str] = frozenset()
    """A client's certificate needs one of these subject alternative names; empty for any."""
    users: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # name and bcrypt hash; empty for no basic auth
    headers: tuple[tuple[str, str], ...] = ()  # added to every response
    fingerprint: str = ""  # differs where the contents of the file, or of a file that it names, differ
    path: Path | None = None  # the file; None where it was not read from one
    settings: str = ""  # a fingerprint of that file alone

    def has_auth(self) -> bool:
        """Return whether clients have to authenticate."""
        return bool(self.users) or (self.context is not None and self.context.verify_mode is ssl.CERT_REQUIRED)


User: TypeAlias = Annotated[
    str,
    types.require(_USER.fullmatch, "a user's name must be 1 to 256 characters without a colon or a control character"),
]
Hash: TypeAlias = Annotated[
    str,
    types.require(
        _HASH.fullmatch,
        "must be a bcrypt hash of a cost from 4 to 16, as printed by: htpasswd -nBC 10 \"\" | tr -d ':\\n'",
    ),
]
Header: TypeAlias = Annotated[
    str,
    types.empty_as(""),
    types.require(_HEADER.fullmatch, f"must be up to {MAX_HEADER:,} visible ASCII characters on one line"),
]
Version: TypeAlias = Annotated[str, types.require_one_of(_VERSIONS)]


class TlsServer(Section):
    """TLS of the monitor's own pages."""

    unsupported: ClassVar = {
        "cert": "is not supported here; write the certificate to a file and name it in cert_file",
        "key": "is not supported here; write the key to a file and name it in key_file",
        "client_ca": "is not supported here; write the certificates to a file and name it in client_ca_file",
    }

    cert_file: Annotated[Path, types.readable_as(files.certificate_of)]
    key_file: Annotated[Path, types.readable_as(files.private_key_of)]
    client_auth_type: Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"] = "NoClientCert"
    client_ca_file: types.CertificateFile = None
    client_allowed_sans: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), max_length=types.MAX_ITEMS)
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, types.require_one_of([*CIPHERS, *_CIPHERS_13])], ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        tuple[Annotated[str, types.require_one_of(_CURVES)], ...],
        types.require(
            lambda curves: len(curves) < 2,  # noqa: PLR2004
            "must name a single curve, or be left out for all of them; several are not supported",
        ),
    ] = ()

    @field_validator("client_auth_type", mode="before")
    @classmethod
    def _check_client_auth(cls, value: Any) -> Any:
        if value in ("RequestClientCert", "RequireAnyClientCert"):
            raise ValueError(f"is not supported here, because it accepts any certificate unchecked; use {_REQUIRED}")
        return value

    @field_validator("max_version")
    @classmethod
    def _check_versions(cls, newest: str, info: ValidationInfo) -> str:
        oldest = info.data.get("min_version", newest)
        if _VERSIONS[oldest] > _VERSIONS[newest]:
            raise ValueError(f"must not be older than min_version, which is {oldest}")
        return newest


class Headers(Section):
    """Headers of every response; an empty header is left out."""

    content_security_policy: Header = Field(default="", alias="Content-Security-Policy")
    x_frame_options: Annotated[Header, types.require_one_of(["", "deny", "sameorigin"])] = Field(
        default="", alias="X-Frame-Options"
    )
    x_content_type_options: Annotated[Header, types.require_one_of(["", "nosniff"])] = Field(
        default="", alias="X-Content-Type-Options"
    )
    x_xss_protection: Header = Field(default="", alias="X-XSS-Protection")
    strict_transport_security: Header = Field(default="", alias="Strict-Transport-Security")


class HttpServer(Section):
    """HTTP of the monitor's own pages."""

    http2: bool = True  # without effect: the monitor speaks HTTP/1.1
    headers: Headers = Headers()


class WebFile(Section):
    """The web config file."""

    unsupported: ClassVar = {"rate_limit": "is not supported here; the cost of unauthenticated requests is bounded"}

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[dict[User, Hash], types.empty_as({})] = Field(default={}, max_length=types.MAX_ITEMS)


def load_web(path: Path, environ: Mapping[str, str]) -> WebConfig:
    """Read a web config file, and the certificates it names.

    Raises:
        ValueError: The file itself cannot be read.
        ConfigError: With everything that is wrong in it, up to a bound.
    """
    loading = files.LoadContext(path.parent, environ)
    text = loading.read(path, files.decode)
    settings = loading.fingerprint()
    document = read_document(text, str(path), environ, needs="tls_server_config or basic_auth_users")
    web = validate(document, WebFile, loading, _find_conflicts)
    tls = web.tls_server_config
    headers = web.http_server_config.headers.model_dump(by_alias=True)
    return WebConfig(
        context=_server_context(tls, document) if tls else None,
        client_names=frozenset(tls.client_allowed_sans if tls else ()),
        users=tuple(web.basic_auth_users.items()),
        headers=tuple((name, value) for name, value in headers.items() if value),
        fingerprint=loading.fingerprint(),
        path=path,
        settings=settings,
    )


def _find_conflicts(document: Document) -> Iterator[Problem]:
    tls = as_mapping(document.data.get("tls_server_config"))
    auth = tls.get("client_auth_type", "NoClientCert")
    if auth != "NoClientCert" and "client_ca_file" not in tls:
        yield ("tls_server_config", "client_auth_type"), "needs client_ca_file as well"
    if auth == "NoClientCert" and "client_ca_file" in tls:
        yield ("tls_server_config", "client_ca_file"), f"needs client_auth_type: {_REQUIRED} as well"
    if auth != _REQUIRED and "client_allowed_sans" in tls:
        yield ("tls_server_config", "client_allowed_sans"), f"needs client_auth_type: {_REQUIRED} as well"


def _server_context(tls: TlsServer, document: Document) -> ssl.SSLContext:
    """Return a context with Python's defaults for servers, except for what is set otherwise.

    Raises:
        ConfigError: A file does not contain what it should, or the files do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(context, tls)
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.curve_preferences:
        context.set_ecdh_curve(_CURVES[tls.curve_preferences[0]])
    setting, file = "cert_file", tls.cert_file
    try:
        # With a password, OpenSSL does not ask for it on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
        if tls.client_ca_file:
            setting, file = "client_ca_file", tls.client_ca_file
            context.load_verify_locations(tls.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED if tls.client_auth_type == _REQUIRED else ssl.CERT_OPTIONAL
    except ssl.SSLError as error:
        problem = f"cannot be used: {error.reason.replace('_', ' ').lower() if error.reason else 'it is broken'}"
        if error.reason == "KEY_VALUES_MISMATCH":
            setting, file, problem = "key_file", tls.key_file, "is not the key of the certificate in cert_file"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    else:
        return context
    document.add(("tls_server_config", setting), f"{printable(str(file))} {problem}")
    raise document.error()


def _set_versions(context: ssl.SSLContext, tls: TlsServer) -> None:
    ciphers = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
    lowest = _VERSIONS[tls.min_version]
    if tls.cipher_suites and not ciphers:
        lowest = ssl.TLSVersion.TLSv1_3  # no suite of an older version is allowed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the config asks for the old version
        context.minimum_version = lowest
        context.maximum_version = max(_VERSIONS[tls.max_version], lowest)
    if lowest < ssl.TLSVersion.TLSv1_2:
        ciphers = [*(ciphers or ["DEFAULT"]), "@SECLEVEL=0"]  # OpenSSL 3 speaks it at no other level
    if ciphers:
        context.set_ciphers(":".join(ciphers))
