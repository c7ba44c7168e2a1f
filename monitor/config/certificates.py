"""TLS towards those who ask: a context made of the files that a web config names."""

from __future__ import annotations

import ssl
import warnings
from typing import TYPE_CHECKING, Final, NoReturn

from monitor.config.web_model import CIPHERS

if TYPE_CHECKING:
    import pathlib

    from monitor.config.web_model import TlsServerSection

TLS_OF: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


class CertificateError(Exception):
    """TLS cannot be set up.

    Attributes:
        setting: The key of the web config that is to blame.
    """

    def __init__(self, setting: str, text: str) -> None:
        super().__init__(text)
        self.setting = setting


class _EncryptedError(Exception):
    """The key asks for a password."""


def server_context(
    tls: TlsServerSection, cert_file: pathlib.Path, key_file: pathlib.Path, client_ca: bytes | None
) -> ssl.SSLContext:
    """Return a context with Python's defaults for servers, which are those of a modern one, and what is set otherwise.

    Args:
        tls: Checked, with its files known to be readable.
        cert_file: The certificate.
        key_file: Its key.
        client_ca: The certificates that vouch for clients, as PEM.

    Raises:
        CertificateError: The files do not hold what they should, or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(context, tls)
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.curve_preferences:
        context.set_ecdh_curve(tls.curve_preferences)
    try:
        context.load_cert_chain(cert_file, key_file, password=_refuse_password)
    except _EncryptedError:
        raise CertificateError("key_file", "is encrypted; it must be a key without a password") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError("key_file", "is not the key of the certificate in cert_file") from None
        raise CertificateError("cert_file", f"cannot be used with its key: {_reason(error)}") from None
    except OSError as error:
        raise CertificateError("cert_file", f"cannot be read: {error.strerror}") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(cadata=client_ca.decode("ascii", "replace"))
        except ssl.SSLError as error:
            raise CertificateError("client_ca_file", f"cannot be used: {_reason(error)}") from None
        required = tls.client_auth_type == "RequireAndVerifyClientCert"
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
    return context


def _set_versions(context: ssl.SSLContext, tls: TlsServerSection) -> None:
    ciphers = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
    lowest = TLS_OF[tls.min_version]
    if tls.cipher_suites and not ciphers:
        lowest = ssl.TLSVersion.TLSv1_3  # no suite of an older version is allowed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # whoever writes TLS10 knows that it is old
        context.minimum_version = lowest
        context.maximum_version = max(TLS_OF[tls.max_version], lowest)
    if lowest < ssl.TLSVersion.TLSv1_2:
        ciphers = [*(ciphers or ["DEFAULT"]), "@SECLEVEL=0"]  # OpenSSL 3 speaks it at no other level
    if ciphers:
        context.set_ciphers(":".join(ciphers))


def _refuse_password() -> NoReturn:
    # Without this, OpenSSL would ask for it on the terminal.
    raise _EncryptedError


def _reason(error: ssl.SSLError) -> str:
    return error.reason.replace("_", " ").lower() if error.reason else "it is broken"
