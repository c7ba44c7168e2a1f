"""The web config file: TLS, users and headers, in the format of Prometheus' exporter-toolkit."""

from __future__ import annotations

import hashlib
import re
import ssl  # for pydantic
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from monitor.config import files
from monitor.config import setting_types as types
from monitor.config.conflicts import as_mapping
from monitor.config.tls import CIPHERS, CIPHERS_13, CURVES, VERSIONS, server_context
from monitor.config.validation import File, Section, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from monitor.config.document import Document
    from monitor.config.errors import Problem

ClientAuth: TypeAlias = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
Version: TypeAlias = Literal["TLS10", "TLS11", "TLS12", "TLS13"]

MAX_HEADER: Final = 8192
"""Characters of one header's value."""

_REQUIRED: Final = "RequireAndVerifyClientCert"
_USER: Final = re.compile(r"[^:\x00-\x1f\x7f]{1,256}")
_HASH: Final = re.compile(r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
_COST: Final = re.compile(r"\$2.\$(0[4-9]|1[0-6])\$.*")  # each step doubles the time of a check; 16 takes four seconds
_HEADER: Final = re.compile(rf"[ -~]{{0,{MAX_HEADER}}}")


@dataclass(frozen=True, slots=True)
class WebConfig:
    """TLS, users and headers of the monitor's own pages.

    Attributes:
        context: TLS with the certificate as it was when the file was read; None for plain HTTP.
        client_names: Of a client's certificate one of these must be a subject alternative name; empty for any.
        requires_certificate: Whether a client must show a certificate that is trusted.
        users: Name and bcrypt hash; empty for no basic auth.
        headers: Added to every answer.
        fingerprint: Differs where the settings, or the contents of a file that they name, differ.
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


def _one_of(*names: str) -> Any:
    return types.require(lambda name: name in names, f"must be one of {', '.join(filter(None, names))}")


User: TypeAlias = Annotated[
    str,
    types.require(_USER.fullmatch, "a user's name must be 1 to 256 characters without a colon or a control character"),
]
Hash: TypeAlias = Annotated[
    str,
    types.require(_HASH.fullmatch, "must be a bcrypt hash, as printed by: htpasswd -nBC 10 \"\" | tr -d ':\\n'"),
    types.require(_COST.fullmatch, "must have a bcrypt cost from 4 to 16"),
]
Header: TypeAlias = Annotated[
    str,
    BeforeValidator(lambda value: "" if value is None else value),
    types.require(_HEADER.fullmatch, f"must be up to {MAX_HEADER:,} visible ASCII characters on one line"),
]
Suite: TypeAlias = Annotated[str, _one_of(*CIPHERS, *CIPHERS_13)]


class TlsServer(Section):
    """TLS of the monitor's own pages."""

    unsupported: ClassVar = {
        "cert": "is not supported here; write the certificate to a file and name it in cert_file",
        "key": "is not supported here; write the key to a file and name it in key_file",
        "client_ca": "is not supported here; write the certificates to a file and name it in client_ca_file",
    }

    cert_file: Annotated[Path, types.readable_as(files.certificate_of)]
    key_file: Annotated[Path, types.readable_as(files.private_key_of)]
    client_auth_type: ClientAuth = "NoClientCert"
    client_ca_file: types.CertificateFile = None
    client_allowed_sans: tuple[Annotated[str, Field(min_length=1)], ...] = Field(default=(), max_length=types.MAX_ITEMS)
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Suite, ...] = ()
    prefer_server_cipher_suites: bool = True
    curve_preferences: Annotated[
        tuple[Annotated[str, _one_of(*CURVES)], ...],
        types.require(
            lambda curves: len(curves) < 2,  # noqa: PLR2004
            "must name a single curve, or be left out for all of them; several are not supported",
        ),
    ] = ()

    _context: ssl.SSLContext = PrivateAttr()
    _contents: bytes = PrivateAttr()

    @field_validator("client_auth_type", mode="before")
    @classmethod
    def _check_client_auth(cls, value: Any) -> Any:
        if value in ("RequestClientCert", "RequireAnyClientCert"):
            raise ValueError(f"is not supported here, because it accepts any certificate unchecked; use {_REQUIRED}")
        return value

    @field_validator("max_version")
    @classmethod
    def _check_versions(cls, newest: Version, info: ValidationInfo) -> Version:
        oldest = info.data.get("min_version", newest)
        if VERSIONS[oldest] > VERSIONS[newest]:
            raise ValueError(f"must not be older than min_version, which is {oldest}")
        return newest

    @model_validator(mode="after")
    def _load(self, info: ValidationInfo) -> Self:
        context: Any = info.context
        certificate = context.read(self.cert_file, files.certificate_of)
        key = context.read(self.key_file, files.private_key_of)
        client_ca = context.read(self.client_ca_file, files.certificate_of) if self.client_ca_file else b""
        self._contents = certificate + key + client_ca
        self._context = server_context(self, client_ca)
        return self

    def web_config(self) -> WebConfig:
        """Return what the server needs of it; the fingerprint is that of the files."""
        return WebConfig(
            context=self._context,
            client_names=frozenset(self.client_allowed_sans),
            requires_certificate=self.client_auth_type == _REQUIRED,
            fingerprint=hashlib.sha256(self._contents).hexdigest(),
        )


