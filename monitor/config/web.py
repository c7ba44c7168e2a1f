"""From a web config file to a `WebConfig`, or to every problem it has."""

from __future__ import annotations

import difflib
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from monitor.config.certificates import TLS_OF, CertificateError, server_context
from monitor.config.document import RefusedDocumentError, read_document
from monitor.config.environment import UNRESOLVED, Resolver
from monitor.config.files import MAX_CONFIG_BYTES, UnreadableError, read_pem, read_text
from monitor.config.problems import Path, Report, printable
from monitor.config.sections import SectionReader
from monitor.config.settings import WebConfig
from monitor.config.web_model import HEADERS, MAX_USERS, UNSUPPORTED, TlsServerSection, WebFile

if TYPE_CHECKING:
    import pathlib
    import ssl
    from collections.abc import Mapping

    from monitor.config.document import Node

MAX_HEADER: Final = 8192
"""Characters of one header's value."""

LEAST_COST: Final = 4
MOST_COST: Final = 16
"""Of bcrypt; each step doubles the time of a check, and this one takes about four seconds."""

_HASH: Final = re.compile(r"\$2[abxy]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_USER: Final = re.compile(r"[^:\x00-\x1f\x7f]{1,256}")
_HEADER: Final = re.compile(r"[ -~]*")
_STAND_INS: Final = {"cert_file": "-", "key_file": "-"}


def load_web(path: pathlib.Path, environ: Mapping[str, str]) -> WebConfig:
    """Read a web config file, and the certificates it names.

    Args:
        path: The file; relative paths in it count from its directory.
        environ: The variables for `${NAME}`.

    Returns:
        What it says, with the certificates as they are now.

    Raises:
        UnreadableError: The file itself cannot be read.
        ConfigError: With everything that is wrong in it, up to a bound.
    """
    text = read_text(path, MAX_CONFIG_BYTES)
    report = Report(str(path))
    root = None
    try:
        root = read_document(text, report, needs="tls_server_config or basic_auth_users")
    except RefusedDocumentError as error:
        report.add(error.line, (), error.text)
    config = _WebReader(root, path.parent, report).config(text, environ) if root else None
    if config is None or report:
        raise report.error()
    return config


class _WebReader(SectionReader):
    """Reads one web config file: problems go to the report, and the reading goes on."""

    def __init__(self, root: Node, directory: pathlib.Path, report: Report) -> None:
        super().__init__(root, report, UNSUPPORTED)
        self._directory = directory
        self._contents = hashlib.sha256()

    def config(self, text: str, environ: Mapping[str, str]) -> WebConfig | None:
        """Return the web config, which is only worth something when the report stayed empty."""
        document = Resolver(environ, self.report).resolve(self.root)
        if not isinstance(document, dict):
            if document is not UNRESOLVED:
                self.add((), "the file must be a mapping with tls_server_config or basic_auth_users")
            return None
        self._contents.update(text.encode())
        file, _ = self.section(WebFile, document, (), WebFile)
        tls = file.tls_server_config
        context = self._tls(tls) if tls else None
        return WebConfig(
            context=context,
            client_names=frozenset(tls.client_allowed_sans) if tls else frozenset(),
            requires_certificate=tls is not None and tls.client_auth_type == "RequireAndVerifyClientCert",
            users=tuple(self._users(file.basic_auth_users)),
            headers=tuple(self._headers(file.http_server_config.headers)),
            fingerprint=self._fingerprint(repr(sorted(document.items(), key=lambda item: item[0]))),
        )

    def _fingerprint(self, resolved: str) -> str:
        self._contents.update(resolved.encode("utf-8", "surrogatepass"))
        return self._contents.hexdigest()

    def _tls(self, tls: TlsServerSection) -> ssl.SSLContext | None:
        at: Path = ("tls_server_config",)
        before = len(self.report)
        wants_ca = tls.client_auth_type != "NoClientCert"
        if wants_ca and not tls.client_ca_file:
            self.add((*at, "client_auth_type"), "needs client_ca_file beside it")
        if tls.client_ca_file and not wants_ca:
            self.add((*at, "client_ca_file"), "needs client_auth_type: RequireAndVerifyClientCert beside it")
        if tls.client_allowed_sans and tls.client_auth_type != "RequireAndVerifyClientCert":
            self.add((*at, "client_allowed_sans"), "needs client_auth_type: RequireAndVerifyClientCert beside it")
        if TLS_OF[tls.min_version] > TLS_OF[tls.max_version]:
            self.add((*at, "max_version"), f"must not be older than min_version, which is {tls.min_version}")
        pem = {name: self._pem((*at, name), written) for name, written in self._named(tls).items()}
        if len(self.report) > before:
            return None
        try:
            return server_context(
                tls, self._directory / tls.cert_file, self._directory / tls.key_file, pem.get("client_ca_file")
            )
        except CertificateError as error:
            where = self._directory / getattr(tls, error.setting) if error.setting in pem else ""
            self.add((*at, error.setting), f"{printable(str(where))} {error}".strip())
            return None

    def _named(self, tls: TlsServerSection) -> dict[str, str]:
        named = {name: getattr(tls, name) for name in ("cert_file", "key_file", "client_ca_file")}
        return {name: written for name, written in named.items() if written}

    def _pem(self, path: Path, written: str) -> bytes:
        file = self._directory / written
        try:
            content = read_pem(file)
        except UnreadableError as error:
            self.add(path, f"{printable(str(file))} {error}")
            return b""
        holds, what = (
            (b"PRIVATE KEY-----", "private key")
            if path[-1] == "key_file"
            else (
                b"-----BEGIN CERTIFICATE-----",
                "certificate",
            )
        )
        if holds not in content:
            self.add(path, f"{printable(str(file))} holds no {what} in PEM format (-----BEGIN …)")
        self._contents.update(content)
        return content

    def _users(self, raw: Mapping[str, Any]) -> list[tuple[str, str]]:
        users = []
        if len(raw) > MAX_USERS:
            self.add(("basic_auth_users",), f"lists {len(raw):,} users; {MAX_USERS:,} is the most")
            return []
        for name, hashed in raw.items():
            path = ("basic_auth_users", name)
            if hashed is UNRESOLVED:
                continue
            match = _HASH.fullmatch(hashed) if isinstance(hashed, str) else None
            if not _USER.fullmatch(name):
                self.add(path, "a user's name must be 1 to 256 characters without a colon or a control character")
            elif match is None:
                self.add(path, "must be a bcrypt hash, as printed by: htpasswd -nBC 10 \"\" | tr -d ':\\n'")
            elif not LEAST_COST <= int(match["cost"]) <= MOST_COST:
                self.add(path, f"must have a bcrypt cost from {LEAST_COST} to {MOST_COST}")
            else:
                users.append((name, hashed))
        return users

    def _headers(self, raw: Mapping[str, Any]) -> list[tuple[str, str]]:
        headers = []
        for name, value in raw.items():
            path = ("http_server_config", "headers", name)
            if value is UNRESOLVED or value is None or value == "":
                continue
            if name not in HEADERS:
                self.add(path, f"unknown header; {_advice(name)}")
            elif not isinstance(value, str) or not _HEADER.fullmatch(value) or len(value) > MAX_HEADER:
                self.add(path, f"must be up to {MAX_HEADER:,} visible ASCII characters on one line")
            elif HEADERS[name] and value not in HEADERS[name]:
                self.add(path, f"must be one of {', '.join(HEADERS[name])}")
            else:
                headers.append((name, value))
        return headers


def _advice(name: str) -> str:
    lower = {known.lower(): known for known in HEADERS}
    meant = difflib.get_close_matches(name.lower()[:64], lower, n=1)
    return f'did you mean "{lower[meant[0]]}"?' if meant else f"the headers known here are {', '.join(HEADERS)}"
