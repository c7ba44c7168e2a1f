"""The TLS context of the monitor's own server, from the files that a web config names."""

from __future__ import annotations

import ssl
import warnings
from typing import TYPE_CHECKING, Final

from monitor.config.errors import SettingError, printable

if TYPE_CHECKING:
    from monitor.config.web_config import TlsServer

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
"""Those of TLS 1.3; like Go's, our server always offers all of them."""

CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}

VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


def server_context(tls: TlsServer, client_ca: bytes) -> ssl.SSLContext:
    """Return a context with Python's defaults for servers, except for what is set otherwise.

    Raises:
        SettingError: A file does not contain what it should, or the files do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _set_versions(context, tls)
    if not tls.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.curve_preferences:
        context.set_ecdh_curve(CURVES[tls.curve_preferences[0]])
    setting, path = "cert_file", tls.cert_file
    try:
        # With a password, OpenSSL does not ask for it on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
        if tls.client_ca_file:
            setting, path = "client_ca_file", tls.client_ca_file
            context.load_verify_locations(cadata=client_ca.decode("ascii", "replace"))
            context.verify_mode = (
                ssl.CERT_REQUIRED if tls.client_auth_type == "RequireAndVerifyClientCert" else ssl.CERT_OPTIONAL
            )
    except ssl.SSLError as error:
        problem = f"cannot be used: {error.reason.replace('_', ' ').lower() if error.reason else 'it is broken'}"
        if error.reason == "KEY_VALUES_MISMATCH":
            setting, path = "key_file", tls.key_file
            problem = "is not the key of the certificate in cert_file"
        raise SettingError(setting, f"{printable(str(path))} {problem}") from None
    except OSError as error:
        raise SettingError(setting, f"{printable(str(path))} cannot be read: {error.strerror}") from None
    return context


def _set_versions(context: ssl.SSLContext, tls: TlsServer) -> None:
    ciphers = [CIPHERS[name] for name in tls.cipher_suites if name in CIPHERS]
    lowest = VERSIONS[tls.min_version]
    if tls.cipher_suites and not ciphers:
        lowest = ssl.TLSVersion.TLSv1_3  # no suite of an older version is allowed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # whoever writes TLS10 knows that it is old
        context.minimum_version = lowest
        context.maximum_version = max(VERSIONS[tls.max_version], lowest)
    if lowest < ssl.TLSVersion.TLSv1_2:
        ciphers = [*(ciphers or ["DEFAULT"]), "@SECLEVEL=0"]  # OpenSSL 3 speaks it at no other level
    if ciphers:
        context.set_ciphers(":".join(ciphers))