class Headers(Section):
    """Headers of every answer; an empty one is left out."""

    content_security_policy: Header = Field(default="", alias="Content-Security-Policy")
    x_frame_options: Annotated[Header, _one_of("", "deny", "sameorigin")] = Field(default="", alias="X-Frame-Options")
    x_content_type_options: Annotated[Header, _one_of("", "nosniff")] = Field(
        default="", alias="X-Content-Type-Options"
    )
    x_xss_protection: Header = Field(default="", alias="X-XSS-Protection")
    strict_transport_security: Header = Field(default="", alias="Strict-Transport-Security")


class HttpServer(Section):
    """HTTP of the monitor's own pages."""

    http2: bool = True  # without effect: the monitor speaks HTTP/1.1
    headers: Headers = Headers()


class WebFile(File):
    """The web config file."""

    needs: ClassVar = "tls_server_config or basic_auth_users"
    unsupported: ClassVar = {"rate_limit": "is not supported here; the cost of unauthenticated requests is bounded"}

    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer = HttpServer()
    basic_auth_users: Annotated[dict[User, Hash], BeforeValidator(lambda value: {} if value is None else value)] = (
        Field(default={}, max_length=types.MAX_ITEMS)
    )

    @classmethod
    def conflicts(cls, document: Document) -> Iterator[Problem]:
        """Yield what is wrong between the settings; see `File.conflicts`."""
        tls = as_mapping(document.data.get("tls_server_config"))
        auth = tls.get("client_auth_type", "NoClientCert")
        if auth != "NoClientCert" and "client_ca_file" not in tls:
            yield ("tls_server_config", "client_auth_type"), "needs client_ca_file as well"
        if auth == "NoClientCert" and "client_ca_file" in tls:
            yield ("tls_server_config", "client_ca_file"), f"needs client_auth_type: {_REQUIRED} as well"
        if auth != _REQUIRED and "client_allowed_sans" in tls:
            yield ("tls_server_config", "client_allowed_sans"), f"needs client_auth_type: {_REQUIRED} as well"


def load_web(path: Path, environ: Mapping[str, str]) -> WebConfig:
    """Read a web config file, and the certificates it names.

    Raises:
        ValueError: The file itself cannot be read.
        ConfigError: With everything that is wrong in it, up to a bound.
    """
    context = files.LoadContext(path.parent, environ)
    text = context.read(path, files.decode)
    web = read_settings(WebFile, text, context, str(path))
    tls = web.tls_server_config.web_config() if web.tls_server_config else WebConfig()
    settings = hashlib.sha256(repr(web).encode("utf-8", "surrogatepass")).hexdigest()
    headers = web.http_server_config.headers.model_dump(by_alias=True)
    return replace(
        tls,
        users=tuple(web.basic_auth_users.items()),
        headers=tuple((name, value) for name, value in headers.items() if value),
        fingerprint=settings + tls.fingerprint,
    )
